/*
 * store_pg.c: one connection to PostgreSQL, see store_pg.h.
 *
 * Called from the store_* files; hands to libpq and store_pg_wait.c. The
 * connection is kept in libpq's non-blocking mode and waited for with poll(),
 * so that a server that is stopped, or a network that swallows packets, costs
 * STORE_PG_LIMIT and not the process. Logs the sqlstate and the statement's name, never the server's
 * sentence about data: it may quote what a user wrote.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_pg.h"
#include "store_pg_wait.h"
#include "worker.h"

static char *store_pg_options(const char *dsn);
static store_e store_pg_prepare(store_pg_t *pg, const store_stmt_t *stmt);
static store_e store_pg_finish(store_pg_t *pg, const char *what,
    PGresult **res_r);
static store_e store_pg_judge(store_pg_t *pg, const char *what,
    PGresult *res);
static store_e store_pg_lost(store_pg_t *pg, const char *what,
    const char *why);
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

    /* with expand_dbname a later key wins: what stands before dbname is our
     * default, what stands behind it is law */
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


store_e
store_pg_exec(store_pg_t *pg, const store_stmt_t *stmt,
    const char *const *params, const int *lengths, const int *formats,
    int binary, PGresult **res_r)
{
    store_e  rc;

    *res_r = NULL;

    if (pg->conn == NULL) {
        return STORE_UNAVAILABLE;
    }

    rc = store_pg_prepare(pg, stmt);
    if (rc != STORE_OK) {
        return rc;
    }

    if (!PQsendQueryPrepared(pg->conn, stmt->name, stmt->nparams, params,
                             lengths, formats, binary))
    {
        return store_pg_lost(pg, stmt->name, "could not be sent");
    }

    return store_pg_finish(pg, stmt->name, res_r);
}


store_e
store_pg_command(store_pg_t *pg, const char *sql)
{
    store_e    rc;
    PGresult  *res;

    if (pg->conn == NULL) {
        return STORE_UNAVAILABLE;
    }

    if (!PQsendQuery(pg->conn, sql)) {
        return store_pg_lost(pg, "command", "could not be sent");
    }

    rc = store_pg_finish(pg, "command", &res);
    if (rc != STORE_OK) {
        return rc;
    }

    /* the server answers COMMIT of a failed transaction with success and the
     * word ROLLBACK; to take it for a commit would lose messages */
    if (strncasecmp(sql, "COMMIT", 6) == 0
        && strcmp(PQcmdStatus(res), "COMMIT") != 0)
    {
        memcpy(pg->sqlstate, "25P02", sizeof("25P02"));
        rc = STORE_FAILED;
    }

    PQclear(res);

    return rc;
}


const char *
store_pg_sqlstate(const store_pg_t *pg)
{
    return pg->sqlstate;
}


/* Our settings first, the DSN's own options behind them: the last one wins. */

static char *
store_pg_options(const char *dsn)
{
    char              *options;
    const char        *own;
    PQconninfoOption  *list, *o;

    own = NULL;
    list = PQconninfoParse(dsn, NULL);      /* NULL: connecting will tell */

    for (o = list; o != NULL && o->keyword != NULL; o++) {
        if (strcmp(o->keyword, "options") == 0) {
            own = o->val;
        }
    }

    if (asprintf(&options, "-c statement_timeout=5000 "
                 "-c client_min_messages=warning%s%s",
                 own ? " " : "", own ? own : "") < 0)
    {
        worker_die("out of memory");
    }

    PQconninfoFree(list);

    return options;
}


