-- One order, without its event. The id begins with the time, as a UUIDv7 does.
\set number random(1, 1000000000000)
insert into orders (id, merchant_id, out_trade_no, amount, currency, description, metadata, client_secret, fingerprint,
                    status, late, version, refunded_amount, created_at, updated_at, expires_at)
values ((lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '70008'
         || substr(md5(:number::text), 1, 15))::uuid,
        '00000000-0000-7000-8000-000000000000', 'B' || :number::text, 1000, 'CNY', null, null,
        'pqs_0123456789012345678901234567890123456789012',
        '\x0000000000000000000000000000000000000000000000000000000000000000', 'pending', false, 1, 0, now(), now(),
        now() + interval '1 day');
