-- What the log has forgotten: for each merchant the last of his events that went with a dropped partition. A reader whose cursor
-- lies before it is told that something is missing; without this row nobody could tell, since what is gone leaves no trace.
--
-- One row a merchant, written when partitions are dropped and read with each page of the log. Per merchant, since a cursor of
-- one to whom nothing happened meanwhile is as good as ever.

create table order_events_forgotten (
    merchant_id uuid   primary key,
    xid         xid8   not null, -- its transaction
    seq         bigint not null,
    -- The transaction that noted it. A month's last transactions and the next one's first overlap; so a reader that begins with
    -- the oldest that is kept may begin before `xid`. Its cursor says what was noted then, and it is not told of that again.
    noted       xid8   not null default pg_current_xact_id()
);

-- For those who read everybody's events.
create index order_events_forgotten_last on order_events_forgotten (xid, seq);

-- The partitions that ended more than `keep_days` ago (0: none).
create function old_order_event_partitions(keep_days integer) returns setof regclass
    language sql stable
    set timezone = 'UTC'
as $$
    select c.oid::regclass
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where keep_days > 0
      and i.inhparent = 'order_events'::regclass
      and c.relname ~ '^order_events_\d{4}_\d{2}$'
      and to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' < now() - make_interval(days => keep_days)
$$;

-- Notes what is about to be forgotten; says how many partitions that is. To be committed some seconds before they are dropped: a
-- reader that found no note then has read its page while all of it was still there.
create function forget_order_events(keep_days integer) returns integer
    language plpgsql
as $$
declare
    old   regclass;
    found integer := 0;
begin
    for old in select * from old_order_event_partitions(keep_days) loop
        -- One look into the partition's index for each merchant.
        execute format(
            'insert into order_events_forgotten as known (merchant_id, xid, seq)
             select m.id, last.xid, last.seq
             from merchants m
                  cross join lateral (
                      select xid, seq from %s where merchant_id = m.id order by xid desc, seq desc limit 1) as last
             order by m.id
             on conflict (merchant_id) do update
             set xid = greatest(known.xid, excluded.xid), noted = excluded.noted,
                 seq = case when excluded.xid < known.xid then known.seq
                            when excluded.xid > known.xid then excluded.seq
                            else greatest(known.seq, excluded.seq) end', old);
        found := found + 1;
    end loop;
    return found;
end $$;

-- As before (0003), and notes what is forgotten.
create or replace function keep_order_event_partitions(keep_days integer) returns integer
    language plpgsql
    set lock_timeout = '1s'
    set timezone = 'UTC'
as $$
declare
    month   timestamptz := date_trunc('month', now());
    start   timestamptz;
    old     regclass;
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
    perform forget_order_events(keep_days);
    for old in select * from old_order_event_partitions(keep_days) loop
        execute format('drop table %s', old);
        touched := touched + 1;
    end loop;
    return touched;
end $$;
