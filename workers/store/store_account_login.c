/*
 * store_account_login.c: codes, users by number, and refresh tokens.
 *
 * Called from api_auth.c, api_login.c, api_refresh.c; hands to store_pg.c.
 * Rows that the caller will change are read FOR UPDATE, which serialises two
 * logins with one code, or two refreshes with one token.
 */

#include <stdio.h>
#include <string.h>

#include "store_account.h"
#include "store_row.h"
#include "worker.h"

static store_e store_login_done(store_e rc, PGresult *res);


store_e
store_code_put(store_pg_t *pg, const char *number, const uint8_t hash[32],
    int life)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "code_put",
        "INSERT INTO login_codes (phone_number, code_hash, expires_at) "
        "VALUES ($1, $2, now() + $3 * interval '1 second') "
        "ON CONFLICT (phone_number) DO UPDATE SET "
            "code_hash = excluded.code_hash, attempts = 0, "
            "created_at = now(), expires_at = excluded.expires_at",
        3
    };

    a = store_pg_args(pg);
    store_args_scalar_text(a, number);
    store_args_scalar_bytes(a, hash, 32);
    store_args_scalar_i64(a, life);

    rc = store_pg_query(pg, &stmt, &res);

    return store_login_done(rc, res);
}


store_e
store_code_drop(store_pg_t *pg, const char *number, const uint8_t hash[32])
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "code_drop",
        "DELETE FROM login_codes WHERE phone_number = $1 AND code_hash = $2",
        2
    };

    a = store_pg_args(pg);
    store_args_scalar_text(a, number);
    store_args_scalar_bytes(a, hash, 32);

    rc = store_pg_query(pg, &stmt, &res);

    return store_login_done(rc, res);
}


store_e
store_code_lock(store_pg_t *pg, const char *number, store_code_t *code_r)
{
    store_e        rc;
    PGresult      *res;
    chat_str_t     hash;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "code_lock",
        "SELECT code_hash, attempts, expires_at <= now() FROM login_codes "
        "WHERE phone_number = $1 FOR UPDATE",
        1
    };

    a = store_pg_args(pg);
    store_args_scalar_text(a, number);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    if (PQntuples(res) == 0) {
        PQclear(res);
        return STORE_NOT_FOUND;
    }

    hash = store_row_str(res, 0, 0);
    memset(code_r, 0, sizeof(*code_r));

    if (hash.len == sizeof(code_r->hash)) {
        memcpy(code_r->hash, hash.data, hash.len);
    }

    code_r->attempts = store_row_i32(res, 0, 1);
    code_r->expired = store_row_bool(res, 0, 2);
    PQclear(res);

    return STORE_OK;
}


store_e
store_code_wrong(store_pg_t *pg, const char *number)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "code_wrong",
        "UPDATE login_codes SET attempts = attempts + 1 "
        "WHERE phone_number = $1",
        1
    };

    a = store_pg_args(pg);
    store_args_scalar_text(a, number);

    rc = store_pg_query(pg, &stmt, &res);

    return store_login_done(rc, res);
}


store_e
store_code_use(store_pg_t *pg, const char *number)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "code_use",
        "DELETE FROM login_codes WHERE phone_number = $1",
        1
    };

    a = store_pg_args(pg);
    store_args_scalar_text(a, number);

    rc = store_pg_query(pg, &stmt, &res);

    return store_login_done(rc, res);
}


store_e
store_login_user(store_pg_t *pg, const char *number, store_login_t *user_r)
{
    store_e        rc;
    PGresult      *res;
    chat_str_t     pin;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "login_user",
        "SELECT id, suspended_at IS NOT NULL, pin_hash FROM users "
        "WHERE phone_number = $1 FOR UPDATE",
        1
    };

    a = store_pg_args(pg);
    store_args_scalar_text(a, number);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    if (PQntuples(res) == 0) {
        PQclear(res);
        return STORE_NOT_FOUND;
    }

    user_r->id = (uint64_t) store_row_i64(res, 0, 0);
    user_r->suspended = store_row_bool(res, 0, 1);

    pin = store_row_str(res, 0, 2);
    snprintf(user_r->pin_hash, sizeof(user_r->pin_hash), "%.*s",
             (int) pin.len, pin.data ? pin.data : "");
    PQclear(res);

    return STORE_OK;
}


