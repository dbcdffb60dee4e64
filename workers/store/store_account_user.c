/*
 * store_account_user.c: profiles, PINs, erasure of an account.
 *
 * Called from api_users.c; hands to store_pg.c.
 */

#include <stdlib.h>
#include <string.h>

#include "store_account.h"
#include "store_row.h"
#include "worker.h"

static store_e store_profile_set(store_pg_t *pg, const store_stmt_t *stmt,
    uint64_t user, const char *value);


store_e
store_profile_get(store_pg_t *pg, uint64_t user, store_profile_t *profile_r)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "profile_get",
        "SELECT id, phone_number, username, about, profile_picture_url, "
            "status, privacy ->> 'lastSeen', pin_hash, created_at, last_seen "
        "FROM users WHERE id = $1 AND erased_at IS NULL",
        1
    };

    memset(profile_r, 0, sizeof(*profile_r));

    a = store_pg_args(pg);
    store_args_scalar_i64(a, user);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    if (PQntuples(res) == 0) {
        PQclear(res);
        return STORE_NOT_FOUND;
    }

    profile_r->id = (uint64_t) store_row_i64(res, 0, 0);
    profile_r->number = store_row_str(res, 0, 1);
    profile_r->name = store_row_str(res, 0, 2);
    profile_r->about = store_row_str(res, 0, 3);
    profile_r->picture = store_row_str(res, 0, 4);
    profile_r->status = store_row_str(res, 0, 5);
    profile_r->last_seen_privacy = store_row_str(res, 0, 6);
    profile_r->pin_hash = store_row_str(res, 0, 7);
    profile_r->created = store_row_ms(res, 0, 8);
    profile_r->last_seen = store_row_ms(res, 0, 9);
    profile_r->res = res;

    return STORE_OK;
}


void
store_profile_free(store_profile_t *profile)
{
    PQclear(profile->res);
    memset(profile, 0, sizeof(*profile));
}


store_e
store_profile_change(store_pg_t *pg, uint64_t user,
    const store_profile_change_t *change)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "profile_change",
        "UPDATE users SET "
            "username = CASE WHEN $2 THEN $3 ELSE username END, "
            "about = CASE WHEN $4 THEN $5 ELSE about END, "
            "profile_picture_url = "
                "CASE WHEN $6 THEN $7 ELSE profile_picture_url END "
        "WHERE id = $1 AND erased_at IS NULL",
        7
    };

    a = store_pg_args(pg);
    store_args_scalar_i64(a, user);
    store_args_scalar_bool(a, change->set_name);
    store_args_scalar_text(a, change->name);
    store_args_scalar_bool(a, change->set_about);
    store_args_scalar_text(a, change->about);
    store_args_scalar_bool(a, change->set_picture);
    store_args_scalar_text(a, change->picture);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc == STORE_OK) {
        PQclear(res);
    }

    return rc;
}


store_e
store_profile_status(store_pg_t *pg, uint64_t user, const char *status)
{
    static const store_stmt_t  stmt = {
        "profile_status",
        "UPDATE users SET status = $2 WHERE id = $1 AND erased_at IS NULL",
        2
    };

    return store_profile_set(pg, &stmt, user, status);
}


store_e
store_profile_privacy(store_pg_t *pg, uint64_t user, const char *last_seen)
{
    static const store_stmt_t  stmt = {
        "profile_privacy",
        "UPDATE users "
        "SET privacy = privacy || jsonb_build_object('lastSeen', $2::text) "
        "WHERE id = $1 AND erased_at IS NULL",
        2
    };

    return store_profile_set(pg, &stmt, user, last_seen);
}


store_e
store_profile_pin(store_pg_t *pg, uint64_t user, const char *before,
    const char *hash)
{
    int            none;
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "profile_pin",
        "UPDATE users SET pin_hash = $3 WHERE id = $1 "
            "AND pin_hash IS NOT DISTINCT FROM $2 AND erased_at IS NULL",
        3
    };

    a = store_pg_args(pg);
    store_args_scalar_i64(a, user);
    store_args_scalar_text(a, before);
    store_args_scalar_text(a, hash);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    none = strcmp(PQcmdTuples(res), "0") == 0;
    PQclear(res);

    return none ? STORE_NOT_FOUND : STORE_OK;
}


store_e
store_account_erase(store_pg_t *pg, uint64_t user, store_revoked_t **list_r,
    size_t *n_r)
{
    int               i, n;
    store_e           rc;
    PGresult         *res;
    store_revoked_t  *list;

    static const store_stmt_t  codes = {
        "erase_codes",
        "DELETE FROM login_codes WHERE phone_number = "
            "(SELECT phone_number FROM users WHERE id = $1)",
        1
    };
    static const store_stmt_t  person = {
        "erase_user",
        "UPDATE users SET phone_number = NULL, username = NULL, "
            "profile_picture_url = NULL, about = NULL, pin_hash = NULL, "
            "status = 'available', privacy = '{}', last_seen = NULL, "
            "erased_at = now() "
        "WHERE id = $1 AND erased_at IS NULL",
        1
    };
    static const store_stmt_t  tokens = {
        "erase_tokens",
        "DELETE FROM refresh_tokens WHERE device_id IN "
            "(SELECT id FROM devices WHERE user_id = $1)",
        1
    };
    static const store_stmt_t  devices = {
        "erase_devices",
        "WITH d AS (SELECT id, revoked_at FROM devices WHERE user_id = $1) "
        "UPDATE devices SET name = '', platform = '', last_seen = NULL, "
            "revoked_at = coalesce(devices.revoked_at, now()) "
        "FROM d WHERE devices.id = d.id "
        "RETURNING devices.id, d.revoked_at IS NULL, "
            "ceil(extract(epoch FROM devices.revoked_at))::bigint",
        1
    };
    static const store_stmt_t  *const  before[] = { &codes, &person, &tokens };

    for (i = 0; i < 3; i++) {
        store_args_scalar_i64(store_pg_args(pg), user);

        rc = store_pg_run(pg, before[i]);
        if (rc != STORE_OK) {
            return rc;
        }
    }

    store_args_scalar_i64(store_pg_args(pg), user);

    rc = store_pg_query(pg, &devices, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    list = worker_calloc((size_t) PQntuples(res) + 1, sizeof(*list));

    for (n = 0, i = 0; i < PQntuples(res); i++) {
        if (store_row_bool(res, i, 1)) {
            list[n].user = user;
            list[n].device = (uint64_t) store_row_i64(res, i, 0);
            list[n].at = store_row_i64(res, i, 2);
            n++;
        }
    }

    PQclear(res);
    *list_r = list;
    *n_r = (size_t) n;

    return STORE_OK;
}


static store_e
store_profile_set(store_pg_t *pg, const store_stmt_t *stmt, uint64_t user,
    const char *value)
{
    store_args_t  *a;

    a = store_pg_args(pg);
    store_args_scalar_i64(a, user);
    store_args_scalar_text(a, value);

    return store_pg_run(pg, stmt);
}
