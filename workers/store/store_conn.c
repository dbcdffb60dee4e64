/*
 * store_conn.c: connects to PostgreSQL and closes, see store_pg.h.
 *
 * Called from the store_* files, api_db.c and chatctl; hands to libpq. The
 * connection is in libpq's non-blocking mode from then on, so that store_pg.c
 * can wait with a deadline.
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_pg.h"
#include "worker.h"

const char  store_session_chat[] =
    "SET plan_cache_mode = force_generic_plan;"
    "SET jit = off;"
    "SET enable_seqscan = off";

const char  store_session_api[] =
    "SET plan_cache_mode = force_generic_plan;"
    "SET enable_seqscan = off;"
    "SET enable_bitmapscan = off;"
    "SET enable_hashjoin = off;"
    "SET enable_mergejoin = off;"
    "SET enable_sort = off;"
    "SET jit = off";

const char  store_session_sync[] =
    "SET plan_cache_mode = force_generic_plan;"
    "SET enable_seqscan = off";

const char  store_session_presence[] =
    "SET enable_seqscan = off";

static char *store_pg_options(const char *dsn);
static void store_pg_log_connect(const store_pg_t *pg);


store_e
store_pg_connect(store_pg_t *pg)
{
    char        *options;
    const char  *keys[16], *values[16];
    int          n;

    if (pg->conn != NULL) {
        if (PQstatus(pg->conn) == CONNECTION_OK) {
            return STORE_OK;
        }
        store_pg_close(pg);
    }

    options = store_pg_options(pg->dsn);

    /* With expand_dbname a later key wins: keys before "dbname" are defaults
     * that the DSN may override, "options" behind it is final. */
    n = 0;
#define ADD(key, value)  (keys[n] = (key), values[n] = (value), n++)
    ADD("connect_timeout", "2");
    ADD("keepalives", "1");
    ADD("keepalives_idle", "4");
    ADD("keepalives_interval", "2");
    ADD("keepalives_count", "2");
    ADD("tcp_user_timeout", "8000");
    ADD("application_name", pg->name ? pg->name : "chat-worker");
    ADD("dbname", pg->dsn);
    ADD("options", options);
    ADD(NULL, NULL);
#undef ADD

    pg->conn = PQconnectdbParams(keys, values, 1);
    free(options);

    if (pg->conn == NULL) {
        worker_die("PQconnectdbParams: out of memory");
    }

    if (PQstatus(pg->conn) != CONNECTION_OK) {
        store_pg_log_connect(pg);
        store_pg_close(pg);
        return STORE_UNAVAILABLE;
    }

    if (PQsetnonblocking(pg->conn, 1) != 0) {
        return store_pg_lost(pg, "connect", "cannot be non-blocking");
    }

    pg->generation++;
    pg->nprepared = 0;
    pg->sqlstate[0] = '\0';

    if (pg->session != NULL
        && store_pg_command(pg, pg->session) != STORE_OK)
    {
        store_pg_close(pg);
        return STORE_UNAVAILABLE;
    }

    return STORE_OK;
}


void
store_pg_close(store_pg_t *pg)
{
    if (pg->conn != NULL) {
        PQfinish(pg->conn);
    }

    pg->conn = NULL;
    pg->nprepared = 0;
}


void
store_pg_free(store_pg_t *pg)
{
    store_pg_close(pg);
    store_args_free(&pg->args);
}


store_e
store_pg_poll(store_pg_t *pg)
{
    struct pollfd  fd;

    if (pg->conn == NULL) {
        return STORE_UNAVAILABLE;
    }

    fd.fd = PQsocket(pg->conn);
    fd.events = POLLIN;
    fd.revents = 0;

    /* Between statements there is nothing to read but the server's goodbye. */
    if (poll(&fd, 1, 0) > 0 && (!PQconsumeInput(pg->conn)
                                || PQstatus(pg->conn) != CONNECTION_OK))
    {
        worker_log(WORKER_WARN, "database lost: closed by the server");
        store_pg_close(pg);
        return STORE_UNAVAILABLE;
    }

    return STORE_OK;
}


void
store_pg_drop_stale(store_pg_t *pg)
{
    struct pollfd  fd;

    if (pg->conn == NULL) {
        return;
    }

    /* The server's last message may arrive before the end of file, so the end
     * is not waited for. A notice of a changed server setting costs one
     * reconnect, too. */
    fd.fd = PQsocket(pg->conn);
    fd.events = POLLIN;
    fd.revents = 0;

    if (poll(&fd, 1, 0) != 0) {
        store_pg_close(pg);
    }
}


store_e
store_pg_lost(store_pg_t *pg, const char *what, const char *why)
{
    worker_log(WORKER_WARN, "statement=%s database lost: %s", what, why);
    store_pg_close(pg);

    return STORE_UNAVAILABLE;
}


/* Our settings first, the DSN's options behind them: the last one wins. */

static char *
store_pg_options(const char *dsn)
{
    char              *options;
    const char        *given;
    PQconninfoOption  *list, *o;

    given = NULL;
    list = PQconninfoParse(dsn, NULL);      /* NULL: connecting will fail */

    for (o = list; o != NULL && o->keyword != NULL; o++) {
        if (strcmp(o->keyword, "options") == 0) {
            given = o->val;
        }
    }

    if (asprintf(&options, "-c statement_timeout=5000 "
                 "-c client_min_messages=warning%s%s",
                 given ? " " : "", given ? given : "") < 0)
    {
        worker_die("out of memory");
    }

    PQconninfoFree(list);

    return options;
}


/* Logs the first line of libpq's message: it names host and port, no secret. */

static void
store_pg_log_connect(const store_pg_t *pg)
{
    const char  *text;

    text = PQerrorMessage(pg->conn);

    worker_log(WORKER_WARN, "database unavailable: %.*s",
               (int) strcspn(text, "\n"), text);
}
