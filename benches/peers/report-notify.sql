-- The same, and a notification in the same transaction.
\set number random(1, :orders)
with changed as (
    update orders
    set status = case status when 'pending' then 'processing' else 'pending' end, reason = null, late = false,
        version = version + 1, refunded_amount = 0, transaction_id = null, updated_at = now(), paid_at = null
    where id = ('00000000-0000-7000-8000-' || lpad(:number::text, 12, '0'))::uuid
    returning id, merchant_id, out_trade_no, version, status),
logged as (
    insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status, source,
                              accepted, reason, at, data)
    select gen_random_uuid(), 'order.' || status, id, merchant_id, out_trade_no, version,
           case status when 'pending' then 'processing' else 'pending' end, status, 'merchant', true, null, now(),
           '{"amount": 1000, "currency": "CNY", "refunded_amount": 0, "transaction_id": null, "paid_at": null, "late": false}'
    from changed
    returning order_id)
select pg_notify('changes', order_id::text) from logged;
