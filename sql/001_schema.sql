-- The first schema. Two halves that never meet in one statement: accounts
-- (users, devices, tokens, codes) and chats (chats, members, entries, marks).
-- Applied by `chatctl migrate` inside one transaction; never edited once
-- released (a checksum is kept), only followed by 002, 003, ...

-- ---------------------------------------------------------------- accounts

-- Written by the API worker (store_account.h); read by it and, to tell whether
-- a user exists, by the message worker.
CREATE TABLE users (
    id                   bigserial PRIMARY KEY,
    phone_number         text UNIQUE,           -- E.164; null once erased
    username             text,                  -- display name
    profile_picture_url  text,
    about                text,
    status               text NOT NULL DEFAULT 'available',
    privacy              jsonb NOT NULL DEFAULT '{}',
    pin_hash             text,                  -- argon2id, null without PIN
    last_seen            timestamptz,
    suspended_at         timestamptz,
    erased_at            timestamptz,
    created_at           timestamptz NOT NULL DEFAULT now()
);

-- Written by the API worker. The id is the deviceId; never reused.
CREATE TABLE devices (
    id          bigserial PRIMARY KEY,
    user_id     bigint NOT NULL REFERENCES users (id),
    name        text NOT NULL,
    platform    text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    last_seen   timestamptz,
    revoked_at  timestamptz
);
CREATE INDEX devices_user ON devices (user_id) WHERE revoked_at IS NULL;
CREATE INDEX devices_revoked ON devices (revoked_at)
    WHERE revoked_at IS NOT NULL;

-- Written by the API worker. token_hash is BLAKE2b-256 of the random token.
-- A replaced token stays, so that its reuse can be told; `successor` seals the
-- pair that replaced it for 60 s, for the client that lost the answer.
CREATE TABLE refresh_tokens (
    token_hash   bytea PRIMARY KEY,
    device_id    bigint NOT NULL REFERENCES devices (id),
    created_at   timestamptz NOT NULL DEFAULT now(),
    replaced_at  timestamptz,
    replaced_by  bytea,                         -- hash of the new token
    used         boolean NOT NULL DEFAULT false, -- it has replaced another or
                                                -- was itself presented
    successor    bytea                          -- sealed with the old token
);
CREATE INDEX refresh_tokens_device ON refresh_tokens (device_id);

-- Written by the API worker. One live code a number.
CREATE TABLE login_codes (
    phone_number  text PRIMARY KEY,
    code_hash     bytea NOT NULL,               -- keyed BLAKE2b
    attempts      int NOT NULL DEFAULT 0,       -- wrong ones; void at 5
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL
);

-- ------------------------------------------------------------------- chats

-- Written by the shard's message worker (store_chat.h) alone: last_seq by
-- every entry, members_version by every change of members or roles. No index
-- on what a message changes, and room on the page, so that the update is HOT.
CREATE TABLE chats (
    id                 uuid PRIMARY KEY,
    type               smallint NOT NULL,       -- 1 direct, 2 group
    title              text,
    created_by         bigint NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    last_seq           bigint NOT NULL DEFAULT 0,
    last_message_time  timestamptz NOT NULL DEFAULT now(),
    members_version    bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 50);

-- Written by the message worker; read by all. A member who left stays with
-- left_seq, for what was before may still be read. This table by user_id is
-- also the user's chat list: a send writes no row per member (the cost of a
-- message must not grow with the group), and newest-first is a sort of the
-- user's chats by chats.last_message_time.
CREATE TABLE chat_members (
    chat_id        uuid NOT NULL REFERENCES chats (id),
    user_id        bigint NOT NULL,
    role           smallint NOT NULL,           -- 1 owner, 2 admin, 3 member
    joined_seq     bigint NOT NULL,             -- first seq they may see
    left_seq       bigint,                      -- last one; null: a member
    hidden         int8multirange NOT NULL DEFAULT '{}', -- between times
    delivered_seq  bigint NOT NULL DEFAULT 0,   -- highest of the devices
    read_seq       bigint NOT NULL DEFAULT 0,
    cleared_seq    bigint,                      -- direct chat taken off the
                                                -- list until a later entry
    PRIMARY KEY (chat_id, user_id)
) WITH (fillfactor = 70);
CREATE INDEX chat_members_user ON chat_members (user_id);

-- Written by the message worker; read by API and sync workers. Append only,
-- but for edited/deleted messages.
CREATE TABLE entries (
    chat_id        uuid NOT NULL,
    seq            bigint NOT NULL,
    kind           smallint NOT NULL,           -- chat_kind_e
    sender_id      bigint NOT NULL,
    sender_device  bigint,                      -- null: made by the server
    created_at     timestamptz NOT NULL,
    digest         bigint NOT NULL DEFAULT 0,   -- chat_entry_digest()
    message_id     text,
    content        text,
    content_type   text,                        -- null: text
    reply_to       bigint,
    media_id       text,
    target         bigint,                      -- seq
    subject        bigint,                      -- user
    role           smallint,
    expires_at     timestamptz,
    edited_at      timestamptz,
    deleted_at     timestamptz,
    PRIMARY KEY (chat_id, seq),
    UNIQUE (chat_id, sender_device, message_id)
) PARTITION BY HASH (chat_id);

DO $$
BEGIN
    FOR i IN 0..15 LOOP
        EXECUTE format('CREATE TABLE entries_%s PARTITION OF entries '
            'FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
            lpad(i::text, 2, '0'), i);
    END LOOP;
END $$;

-- Written by the message worker (marks) and, for a new device that starts at
-- now, by the API worker at login. Without a row the mark is joined_seq - 1.
CREATE TABLE device_marks (
    device_id      bigint NOT NULL,
    chat_id        uuid NOT NULL,
    delivered_seq  bigint NOT NULL,
    PRIMARY KEY (device_id, chat_id)
) WITH (fillfactor = 70);

-- Written by the message worker that takes a shard: the fencing number of its
-- owner, carried by everything it publishes.
CREATE TABLE shard_owners (
    shard     int PRIMARY KEY,
    epoch     bigint NOT NULL,
    worker    text NOT NULL,
    since     timestamptz NOT NULL DEFAULT now()
);

-- Written by the message and API workers: answers to POSTs that carry an
-- Idempotency-Key, for 24 hours.
CREATE TABLE idempotency_keys (
    user_id     bigint NOT NULL,
    route       text NOT NULL,
    key         text NOT NULL,
    digest      bigint NOT NULL,                -- of the request's body
    status      int NOT NULL,
    body        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, route, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);
