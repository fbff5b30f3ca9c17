-- Order events: the append-only log. What changed, from what, to what, by whom, accepted or rejected and why.
--
-- Written in the statement that changes the order, so there is no change without its event. No foreign key to orders: that
-- statement has the order's row in hand, and the check would lock it a second time.
--
-- A partition holds a month, so that old events go by dropping a table and not row by row.

create table order_events (
    seq          bigint      generated always as identity,             -- the order of one order's events
    id           uuid        not null,
    kind         text        not null,                                 -- the event's `type`
    order_id     uuid        not null,
    merchant_id  uuid        not null,
    out_trade_no text        not null,
    version      bigint      not null,
    from_status  text,                                                 -- null for the creation
    to_status    text        not null,
    source       text        not null,
    accepted     boolean     not null,
    reason       text,
    at           timestamptz not null,
    data         jsonb       not null,
    xid          xid8        not null default pg_current_xact_id(),    -- the writing transaction: the feed's cursor
    primary key (at, seq)                                              -- a partitioned table's key has the partition's column in it
) partition by range (at);

create index order_events_of_order on order_events (order_id, seq);

-- What the feed of every replica asks for: the rows of transactions that it has not seen yet.
create index order_events_by_transaction on order_events (xid);

-- Where an event goes if its month has no partition: that should not happen, and must not stop a payment.
create table order_events_other partition of order_events default;

-- Makes the partitions of this month and the next two, and drops those that ended more than `keep_days` ago (0: none).
-- Called by the service from time to time; says how many it made and dropped. A lock that cannot be had within a second is
-- left for the next time, so that nobody queues behind it.
create function keep_order_event_partitions(keep_days integer) returns integer
    language plpgsql
    set lock_timeout = '1s'
    set timezone = 'UTC'
as $$
declare
    month   timestamptz := date_trunc('month', now());
    start   timestamptz;
    old     record;
    touched integer     := 0;
begin
    perform pg_advisory_xact_lock(hashtext('order_events partitions'));
    for ahead in 0..2 loop
        start := month + make_interval(months => ahead);
        if to_regclass(format('order_events_%s', to_char(start, 'YYYY_MM'))) is null then
            begin
                execute format(
                    'create table order_events_%s partition of order_events for values from (%L) to (%L)',
                    to_char(start, 'YYYY_MM'), start, start + interval '1 month');
                touched := touched + 1;
            exception when check_violation then
                -- A clock that was far ahead has put events of that month into the default partition. They stay there, and
                -- so does the rest of that month; the other months go on.
                raise warning 'events of % stay in order_events_other', to_char(start, 'YYYY-MM');
            end;
        end if;
    end loop;
    if keep_days > 0 then
        for old in
            select c.oid::regclass as name
            from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = 'order_events'::regclass
              and c.relname ~ '^order_events_\d{4}_\d{2}$'
              and to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' < now() - make_interval(days => keep_days)
        loop
            execute format('drop table %s', old.name);
            touched := touched + 1;
        end loop;
    end if;
    return touched;
end $$;

select keep_order_event_partitions(0);
