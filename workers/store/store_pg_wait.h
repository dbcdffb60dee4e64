/*
 * store_pg_wait.h: waits for a PostgreSQL connection until a deadline.
 *
 * Called from store_pg.c. The connection is in libpq's non-blocking mode.
 * Deadlines are monotonic ms, INT64_MAX for none.
 */

#ifndef STORE_PG_WAIT_H
#define STORE_PG_WAIT_H

#include <stdint.h>

#include <libpq-fe.h>

/* Until libpq has sent its output. 0, or -1: broken, or deadline reached. */
int store_pg_wait_sent(PGconn *conn, int64_t deadline);

/* Until PQgetResult() does not block. 0, also when the connection broke and
 * PQgetResult() will report it; -1: deadline reached. */
int store_pg_wait_result(PGconn *conn, int64_t deadline);

#endif
