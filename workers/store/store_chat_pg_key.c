/*
 * store_chat_pg_key.c: the same answer for the same Idempotency-Key.
 *
 * Called from store_chat.c; hands to store_chat_pg.c. The row is inserted
 * before the work and filled after it, in one transaction: of two workers with
 * the same request, the second waits for the first one's commit and then reads
 * its answer.
 */

#include "store_chat_pg.h"

/* A row older than a day is replaced. No other transaction sees status 0. */
static const store_stmt_t  store_chat_key_take_stmt = {
    "chat_key_take",
    "INSERT INTO idempotency_keys (user_id, route, key, digest, status, body)"
    " VALUES ($1::int8, $2::text, $3::text, $4::int8, 0, '')"
    " ON CONFLICT (user_id, route, key) DO UPDATE SET"
    " digest = excluded.digest, status = 0, body = '', created_at = now()"
    " WHERE idempotency_keys.created_at < now() - interval '24 hours'"
    " RETURNING true",
    4
};

static const store_stmt_t  store_chat_key_read_stmt = {
    "chat_key_read",
    "SELECT digest, status, body FROM idempotency_keys"
    " WHERE user_id = $1::int8 AND route = $2::text AND key = $3::text",
    3
};

static const store_stmt_t  store_chat_key_fill_stmt = {
    "chat_key_fill",
    "UPDATE idempotency_keys SET status = $4::int4, body = $5::text"
    " WHERE user_id = $1::int8 AND route = $2::text AND key = $3::text",
    5
};

static store_args_t *store_chat_pg_key_args(store_chat_t *st, uint64_t user,
    const char *route, const chat_str_t *key);


store_e
store_chat_pg_key_take(store_chat_t *st, uint64_t user, const char *route,
    const chat_str_t *key, uint64_t digest, store_key_t *key_r)
{
    store_e    rc;
    PGresult  *res;

    store_args_scalar_i64(store_chat_pg_key_args(st, user, route, key),
                          digest);

    rc = store_chat_pg_change(st, &store_chat_key_take_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    if (PQntuples(res) == 1) {
        return STORE_OK;
    }

    (void) store_chat_pg_key_args(st, user, route, key);

    rc = store_chat_pg_change(st, &store_chat_key_read_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    if (PQntuples(res) == 0) {
        /* Deleted between the two statements: the caller retries. */
        return STORE_CONFLICT;
    }

    key_r->digest = (uint64_t) store_row_i64(res, 0, 0);
    key_r->status = (unsigned) store_row_i32(res, 0, 1);
    key_r->body = store_row_str(res, 0, 2);

    return STORE_NOT_FOUND;
}


store_e
store_chat_pg_key_fill(store_chat_t *st, uint64_t user, const char *route,
    const chat_str_t *key, unsigned status, const chat_str_t *body)
{
    PGresult      *res;
    store_args_t  *a;

    a = store_chat_pg_key_args(st, user, route, key);
    store_args_scalar_i32(a, status);
    store_args_scalar_str(a, body);

    return store_chat_pg_change(st, &store_chat_key_fill_stmt, &res);
}


static store_args_t *
store_chat_pg_key_args(store_chat_t *st, uint64_t user, const char *route,
    const chat_str_t *key)
{
    store_args_t  *a;

    a = store_chat_pg_args(st);
    store_args_scalar_i64(a, user);
    store_args_scalar_text(a, route);
    store_args_scalar_str(a, key);

    return a;
}
