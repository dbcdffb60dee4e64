/*
 * store_read_pg_shared.c: whether two users share a chat.
 *
 * Called from store_presence.c; hands to store_pg.h.
 */

#include <string.h>

#include "store_read_ops.h"
#include "store_row.h"

/* The asker's chats one after the other, until the user is in one. Scalar
 * sub-selects, because for a join the planner reads the chats of both and
 * hashes them, at four times the cost. The asker's own chats bound the cost, so
 * a user in many chats is not expensive to others. */
static const store_stmt_t  store_read_pg_shared_stmt = {
    "presence_shared",
    "SELECT w.n"
    "  FROM unnest($1::bigint[], $2::bigint[])"
    "       WITH ORDINALITY AS w (asker, person, n)"
    " WHERE (SELECT true FROM chat_members a"
    "         WHERE a.user_id = w.asker AND a.left_seq IS NULL"
    "           AND (SELECT true FROM chat_members m"
    "                 WHERE m.chat_id = a.chat_id AND m.user_id = w.person"
    "                   AND m.left_seq IS NULL)"
    "         LIMIT 1)",
    2
};


store_e
store_read_pg_shared(store_reader_t *reader, const store_pair_t *pairs,
    size_t n, uint8_t *shared_r)
{
    int            row;
    size_t         i;
    store_e        rc;
    int64_t        at;
    PGresult      *res;
    store_args_t  *a;

    memset(shared_r, 0, n);

    a = store_pg_args(reader->accounts);

    store_args_array(a, STORE_INT8);
    for (i = 0; i < n; i++) {
        store_args_i64(a, pairs[i].asker);
    }

    store_args_array(a, STORE_INT8);
    for (i = 0; i < n; i++) {
        store_args_i64(a, pairs[i].user);
    }

    rc = store_pg_query(reader->accounts, &store_read_pg_shared_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    for (row = 0; row < PQntuples(res); row++) {
        at = store_row_i64(res, row, 0);

        if (at < 1 || (size_t) at > n) {
            worker_die("presence_shared answers %lld of %zu",
                       (long long) at, n);
        }

        shared_r[at - 1] = 1;
    }

    PQclear(res);

    return STORE_OK;
}
