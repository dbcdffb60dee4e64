/*
 * store_pg.h: one connection to PostgreSQL, and statements on it.
 *
 * Called from the store_* files, api_db.c and chatctl; hands to libpq.
 *
 * store_conn.c      connects with deadlines, applies the session settings
 * store_pg.c        prepares and executes statements, classifies errors
 * store_pg_wait.c   waits on the socket
 *
 * A statement is prepared at its first use on a connection. Tells a broken
 * connection (the environment is at fault) from a failed statement (we, or the
 * data, are).
 */

#ifndef STORE_PG_H
#define STORE_PG_H

#include <libpq-fe.h>

#include "store_args.h"
#include "store_result.h"

#define STORE_PG_LIMIT       10000  /* ms until a statement is answered     */
#define STORE_PG_STATEMENTS  256    /* prepared on one connection           */

/* Zeroed, then dsn, name and session are set by the owner. */
typedef struct store_pg_s {
    PGconn        *conn;        /* NULL while not connected                 */
    const char    *dsn;         /* borrowed                                 */
    const char    *name;        /* application_name, borrowed               */
    const char    *session;     /* a store_session_*, borrowed, or NULL     */
    unsigned       generation;  /* rises with every connect                 */
    int            limit_ms;    /* of one statement; 0: STORE_PG_LIMIT,
                                   below 0: none                            */
    int            verbose;     /* log the server's message text too: for an
                                   operator's tool, which handles no chat
                                   messages                                 */
    char           prepared[STORE_PG_STATEMENTS][32]; /* on this connection */
    int            nprepared;
    char           sqlstate[6]; /* of the last STORE_FAILED, STORE_CONFLICT */
    store_args_t   args;        /* of the next statement                    */
} store_pg_t;

typedef struct {
    const char    *name;        /* unique, at most 31 characters            */
    const char    *sql;
    int            nparams;
} store_stmt_t;

/* Planner settings of a connection, by the statements it executes: one plan
 * for all values, by index. Planning for sixteen partitions costs more than
 * these statements do, and a plan must not depend on old statistics. */
extern const char  store_session_chat[];        /* message worker           */
extern const char  store_session_api[];
extern const char  store_session_sync[];
extern const char  store_session_presence[];

/* Connects when not connected, and applies the session settings: connect
 * timeout 2 s and statement_timeout 5 s unless the DSN says otherwise;
 * search_path untouched. STORE_OK or STORE_UNAVAILABLE. */
store_e store_pg_connect(store_pg_t *pg);
void store_pg_close(store_pg_t *pg);

/* Closes, and frees the memory of the parameters. */
void store_pg_free(store_pg_t *pg);

/* Detects, at the cost of one poll(), that the server has closed an idle
 * connection, and closes it here too: STORE_UNAVAILABLE. */
store_e store_pg_poll(store_pg_t *pg);

/* The stricter form, for a connection that holds no locks and may be replaced
 * at any time: closes it when there is anything at all to read, so that the
 * next store_pg_connect() makes a new one. */
void store_pg_drop_stale(store_pg_t *pg);

/* Begins the parameters of the next statement; borrowed. */
store_args_t *store_pg_args(store_pg_t *pg);

/* Executes a statement with the parameters begun by store_pg_args(). The
 * result is binary, new, and set on STORE_OK only. Never reconnects: a
 * transaction must not be continued on another connection. */
store_e store_pg_query(store_pg_t *pg, const store_stmt_t *stmt,
    PGresult **res_r);

/* store_pg_query() for a statement whose result nobody reads. */
store_e store_pg_run(store_pg_t *pg, const store_stmt_t *stmt);

/* One or more commands as text, without parameters, such as BEGIN or COMMIT. */
store_e store_pg_command(store_pg_t *pg, const char *sql);

/* Of the last STORE_FAILED, five characters, "" if none. */
const char *store_pg_sqlstate(const store_pg_t *pg);

/* store_conn.c, for store_pg.c: logs and closes; STORE_UNAVAILABLE. */
store_e store_pg_lost(store_pg_t *pg, const char *what, const char *why);

#endif
