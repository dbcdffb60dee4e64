/*
 * store_pg.h: one connection to PostgreSQL.
 *
 * Called from the store_* files of one process; hands to libpq. Statements
 * are prepared on first use by their name, again after a reconnect. Knows
 * when the connection is broken (environment) and when a statement was wrong
 * (us or the data).
 */

#ifndef STORE_PG_H
#define STORE_PG_H

#include <libpq-fe.h>

#include "store_result.h"

#define STORE_PG_LIMIT       10000  /* ms until a statement is answered   */
#define STORE_PG_STATEMENTS  256    /* prepared on one connection         */

typedef struct {
    PGconn      *conn;          /* NULL while not connected               */
    const char  *dsn;           /* borrowed                               */
    const char  *name;          /* application_name, borrowed             */
    unsigned     generation;    /* rises with every connect               */
    int          limit_ms;      /* of one statement; 0: STORE_PG_LIMIT,
                                   below 0: none                          */
    int          verbose;       /* log the server's sentence too: for an
                                   operator's tool, which handles no
                                   messages                               */
    char         prepared[STORE_PG_STATEMENTS][32]; /* on this connection */
    int          nprepared;
    char         sqlstate[6];   /* of the last STORE_FAILED or STORE_CONFLICT  */
} store_pg_t;

typedef struct {
    const char  *name;          /* unique, at most 31 characters          */
    const char  *sql;
    int          nparams;
    const Oid   *types;         /* or NULL: inferred                      */
} store_stmt_t;

/* Connects when not connected; connect_timeout 2 s and statement_timeout 5 s
 * unless the DSN says otherwise; search_path untouched. STORE_OK or AWAY. */
store_e store_pg_connect(store_pg_t *pg);
void store_pg_close(store_pg_t *pg);

/* Executes a prepared statement; params as PQexecPrepared takes them (formats
 * and lengths may be NULL: text). The result, binary when `binary`, is new
 * and goes into *res_r on STORE_OK only. Never reconnects by itself: a
 * transaction must not be continued on another connection. */
store_e store_pg_exec(store_pg_t *pg, const store_stmt_t *stmt,
    const char *const *params, const int *lengths, const int *formats,
    int binary, PGresult **res_r);

/* A simple command: BEGIN, COMMIT, ROLLBACK. */
store_e store_pg_command(store_pg_t *pg, const char *sql);

/* Of the last STORE_FAILED, five characters, "" if none. */
const char *store_pg_sqlstate(const store_pg_t *pg);

#endif