static store_e
store_pg_prepare(store_pg_t *pg, const store_stmt_t *stmt)
{
    int        i;
    store_e    rc;
    PGresult  *res;

    for (i = 0; i < pg->nprepared; i++) {
        if (strcmp(pg->prepared[i], stmt->name) == 0) {
            return STORE_OK;
        }
    }

    if (pg->nprepared == STORE_PG_STATEMENTS
        || strlen(stmt->name) >= sizeof(pg->prepared[0]))
    {
        worker_die("statement %s: too many or too long a name", stmt->name);
    }

    if (!PQsendPrepare(pg->conn, stmt->name, stmt->sql, stmt->nparams,
                       stmt->types))
    {
        return store_pg_lost(pg, stmt->name, "could not be sent");
    }

    rc = store_pg_finish(pg, stmt->name, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    PQclear(res);
    strcpy(pg->prepared[pg->nprepared++], stmt->name);

    return STORE_OK;
}


/* Waits for the answer to what was sent. With several statements in one
 * command the first error counts, else the last result. */

static store_e
store_pg_finish(store_pg_t *pg, const char *what, PGresult **res_r)
{
    int        limit;
    int64_t    deadline;
    store_e    rc, verdict;
    PGresult  *res, *last;

    *res_r = NULL;

    limit = pg->limit_ms ? pg->limit_ms : STORE_PG_LIMIT;
    deadline = limit < 0 ? INT64_MAX : worker_mono_ms() + limit;

    if (store_pg_wait_sent(pg->conn, deadline) != 0) {
        return store_pg_lost(pg, what, "no answer");
    }

    rc = STORE_OK;
    last = NULL;

    for ( ;; ) {
        if (store_pg_wait_result(pg->conn, deadline) != 0) {
            PQclear(last);
            return store_pg_lost(pg, what, "no answer");
        }

        res = PQgetResult(pg->conn);
        if (res == NULL) {
            break;
        }

        verdict = store_pg_judge(pg, what, res);
        if (verdict == STORE_UNAVAILABLE) {
            PQclear(res);
            PQclear(last);
            return store_pg_lost(pg, what, "connection broken");
        }

        if (rc == STORE_OK) {
            rc = verdict;
        }

        PQclear(last);
        last = res;
    }

    if (rc == STORE_OK && last == NULL) {
        return store_pg_lost(pg, what, "no result");
    }

    if (rc != STORE_OK) {
        PQclear(last);
        return rc;
    }

    *res_r = last;

    return STORE_OK;
}


static store_e
store_pg_judge(store_pg_t *pg, const char *what, PGresult *res)
{
    const char  *state;

    switch (PQresultStatus(res)) {

    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
        return STORE_OK;

    case PGRES_FATAL_ERROR:
        break;

    default:
        worker_die("statement %s: unexpected %s", what,
                   PQresStatus(PQresultStatus(res)));
    }

    state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    if (state == NULL || PQstatus(pg->conn) == CONNECTION_BAD) {
        return STORE_UNAVAILABLE;
    }

    /* the environment: connection exceptions (08), shutting down or starting
     * (57P0x), out of disk, memory or connections (53), I/O errors (58) */
    if (strncmp(state, "08", 2) == 0
        || strncmp(state, "57P", 3) == 0
        || strncmp(state, "53", 2) == 0
        || strncmp(state, "58", 2) == 0)
    {
        worker_log(WORKER_WARN, "statement=%s sqlstate=%s", what, state);
        return STORE_UNAVAILABLE;
    }

    snprintf(pg->sqlstate, sizeof(pg->sqlstate), "%s", state);

    /* serialization failure, deadlock, lock or statement timeout */
    if (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0
        || strcmp(state, "55P03") == 0 || strcmp(state, "57014") == 0)
    {
        worker_log(WORKER_INFO, "statement=%s sqlstate=%s again", what, state);
        return STORE_CONFLICT;
    }

    /* class 42 is about our own text, so the sentence may be told */
    if (pg->verbose || strncmp(state, "42", 2) == 0) {
        worker_log(WORKER_ERROR, "statement=%s sqlstate=%s %s", what, state,
                   PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));

    } else {
        worker_log(WORKER_DEBUG, "statement=%s sqlstate=%s", what, state);
    }

    return STORE_FAILED;
}


static store_e
store_pg_lost(store_pg_t *pg, const char *what, const char *why)
{
    worker_log(WORKER_WARN, "statement=%s database lost: %s", what, why);
    store_pg_close(pg);

    return STORE_UNAVAILABLE;
}


/* The first line of libpq's sentence: it names host and port, no secret. */

static void
store_pg_log_connect(const store_pg_t *pg)
{
    const char  *text;

    text = PQerrorMessage(pg->conn);

    worker_log(WORKER_WARN, "database away: %.*s",
               (int) strcspn(text, "\n"), text);
}
