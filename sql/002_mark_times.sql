-- When marks rose, for GET /chats/{id}/messages/{seq}/receipts; and the two
-- indexes by which the API worker's upkeep finds what is to be deleted.

-- Written by the shard's message worker, in the statement and transaction that
-- raises chat_members.delivered_seq (mark 1) or read_seq (mark 2): one row a
-- rise with the new seq. A `read` that raises delivered_seq as well writes
-- both rows. A mark that does not rise writes none; a row that is there stays
-- (ON CONFLICT DO NOTHING), so an event that comes twice is harmless.
-- Read by the API worker: an entry was delivered or read at the time of the
-- first row whose seq is at least the entry's. Marks are coalesced by edge and
-- worker before they get here, so rows are far fewer than entries.
CREATE TABLE mark_times (
    chat_id  uuid NOT NULL,
    user_id  bigint NOT NULL,
    mark     smallint NOT NULL,                 -- 1 delivered, 2 read
    seq      bigint NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chat_id, user_id, mark, seq)
);

CREATE INDEX refresh_tokens_sealed ON refresh_tokens (replaced_at)
    WHERE successor IS NOT NULL;
CREATE INDEX refresh_tokens_replaced ON refresh_tokens (replaced_at)
    WHERE replaced_at IS NOT NULL;
CREATE INDEX login_codes_expires ON login_codes (expires_at);
