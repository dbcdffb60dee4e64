/*
 * store_chat_pg.c: the connection of a message worker and its transaction.
 *
 * Called from store_chat.c and store_chat_pg_*.c; hands to store_pg.h.
 */

#include <stdlib.h>

#include "store_chat_pg.h"
#include "worker.h"

static void store_chat_pg_free(store_chat_t *base);
static store_pg_t *store_chat_pg_accounts(store_chat_t *base);
static store_e store_chat_pg_connect(store_chat_t *base, int *new_r);
static void store_chat_pg_close(store_chat_t *base);
static int store_chat_pg_connected(const store_chat_t *base);
static store_e store_chat_pg_poll(store_chat_t *base);
static store_e store_chat_pg_check(store_chat_t *base);
static store_e store_chat_pg_commit(store_chat_t *base);
static void store_chat_pg_rollback(store_chat_t *base);
static const char *store_chat_pg_error(const store_chat_t *base);

static const store_chat_ops_t  store_chat_pg_ops = {
    .free = store_chat_pg_free,
    .accounts = store_chat_pg_accounts,
    .connect = store_chat_pg_connect,
    .close = store_chat_pg_close,
    .connected = store_chat_pg_connected,
    .poll = store_chat_pg_poll,
    .check = store_chat_pg_check,
    .commit = store_chat_pg_commit,
    .rollback = store_chat_pg_rollback,
    .error = store_chat_pg_error,
    .shard_take = store_chat_pg_shard_take,
    .shard_release = store_chat_pg_shard_release,
    .shard_holders = store_chat_pg_shard_holders,
    .shard_cut = store_chat_pg_shard_cut,
    .load = store_chat_pg_load,
    .create = store_chat_pg_create,
    .title = store_chat_pg_title,
    .members_add = store_chat_pg_members_add,
    .member_leave = store_chat_pg_member_leave,
    .roles = store_chat_pg_roles,
    .clear = store_chat_pg_clear,
    .member_view = store_chat_pg_member_view,
    .append = store_chat_pg_append,
    .entry = store_chat_pg_entry,
    .entries_since = store_chat_pg_entries_since,
    .receipts = store_chat_pg_receipts,
    .target = store_chat_pg_target,
    .edit = store_chat_pg_edit,
    .erase = store_chat_pg_erase,
    .key_take = store_chat_pg_key_take,
    .key_fill = store_chat_pg_key_fill
};


store_chat_t *
store_chat_pg_open(const worker_conf_t *conf, const char *name)
{
    store_chat_pg_t  *st;

    st = worker_calloc(1, sizeof(*st));
    st->base.ops = &store_chat_pg_ops;
    st->pg.dsn = conf->pg;
    st->pg.name = name;
    st->pg.session = store_session_chat;

    return &st->base;
}


static void
store_chat_pg_free(store_chat_t *base)
{
    store_chat_pg_t  *st = (store_chat_pg_t *) base;

    store_chat_pg_close(base);
    store_pg_free(&st->pg);
    free(st);
}


static store_pg_t *
store_chat_pg_accounts(store_chat_t *base)
{
    return &((store_chat_pg_t *) base)->pg;
}


static store_e
store_chat_pg_connect(store_chat_t *base, int *new_r)
{
    store_e           rc;
    unsigned          before;
    store_chat_pg_t  *st = (store_chat_pg_t *) base;

    before = st->pg.generation;

    rc = store_pg_connect(&st->pg);
    *new_r = rc == STORE_OK && st->pg.generation != before;

    if (*new_r) {
        store_chat_pg_release(base);
        st->open = 0;
    }

    return rc;
}


static void
store_chat_pg_close(store_chat_t *base)
{
    store_chat_pg_t  *st = (store_chat_pg_t *) base;

    store_chat_pg_release(base);
    st->open = 0;
    store_pg_close(&st->pg);
}


static int
store_chat_pg_connected(const store_chat_t *base)
{
    return ((const store_chat_pg_t *) base)->pg.conn != NULL;
}


static store_e
store_chat_pg_poll(store_chat_t *base)
{
    store_chat_pg_t  *st = (store_chat_pg_t *) base;

    if (store_pg_poll(&st->pg) != STORE_OK) {
        store_chat_pg_close(base);
        return STORE_UNAVAILABLE;
    }

    return STORE_OK;
}


static store_e
store_chat_pg_check(store_chat_t *base)
{
    return store_pg_command(&((store_chat_pg_t *) base)->pg, "SELECT 1");
}


static store_e
store_chat_pg_commit(store_chat_t *base)
{
    store_chat_pg_t  *st = (store_chat_pg_t *) base;

    if (!st->open) {
        return st->pg.conn != NULL ? STORE_OK : STORE_UNAVAILABLE;
    }

    st->open = 0;

    return store_pg_command(&st->pg, "COMMIT");
}


static void
store_chat_pg_rollback(store_chat_t *base)
{
    store_chat_pg_t  *st = (store_chat_pg_t *) base;

    if (!st->open) {
        return;
    }

    st->open = 0;

    if (st->pg.conn != NULL
        && store_pg_command(&st->pg, "ROLLBACK") != STORE_OK)
    {
        /* a connection in an unknown state must not keep its locks */
        store_chat_pg_close(base);
    }
}


static const char *
store_chat_pg_error(const store_chat_t *base)
{
    return store_pg_sqlstate(&((const store_chat_pg_t *) base)->pg);
}


store_e
store_chat_pg_begin(store_chat_t *base)
{
    store_e           rc;
    store_chat_pg_t  *st = (store_chat_pg_t *) base;

    if (st->open) {
        return STORE_OK;
    }

    rc = store_pg_command(&st->pg, "BEGIN");
    st->open = rc == STORE_OK;

    return rc;
}


void
store_chat_pg_release(store_chat_t *base)
{
    store_chat_pg_t  *st = (store_chat_pg_t *) base;

    PQclear(st->res);
    st->res = NULL;
    store_chat_views_free(&st->views);
}


store_args_t *
store_chat_pg_args(store_chat_t *base)
{
    store_chat_pg_release(base);

    return store_pg_args(&((store_chat_pg_t *) base)->pg);
}


store_e
store_chat_pg_change(store_chat_t *base, const store_stmt_t *stmt,
    PGresult **res_r)
{
    store_e  rc;

    rc = store_chat_pg_begin(base);
    if (rc != STORE_OK) {
        return rc;
    }

    return store_chat_pg_query(base, stmt, res_r);
}


store_e
store_chat_pg_query(store_chat_t *base, const store_stmt_t *stmt,
    PGresult **res_r)
{
    store_e           rc;
    store_chat_pg_t  *st = (store_chat_pg_t *) base;

    rc = store_pg_query(&st->pg, stmt, &st->res);
    *res_r = st->res;

    return rc;
}
