-- Webhooks: the merchants' endpoints, what is to be delivered there, and what came of each attempt.

-- The log also tells merchants of what is no order's: that one of their endpoints was disabled.
alter table order_events
    alter column order_id drop not null,                           -- null: the event is of no order; then so are the next three
    alter column out_trade_no drop not null,
    alter column version drop not null,
    alter column to_status drop not null,
    add constraint order_events_of_an_order_or_none
        check (num_nulls(order_id, out_trade_no, version, to_status) in (0, 4)) not valid;

create table webhook_endpoints (
    id                    uuid        primary key,
    merchant_id           uuid        not null,
    url                   text        not null check (char_length(url) between 1 and 2048),
    events                text[]      not null,                    -- types of events; empty: all
    secret                bytea       not null check (octet_length(secret) between 24 and 64), -- in clear: it signs
    previous_secret       bytea       check (octet_length(previous_secret) between 24 and 64), -- signs, too, until:
    previous_secret_until timestamptz,
    disabled_at           timestamptz,                             -- null: enabled
    disabled_reason       text        check (disabled_reason in ('merchant', 'gone', 'failing')),
    failing_since         timestamptz,                             -- the first failure since the last success
    deleted_at            timestamptz,                             -- its deliveries go in batches, then the row
    created_at            timestamptz not null default now(),
    updated_at            timestamptz not null default now(),
    check ((disabled_at is null) = (disabled_reason is null)),
    check ((previous_secret is null) = (previous_secret_until is null))
);

create index webhook_endpoints_of_merchant on webhook_endpoints (merchant_id, id) where deleted_at is null;

-- Whether there is anything to do at all.
create index webhook_endpoints_enabled on webhook_endpoints (merchant_id) where disabled_at is null and deleted_at is null;
create index webhook_endpoints_deleted on webhook_endpoints (id) where deleted_at is not null;

-- The queue's order. What is queued again goes to the end.
create sequence webhook_places;

-- One row for each endpoint and event. Of one endpoint and order only the first that is pending may have a due_at and be
-- delivered; those behind it have none until it is done. So they need not be looked at, however long it takes.
create table webhook_deliveries (
    id          uuid        primary key,                           -- UUIDv7: sorts by creation
    endpoint_id uuid        not null references webhook_endpoints (id),
    event_id    uuid        not null,                              -- webhook-id: the same in every attempt
    event_type  text        not null,
    event_at    timestamptz not null,
    order_id    uuid,
    payload     text        not null,                              -- the bytes that are sent, and signed
    place       bigint      not null default nextval('webhook_places'),
    state       text        not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
    attempts    integer     not null default 0,                    -- begun ever
    tries       integer     not null default 0,                    -- begun since it was queued
    due_at      timestamptz,                                       -- when the next attempt may begin; of a claimed one, the claim's end
    claim       uuid,                                              -- who delivers it just now; nobody else may say what came of it
    created_at  timestamptz not null default now(),
    done_at     timestamptz,
    constraint webhook_deliveries_once unique (endpoint_id, event_id),
    check ((state = 'pending') = (done_at is null)),
    check (claim is null or state = 'pending')
);

create index webhook_deliveries_due on webhook_deliveries (endpoint_id, due_at, place) where state = 'pending' and due_at is not null;
create index webhook_deliveries_of_order on webhook_deliveries (endpoint_id, order_id, place) where state = 'pending';
-- The age of the backlog, and nothing else: with statistics from when nothing was pending the planner expects nothing in any index over
-- what is pending, and reading the smallest of them whole then looks cheaper than looking one order up in another (732 ms for 1.5 ms, with
-- 22,000 deliveries pending for one endpoint). A statement that does not say `created_at > '-infinity'` cannot use this one.
create index webhook_deliveries_pending on webhook_deliveries (created_at) where state = 'pending' and created_at > '-infinity';
create index webhook_deliveries_listed on webhook_deliveries (endpoint_id, id);
create index webhook_deliveries_listed_by_state on webhook_deliveries (endpoint_id, state, id);
create index webhook_deliveries_done on webhook_deliveries (done_at) where state <> 'pending';

create table webhook_attempts (
    delivery_id uuid        not null references webhook_deliveries (id) on delete cascade,
    number      integer     not null,
    at          timestamptz not null,
    duration_ms integer     not null,
    status      smallint,                                          -- of the answer; null when none came
    error       text,                                              -- a word; null when the answer was good
    answer      text,                                              -- its first bytes
    primary key (delivery_id, number)
);
