/*
 * store_pg.c: executes statements on one connection, see store_pg.h.
 *
 * Called from the store_* files; hands to libpq and store_pg_wait.c. A server
 * that is stopped, or a network that drops packets, costs STORE_PG_LIMIT and
 * does not block the process. Logs the sqlstate and the statement's name,
 * never the server's message text: it may quote what a user wrote.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_pg.h"
#include "store_pg_wait.h"
#include "worker.h"

static store_e store_pg_prepare(store_pg_t *pg, const store_stmt_t *stmt);
static store_e store_pg_finish(store_pg_t *pg, const char *what,
    PGresult **res_r);
static store_e store_pg_classify(store_pg_t *pg, const char *what,
    PGresult *res);


store_args_t *
store_pg_args(store_pg_t *pg)
{
    store_args_begin(&pg->args);

    return &pg->args;
}


store_e
store_pg_query(store_pg_t *pg, const store_stmt_t *stmt, PGresult **res_r)
{
    int          lengths[STORE_ARGS_MAX], formats[STORE_ARGS_MAX];
    store_e      rc;
    const char  *values[STORE_ARGS_MAX];

    *res_r = NULL;

    if (stmt->nparams != pg->args.n) {
        worker_die("statement %s: %d parameters", stmt->name, pg->args.n);
    }

    if (pg->conn == NULL) {
        return STORE_UNAVAILABLE;
    }

    rc = store_pg_prepare(pg, stmt);
    if (rc != STORE_OK) {
        return rc;
    }

    store_args_finish(&pg->args, values, lengths, formats);

    if (!PQsendQueryPrepared(pg->conn, stmt->name, stmt->nparams, values,
                             lengths, formats, 1))
    {
        return store_pg_lost(pg, stmt->name, "could not be sent");
    }

    return store_pg_finish(pg, stmt->name, res_r);
}


store_e
store_pg_run(store_pg_t *pg, const store_stmt_t *stmt)
{
    store_e    rc;
    PGresult  *res;

    rc = store_pg_query(pg, stmt, &res);
    PQclear(res);

    return rc;
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

    /* The server answers COMMIT of a failed transaction with success and the
     * command tag ROLLBACK; treating it as a commit would lose messages. */
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
                       pg->args.types))
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


/* Waits for the answer. With several statements in one command the first error
 * counts, else the last result. */

static store_e
store_pg_finish(store_pg_t *pg, const char *what, PGresult **res_r)
{
    int        limit;
    int64_t    deadline;
    store_e    rc, one;
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

        one = store_pg_classify(pg, what, res);
        if (one == STORE_UNAVAILABLE) {
            PQclear(res);
            PQclear(last);
            return store_pg_lost(pg, what, "connection broken");
        }

        if (rc == STORE_OK) {
            rc = one;
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
store_pg_classify(store_pg_t *pg, const char *what, PGresult *res)
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

    /* The environment: connection exceptions (08), shutting down or starting
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
        worker_log(WORKER_INFO, "statement=%s sqlstate=%s retry", what, state);
        return STORE_CONFLICT;
    }

    /* Class 42 is about our own SQL text, so the message holds no data. */
    if (pg->verbose || strncmp(state, "42", 2) == 0) {
        worker_log(WORKER_ERROR, "statement=%s sqlstate=%s %s", what, state,
                   PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));

    } else {
        worker_log(WORKER_DEBUG, "statement=%s sqlstate=%s", what, state);
    }

    return STORE_FAILED;
}
