-- Readers of the log that must not lose their place: each goes on where it was, whichever replica reads, however often it
-- was killed.

-- One merchant's events, in the order in which the feed tells them.
create index order_events_of_merchant on order_events (merchant_id, xid, seq);

create table event_readers (
    name     text        primary key,
    cursor   text        not null,               -- all before it is dealt with for good
    moved_at timestamptz not null default now()
);
