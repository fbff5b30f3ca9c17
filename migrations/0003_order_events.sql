-- Order events: the append-only log. What changed, from what, to what, by whom, accepted or rejected and why.
--
-- Written in the statement that changes the order, so there is no change without its event. No foreign key to orders: that
-- statement has the order's row in hand, and the check would lock it a second time.

create table order_events (
    seq          bigint      generated always as identity primary key, -- the order of one order's events
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
    xid          xid8        not null default pg_current_xact_id()     -- the writing transaction: the feed's cursor
);

create index order_events_of_order on order_events (order_id, seq);

-- What the feed of every replica asks for: the rows of transactions that it has not seen yet.
create index order_events_by_transaction on order_events (xid);
