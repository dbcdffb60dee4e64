/*
 * store_chat_pg_shard.c: one owner per shard, by session advisory locks.
 *
 * Called from store_chat.c; hands to store_chat_pg.c. A lock belongs to the
 * connection that commits the shard's entries, and ends with it. The token of
 * a holder is the process id of its backend.
 */

#include <stdio.h>
#include <string.h>

#include "store_chat_pg.h"

/* the class of the locks: "CHAT" */
#define STORE_SHARD_CLASS  "1128808788"

/* The volatile function in WHERE is called until LIMIT is reached, so no lock
 * is taken beyond it; MATERIALIZED prevents a second call. */
static const store_stmt_t  store_shard_take_stmt = {
    "shard_take",
    "WITH got AS MATERIALIZED ("
    " SELECT s FROM unnest($1::int4[]) s"
    " WHERE pg_try_advisory_lock(" STORE_SHARD_CLASS ", s) LIMIT $2::int8) "
    "INSERT INTO shard_owners (shard, epoch, worker) "
    "SELECT s, 1, $3::text FROM got "
    "ON CONFLICT (shard) DO UPDATE SET epoch = shard_owners.epoch + 1,"
    " worker = excluded.worker, since = now() "
    "RETURNING shard, epoch",
    3
};

static const store_stmt_t  store_shard_release_stmt = {
    "shard_release",
    "SELECT pg_advisory_unlock(" STORE_SHARD_CLASS ", s)"
    " FROM unnest($1::int4[]) s",
    1
};

/* The worker's id comes from the connection's name, not from shard_owners:
 * between the lock and the row the table still names the previous owner. */
static const store_stmt_t  store_shard_holders_stmt = {
    "shard_holders",
    "SELECT l.objid::int4, l.pid::int4, a.application_name::text"
    " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'advisory' AND l.classid = " STORE_SHARD_CLASS
    " AND l.objsubid = 2 AND l.granted AND l.database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())",
    0
};

static const store_stmt_t  store_shard_cut_stmt = {
    "shard_cut",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid = $1::int4 AND application_name = $2::text",
    2
};

static void store_shard_list(store_args_t *a, const unsigned *shards,
    size_t n);
static store_e store_shard_exec(store_chat_t *st, const store_stmt_t *stmt,
    PGresult **res_r);


store_e
store_chat_pg_shard_take(store_chat_t *st, const unsigned *shards, size_t n,
    size_t max, const char *worker, uint64_t epochs_r[CHAT_SHARDS])
{
    int            i;
    unsigned       shard;
    store_e        rc;
    PGresult      *res;
    chat_str_t     name;
    store_args_t  *a;

    name.data = worker;
    name.len = strlen(worker);

    a = store_chat_pg_args(st);
    store_shard_list(a, shards, n);
    store_args_scalar_i64(a, max);
    store_args_scalar_str(a, &name);

    rc = store_shard_exec(st, &store_shard_take_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    for (i = 0; i < PQntuples(res); i++) {
        shard = (unsigned) store_row_i32(res, i, 0);

        if (shard < CHAT_SHARDS) {
            epochs_r[shard] = (uint64_t) store_row_i64(res, i, 1);
        }
    }

    return STORE_OK;
}


store_e
store_chat_pg_shard_release(store_chat_t *st, const unsigned *shards, size_t n)
{
    PGresult  *res;

    store_shard_list(store_chat_pg_args(st), shards, n);

    return store_shard_exec(st, &store_shard_release_stmt, &res);
}


store_e
store_chat_pg_shard_holders(store_chat_t *st,
    store_shard_holder_t holders_r[CHAT_SHARDS], size_t *n_r)
{
    int                    i;
    store_e                rc;
    PGresult              *res;
    chat_str_t             name;
    store_shard_holder_t  *h;

    *n_r = 0;
    (void) store_chat_pg_args(st);

    rc = store_shard_exec(st, &store_shard_holders_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    for (i = 0; i < PQntuples(res) && *n_r < CHAT_SHARDS; i++) {
        h = &holders_r[(*n_r)++];
        name = store_row_str(res, i, 2);

        h->shard = (unsigned) store_row_i32(res, i, 0);
        h->token = (uint64_t) store_row_i32(res, i, 1);
        (void) snprintf(h->worker, sizeof(h->worker), "%.*s", (int) name.len,
                        name.data ? name.data : "");
    }

    return STORE_OK;
}


store_e
store_chat_pg_shard_cut(store_chat_t *st, const store_shard_holder_t *holder)
{
    PGresult      *res;
    chat_str_t     name;
    store_args_t  *a;

    name.data = holder->worker;
    name.len = strlen(holder->worker);

    a = store_chat_pg_args(st);
    store_args_scalar_i32(a, (uint32_t) holder->token);
    store_args_scalar_str(a, &name);

    return store_shard_exec(st, &store_shard_cut_stmt, &res);
}


static void
store_shard_list(store_args_t *a, const unsigned *shards, size_t n)
{
    size_t  i;

    store_args_array(a, STORE_INT4);

    for (i = 0; i < n; i++) {
        store_args_i32(a, shards[i]);
    }
}


/* Each of these statements is its own transaction. After a failure it is
 * unknown which locks are held, so the connection is closed. */

static store_e
store_shard_exec(store_chat_t *st, const store_stmt_t *stmt, PGresult **res_r)
{
    store_e  rc;

    rc = store_chat_pg_query(st, stmt, res_r);

    if (rc != STORE_OK) {
        store_chat_close(st);
        return STORE_UNAVAILABLE;
    }

    return STORE_OK;
}
