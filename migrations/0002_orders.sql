-- Orders: one row for each payment to be made, as it stands now.

create table orders (
    id              uuid        primary key,              -- UUIDv7: sorts by creation
    merchant_id     uuid        not null,
    out_trade_no    text        not null check (char_length(out_trade_no) between 1 and 64),
    amount          bigint      not null check (amount > 0), -- minor units
    currency        text        not null check (currency ~ '^[A-Z]{3}$'),
    description     text,
    metadata        jsonb,
    client_secret   text        not null,                 -- in clear: the merchant may ask for it again
    fingerprint     bytea       not null,                 -- SHA-256 of what the creation asked for; tells a repeat from a conflict
    status          text        not null check (status in ('pending', 'processing', 'succeeded', 'failed', 'closed', 'refunded')),
    reason          text,
    late            boolean     not null,                 -- paid after it had been closed
    version         bigint      not null check (version > 0), -- counts the changes, from 1
    refunded_amount bigint      not null check (refunded_amount between 0 and amount),
    transaction_id  text,                                 -- the provider's number of the payment
    created_at      timestamptz not null,                 -- the time that the id carries
    updated_at      timestamptz not null,
    expires_at      timestamptz not null,
    paid_at         timestamptz,
    constraint orders_out_trade_no_unique unique (merchant_id, out_trade_no)
)
-- Leaves room in each page for the next versions of its rows: an order changes two or three times, soon after its creation.
with (fillfactor = 80);

-- Lists, newest first; a range of creation times is a range of ids.
create index orders_of_merchant on orders (merchant_id, id);

-- Lists of one status, above all of a rare one; and of what changed lately.
create index orders_of_merchant_by_status on orders (merchant_id, status, id);
create index orders_of_merchant_by_update on orders (merchant_id, updated_at);

-- What expiry looks for, each second. Holds open orders only, so it stays small.
create index orders_open_by_expiry on orders (expires_at) where status in ('pending', 'processing');
