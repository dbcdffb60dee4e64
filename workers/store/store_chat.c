/*
 * store_chat.c: the connection of a message worker and its transaction.
 *
 * Called from workers/message/; hands to store_pg.c.
 */

#include <poll.h>
#include <stdlib.h>

#include "store_chat_pg.h"
#include "worker.h"

/*
 * The statements here have one good plan, by index, whatever the tables hold;
 * a plan must not depend on statistics of an hour ago. Planning for sixteen
 * partitions anew would cost more than the statement.
 */
static const char  store_chat_settings[] =
    "SET plan_cache_mode = force_generic_plan;"
    "SET jit = off;"
    "SET enable_seqscan = off";


store_chat_t *
store_chat_new(const char *dsn, const char *name)
{
    store_chat_t  *st;

    st = worker_calloc(1, sizeof(*st));
    st->pg.dsn = dsn;
    st->pg.name = name;

    return st;
}


void
store_chat_free(store_chat_t **st)
{
    if (*st == NULL) {
        return;
    }

    store_chat_close(*st);
    store_args_free(&(*st)->args);
    free(*st);
    *st = NULL;
}


store_e
store_chat_connect(store_chat_t *st, int *fresh_r)
{
    store_e   rc;
    unsigned  before;

    before = st->pg.generation;
    *fresh_r = 0;

    rc = store_pg_connect(&st->pg);
    if (rc != STORE_OK) {
        return rc;
    }

    if (st->pg.generation != before) {
        st->open = 0;
        *fresh_r = 1;

        rc = store_pg_command(&st->pg, store_chat_settings);
        if (rc != STORE_OK) {
            store_chat_close(st);
            return STORE_UNAVAILABLE;
        }
    }

    return STORE_OK;
}


void
store_chat_close(store_chat_t *st)
{
    store_chat_forget(st);
    st->open = 0;
    store_pg_close(&st->pg);
}


int
store_chat_connected(const store_chat_t *st)
{
    return st->pg.conn != NULL;
}


store_e
store_chat_poll(store_chat_t *st)
{
    struct pollfd  fd;

    if (st->pg.conn == NULL) {
        return STORE_UNAVAILABLE;
    }

    fd.fd = PQsocket(st->pg.conn);
    fd.events = POLLIN;
    fd.revents = 0;

    /* between statements there is nothing to read but a farewell */
    if (poll(&fd, 1, 0) > 0 && (!PQconsumeInput(st->pg.conn)
                                || PQstatus(st->pg.conn) != CONNECTION_OK))
    {
        worker_log(WORKER_WARN, "database lost: closed by the server");
        store_chat_close(st);
        return STORE_UNAVAILABLE;
    }

    return STORE_OK;
}


store_e
store_chat_check(store_chat_t *st)
{
    return store_pg_command(&st->pg, "SELECT 1");
}


store_e
store_chat_commit(store_chat_t *st)
{
    if (!st->open) {
        return store_chat_connected(st) ? STORE_OK : STORE_UNAVAILABLE;
    }

    st->open = 0;

    return store_pg_command(&st->pg, "COMMIT");
}


void
store_chat_rollback(store_chat_t *st)
{
    if (!st->open) {
        return;
    }

    st->open = 0;

    if (st->pg.conn != NULL
        && store_pg_command(&st->pg, "ROLLBACK") != STORE_OK)
    {
        /* a connection in an unknown state keeps no locks */
        store_chat_close(st);
    }
}


const char *
store_chat_sqlstate(const store_chat_t *st)
{
    return store_pg_sqlstate(&st->pg);
}


store_e
store_chat_begin(store_chat_t *st)
{
    store_e  rc;

    if (st->open) {
        return STORE_OK;
    }

    rc = store_pg_command(&st->pg, "BEGIN");
    st->open = rc == STORE_OK;

    return rc;
}


void
store_chat_forget(store_chat_t *st)
{
    PQclear(st->held);
    st->held = NULL;
    store_chat_views_free(&st->views);
}


store_args_t *
store_chat_args(store_chat_t *st)
{
    store_chat_forget(st);
    store_args_begin(&st->args);

    return &st->args;
}


store_e
store_chat_exec(store_chat_t *st, const store_stmt_t *stmt, PGresult **res_r)
{
    store_e  rc;

    rc = store_chat_begin(st);
    if (rc != STORE_OK) {
        return rc;
    }

    return store_chat_exec_alone(st, stmt, res_r);
}


store_e
store_chat_exec_alone(store_chat_t *st, const store_stmt_t *stmt,
    PGresult **res_r)
{
    store_e  rc;

    rc = store_args_exec(&st->args, &st->pg, stmt, &st->held);
    *res_r = st->held;

    return rc;
}
