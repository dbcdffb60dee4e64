/*
 * store_pg_wait.c: waits for a PostgreSQL connection until a deadline.
 *
 * Called from store_pg.c; hands to libpq and poll().
 */

#include <errno.h>
#include <poll.h>

#include "store_pg_wait.h"
#include "worker.h"

static int store_pg_poll(PGconn *conn, short events, int64_t deadline);


int
store_pg_wait_sent(PGconn *conn, int64_t deadline)
{
    int  rc;

    for ( ;; ) {
        rc = PQflush(conn);
        if (rc <= 0) {
            return rc;
        }

        /* A server that is blocked writing to us reads nothing until we read
         * what it has written. */
        rc = store_pg_poll(conn, POLLIN|POLLOUT, deadline);
        if (rc < 0) {
            return -1;
        }

        if ((rc & POLLIN) && !PQconsumeInput(conn)) {
            return -1;
        }
    }
}


int
store_pg_wait_result(PGconn *conn, int64_t deadline)
{
    while (PQisBusy(conn)) {

        if (store_pg_poll(conn, POLLIN, deadline) < 0) {
            return -1;
        }

        /* On failure libpq may still hold the server's last error, such as
         * 57P01, which PQgetResult() then returns. */
        if (!PQconsumeInput(conn)) {
            return 0;
        }
    }

    return 0;
}


/* The ready events, or -1 at the deadline. A signal does not end the wait: a
 * worker that has to stop finishes its statement. */

static int
store_pg_poll(PGconn *conn, short events, int64_t deadline)
{
    int            rc, wait;
    int64_t        left;
    struct pollfd  fd;

    for ( ;; ) {
        wait = -1;

        if (deadline != INT64_MAX) {
            left = deadline - worker_mono_ms();
            if (left <= 0) {
                return -1;
            }
            wait = (int) left;
        }

        fd.fd = PQsocket(conn);
        fd.events = events;
        fd.revents = 0;

        if (fd.fd < 0) {
            return -1;
        }

        rc = poll(&fd, 1, wait);

        if (rc > 0) {
            return (fd.revents & (POLLERR|POLLHUP|POLLNVAL))
                   ? fd.revents | POLLIN : fd.revents;
        }

        if (rc < 0 && errno != EINTR) {
            return -1;
        }
    }
}