store_e
store_login_create(store_pg_t *pg, const char *number, uint64_t *user_r)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "login_create",
        "INSERT INTO users (phone_number) VALUES ($1) RETURNING id",
        1
    };

    a = store_pg_args(pg);
    store_args_scalar_text(a, number);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    *user_r = (uint64_t) store_row_i64(res, 0, 0);
    PQclear(res);

    return STORE_OK;
}


store_e
store_token_put(store_pg_t *pg, const uint8_t hash[32], uint64_t device)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "token_put",
        "INSERT INTO refresh_tokens (token_hash, device_id) VALUES ($1, $2)",
        2
    };

    a = store_pg_args(pg);
    store_args_scalar_bytes(a, hash, 32);
    store_args_scalar_i64(a, device);

    rc = store_pg_query(pg, &stmt, &res);

    return store_login_done(rc, res);
}


store_e
store_token_lock(store_pg_t *pg, const uint8_t hash[32],
    store_token_t *token_r)
{
    store_e        rc;
    PGresult      *res;
    chat_str_t     str;
    store_args_t  *a;

    /* clock_timestamp() includes the wait for the lock */
    static const store_stmt_t  stmt = {
        "token_lock",
        "SELECT d.user_id, d.id, d.revoked_at IS NOT NULL, "
            "u.suspended_at IS NOT NULL, t.replaced_at IS NOT NULL, "
            "t.replaced_at >= clock_timestamp() - interval '60 seconds', "
            "t.replaced_by, t.successor "
        "FROM refresh_tokens t JOIN devices d ON d.id = t.device_id "
            "JOIN users u ON u.id = d.user_id "
        "WHERE t.token_hash = $1 FOR UPDATE OF t, d",
        1
    };

    a = store_pg_args(pg);
    store_args_scalar_bytes(a, hash, 32);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    if (PQntuples(res) == 0) {
        PQclear(res);
        return STORE_NOT_FOUND;
    }

    memset(token_r, 0, sizeof(*token_r));
    token_r->user = (uint64_t) store_row_i64(res, 0, 0);
    token_r->device = (uint64_t) store_row_i64(res, 0, 1);
    token_r->revoked = store_row_bool(res, 0, 2);
    token_r->suspended = store_row_bool(res, 0, 3);
    token_r->replaced = store_row_bool(res, 0, 4);
    token_r->recent = store_row_bool(res, 0, 5);

    str = store_row_str(res, 0, 6);
    if (str.len == sizeof(token_r->replaced_by)) {
        memcpy(token_r->replaced_by, str.data, str.len);
    }

    str = store_row_str(res, 0, 7);
    if (str.len <= sizeof(token_r->sealed)) {
        memcpy(token_r->sealed, str.data ? str.data : "", str.len);
        token_r->nsealed = str.len;
    }

    PQclear(res);

    return STORE_OK;
}


store_e
store_token_replace(store_pg_t *pg, const uint8_t hash[32],
    const uint8_t by[32], const uint8_t *sealed, size_t nsealed)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "token_replace",
        "UPDATE refresh_tokens SET replaced_at = clock_timestamp(), "
            "replaced_by = $2, used = true, successor = $3 "
        "WHERE token_hash = $1",
        3
    };

    a = store_pg_args(pg);
    store_args_scalar_bytes(a, hash, 32);
    store_args_scalar_bytes(a, by, 32);
    store_args_scalar_bytes(a, sealed, nsealed);

    rc = store_pg_query(pg, &stmt, &res);

    return store_login_done(rc, res);
}


store_e
store_token_is_used(store_pg_t *pg, const uint8_t hash[32], int *used_r)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "token_is_used",
        "SELECT used FROM refresh_tokens WHERE token_hash = $1",
        1
    };

    a = store_pg_args(pg);
    store_args_scalar_bytes(a, hash, 32);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    *used_r = PQntuples(res) == 0 || store_row_bool(res, 0, 0);
    PQclear(res);

    return STORE_OK;
}


static store_e
store_login_done(store_e rc, PGresult *res)
{
    if (rc == STORE_OK) {
        PQclear(res);
    }

    return rc;
}
