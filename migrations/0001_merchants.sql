-- Merchants, and the API keys that prove them.
--
-- Merchants are never deleted: their orders are accounts. That is why no other table has a foreign key to this one; the
-- check would lock the merchant's row for every order that is created, and find nothing, ever.

create table merchants (
    id         uuid        primary key,
    name       text        not null unique check (char_length(name) between 1 and 64),
    created_at timestamptz not null default now()
);

create table api_keys (
    id           uuid        primary key,
    merchant_id  uuid        not null references merchants (id),
    digest       bytea       not null unique check (octet_length(digest) = 32), -- SHA-256 of the key; the key itself is kept nowhere
    hint         text        not null,                                          -- the key's first characters, for people
    created_at   timestamptz not null default now(),
    last_used_at timestamptz,                                                   -- to within half a minute
    revoked_at   timestamptz                                                    -- null: the key opens
);

-- Every replica asks for what was revoked since it last asked.
create index api_keys_revoked_at on api_keys (revoked_at) where revoked_at is not null;

-- The one key that client secrets are made with (see the section on secrets in docs/architecture.md). One row.
create table issuing_keys (
    id         smallint    primary key default 1 check (id = 1),
    key        bytea       not null check (octet_length(key) = 32),
    created_at timestamptz not null default now()
);
