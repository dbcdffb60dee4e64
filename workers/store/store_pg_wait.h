/*
 * store_pg_wait.h: waiting for a PostgreSQL connection, with an end.
 *
 * Called from store_pg.c. The connection is in libpq's non-blocking mode.
 * Deadlines are monotonic ms, INT64_MAX for none.
 */

#ifndef STORE_PG_WAIT_H
#define STORE_PG_WAIT_H

#include <stdint.h>

#include <libpq-fe.h>

/* Until what libpq holds has been sent. 0, or -1: broken, or time is up. */
int store_pg_wait_sent(PGconn *conn, int64_t deadline);

/* Until PQgetResult() does not block. 0, also when the connection broke and
 * PQgetResult() will say so; -1: time is up. */
int store_pg_wait_result(PGconn *conn, int64_t deadline);

#endif
