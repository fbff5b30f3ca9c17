-- Answers already given to requests that carried an Idempotency-Key: the same key gets the same answer again.
-- Rows are dropped after two days (clients may count on one).

create table idempotency_keys (
    merchant_id uuid        not null,
    key         text        not null check (char_length(key) between 1 and 255),
    fingerprint bytea       not null,      -- SHA-256 of what the first request asked for
    status      smallint    not null,      -- HTTP status of the first answer
    body        text        not null,      -- body of the first answer, byte for byte
    created_at  timestamptz not null default now(),
    primary key (merchant_id, key)
);

create index idempotency_keys_created_at on idempotency_keys (created_at);
