/*
 * store_account.c: transactions, devices and upkeep of store_account.h.
 *
 * Called from api_*.c; hands to store_pg.h.
 */

#include <stdlib.h>
#include <string.h>

#include "store_account.h"
#include "store_row.h"
#include "worker.h"

/* Replaced tokens are kept this long, so that their reuse is detected. */
#define STORE_TOKENS_KEPT  "interval '90 days'"

/* limit of rows that one trim deletes from each table */
#define STORE_TRIM_MAX     "5000"


store_e
store_account_begin(store_pg_t *pg)
{
    return store_pg_command(pg, "BEGIN");
}


store_e
store_account_commit(store_pg_t *pg)
{
    return store_pg_command(pg, "COMMIT");
}


void
store_account_rollback(store_pg_t *pg)
{
    if (pg->conn != NULL) {
        (void) store_pg_command(pg, "ROLLBACK");
    }
}


store_e
store_account_ping(store_pg_t *pg)
{
    return store_pg_command(pg, "SELECT 1");
}


store_e
store_device_list(store_pg_t *pg, uint64_t user, store_devices_t *list_r)
{
    int              i;
    store_e          rc;
    store_device_t  *d;
    store_args_t    *a;

    static const store_stmt_t  stmt = {
        "device_list",
        "SELECT id, name, platform, created_at, last_seen FROM devices "
        "WHERE user_id = $1 AND revoked_at IS NULL ORDER BY id LIMIT 64",
        1
    };

    memset(list_r, 0, sizeof(*list_r));

    a = store_pg_args(pg);
    store_args_scalar_i64(a, user);

    rc = store_pg_query(pg, &stmt, &list_r->res);
    if (rc != STORE_OK) {
        return rc;
    }

    list_r->n = (size_t) PQntuples(list_r->res);

    for (i = 0; i < (int) list_r->n; i++) {
        d = &list_r->items[i];
        d->id = (uint64_t) store_row_i64(list_r->res, i, 0);
        d->name = store_row_str(list_r->res, i, 1);
        d->platform = store_row_str(list_r->res, i, 2);
        d->created = store_row_ms(list_r->res, i, 3);
        d->last_seen = store_row_ms(list_r->res, i, 4);
    }

    return STORE_OK;
}


void
store_devices_free(store_devices_t *list)
{
    PQclear(list->res);
    memset(list, 0, sizeof(*list));
}


store_e
store_device_create(store_pg_t *pg, uint64_t user, const char *name,
    const char *platform, uint64_t *device_r)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "device_create",
        "INSERT INTO devices (user_id, name, platform, last_seen) "
        "VALUES ($1, $2, $3, now()) RETURNING id",
        3
    };

    a = store_pg_args(pg);
    store_args_scalar_i64(a, user);
    store_args_scalar_text(a, name);
    store_args_scalar_text(a, platform);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    *device_r = (uint64_t) store_row_i64(res, 0, 0);
    PQclear(res);

    return STORE_OK;
}


/* The tokens are kept for a while, so that a client that presents one gets the
 * error for a revoked device and not for an unknown token. They are not touched
 * here, because a refresh locks the token first and the device second. */

store_e
store_device_revoke(store_pg_t *pg, uint64_t user, uint64_t device)
{
    int            n;
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "device_revoke",
        "UPDATE devices SET revoked_at = now() "
        "WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL RETURNING id",
        2
    };

    a = store_pg_args(pg);
    store_args_scalar_i64(a, device);
    store_args_scalar_i64(a, user);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    n = PQntuples(res);
    PQclear(res);

    return n == 0 ? STORE_NOT_FOUND : STORE_OK;
}


store_e
store_device_seen(store_pg_t *pg, uint64_t device)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "device_seen",
        "UPDATE devices SET last_seen = now() WHERE id = $1",
        1
    };

    a = store_pg_args(pg);
    store_args_scalar_i64(a, device);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc == STORE_OK) {
        PQclear(res);
    }

    return rc;
}


store_e
store_device_standing(store_pg_t *pg, uint64_t user, uint64_t device,
    store_standing_t *standing_r)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "device_standing",
        "SELECT d.revoked_at IS NOT NULL, u.suspended_at IS NOT NULL, "
            "u.erased_at IS NOT NULL "
        "FROM devices d JOIN users u ON u.id = d.user_id "
        "WHERE d.id = $1 AND d.user_id = $2",
        2
    };

    a = store_pg_args(pg);
    store_args_scalar_i64(a, device);
    store_args_scalar_i64(a, user);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    if (PQntuples(res) == 0) {
        PQclear(res);
        return STORE_NOT_FOUND;
    }

    standing_r->revoked = store_row_bool(res, 0, 0);
    standing_r->suspended = store_row_bool(res, 0, 1);
    standing_r->erased = store_row_bool(res, 0, 2);
    PQclear(res);

    return STORE_OK;
}


store_e
store_device_revoked(store_pg_t *pg, int seconds, store_revoked_t **list_r,
    size_t *n_r)
{
    int               i, n;
    store_e           rc;
    PGresult         *res;
    store_revoked_t  *list;
    store_args_t     *a;

    static const store_stmt_t  stmt = {
        "device_revoked",
        "SELECT user_id, id, ceil(extract(epoch FROM revoked_at))::bigint "
        "FROM devices WHERE revoked_at IS NOT NULL "
            "AND revoked_at > now() - $1 * interval '1 second'",
        1
    };

    a = store_pg_args(pg);
    store_args_scalar_i64(a, seconds);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    n = PQntuples(res);
    list = worker_calloc((size_t) n + 1, sizeof(*list));

    for (i = 0; i < n; i++) {
        list[i].user = (uint64_t) store_row_i64(res, i, 0);
        list[i].device = (uint64_t) store_row_i64(res, i, 1);
        list[i].at = store_row_i64(res, i, 2);
    }

    PQclear(res);
    *list_r = list;
    *n_r = (size_t) n;

    return STORE_OK;
}


store_e
store_account_trim(store_pg_t *pg)
{
    size_t   i;
    store_e  rc;

    static const char *const  sql[] = {
        "DELETE FROM login_codes WHERE phone_number IN (SELECT phone_number "
            "FROM login_codes WHERE expires_at < now() LIMIT "
            STORE_TRIM_MAX ")",

        "UPDATE refresh_tokens SET successor = NULL WHERE token_hash IN "
            "(SELECT token_hash FROM refresh_tokens WHERE successor IS NOT "
            "NULL AND replaced_at < now() - interval '60 seconds' LIMIT "
            STORE_TRIM_MAX ")",

        "DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(SELECT ctid "
            "FROM idempotency_keys WHERE created_at < now() - "
            "interval '24 hours' LIMIT " STORE_TRIM_MAX "))",

        "DELETE FROM refresh_tokens WHERE token_hash IN (SELECT token_hash "
            "FROM refresh_tokens WHERE replaced_at < now() - "
            STORE_TOKENS_KEPT " LIMIT " STORE_TRIM_MAX ")",

        "DELETE FROM refresh_tokens WHERE token_hash IN (SELECT token_hash "
            "FROM refresh_tokens t JOIN devices d ON d.id = t.device_id "
            "WHERE d.revoked_at BETWEEN now() - interval '8 days' "
            "AND now() - interval '7 days' LIMIT " STORE_TRIM_MAX ")",
    };

    for (i = 0; i < sizeof(sql) / sizeof(sql[0]); i++) {
        rc = store_pg_command(pg, sql[i]);
        if (rc != STORE_OK) {
            return rc;
        }
    }

    return STORE_OK;
}
