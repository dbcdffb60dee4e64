/*
 * store_presence.c: see store_presence.h.
 *
 * Called from presence_*.c; hands to store_array.c and store_pg.c.
 */

#include <stdlib.h>
#include <string.h>

#include "store_array.h"
#include "store_presence.h"
#include "store_row.h"
#include "worker.h"

struct store_presence_s {
    store_pg_t    pg;
    store_args_t  args;
};

/* The asker's chats one after the other until the user is in one: as scalar
 * sub-selects, for as a join the planner reads the chats of both and hashes
 * them, at four times the cost. What a question costs is bounded by what the
 * asker has, so nobody is expensive to others by being in many chats. */
static const store_stmt_t  store_presence_shared_stmt = {
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
    2, NULL
};

static const store_stmt_t  store_presence_users_stmt = {
    "presence_users",
    "SELECT id, status <> 'invisible',"
    "       CASE WHEN privacy ->> 'lastSeen' = 'nobody' THEN NULL"
    "            ELSE last_seen END"
    "  FROM users"
    " WHERE id = ANY ($1::bigint[]) AND erased_at IS NULL",
    1, NULL
};

static const store_stmt_t  store_presence_left_stmt = {
    "presence_left",
    "UPDATE users u SET last_seen = w.seen"
    "  FROM (SELECT id, to_timestamp(ms / 1000.0) AS seen"
    "          FROM unnest($1::bigint[], $2::bigint[]) AS w (id, ms)) w"
    " WHERE u.id = w.id AND u.erased_at IS NULL"
    "   AND u.status <> 'invisible'"
    "   AND (u.last_seen IS NULL OR u.last_seen < w.seen)",
    2, NULL
};


store_presence_t *
store_presence_new(const char *dsn, const char *name)
{
    store_presence_t  *s;

    s = worker_calloc(1, sizeof(*s));
    s->pg.dsn = dsn;
    s->pg.name = name;

    return s;
}


void
store_presence_free(store_presence_t **s)
{
    store_pg_close(&(*s)->pg);
    store_args_free(&(*s)->args);

    free(*s);
    *s = NULL;
}


store_e
store_presence_connect(store_presence_t *s)
{
    unsigned  generation;
    store_e   rc;

    generation = s->pg.generation;

    rc = store_pg_connect(&s->pg);
    if (rc != STORE_OK || s->pg.generation == generation) {
        return rc;
    }

    /* all of ours go by index, also while the tables are small or have no
     * statistics yet */
    rc = store_pg_command(&s->pg, "SET enable_seqscan = off");
    if (rc != STORE_OK) {
        store_pg_close(&s->pg);
        return STORE_UNAVAILABLE;
    }

    return STORE_OK;
}


store_e
store_presence_shared(store_presence_t *s, const store_pair_t *pairs,
    size_t n, uint8_t *shared_r)
{
    int        row;
    size_t     i;
    store_e    rc;
    int64_t    at;
    PGresult  *res;

    memset(shared_r, 0, n);

    store_args_begin(&s->args);

    store_args_array(&s->args, STORE_INT8);
    for (i = 0; i < n; i++) {
        store_args_i64(&s->args, pairs[i].asker);
    }

    store_args_array(&s->args, STORE_INT8);
    for (i = 0; i < n; i++) {
        store_args_i64(&s->args, pairs[i].user);
    }

    rc = store_args_exec(&s->args, &s->pg, &store_presence_shared_stmt, &res);
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


store_e
store_presence_users(store_presence_t *s, const uint64_t *users, size_t n,
    store_presence_pt each, void *ctx)
{
    int        row;
    size_t     i;
    store_e    rc;
    PGresult  *res;

    store_args_begin(&s->args);

    store_args_array(&s->args, STORE_INT8);
    for (i = 0; i < n; i++) {
        store_args_i64(&s->args, users[i]);
    }

    rc = store_args_exec(&s->args, &s->pg, &store_presence_users_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    for (row = 0; row < PQntuples(res); row++) {
        each(ctx, (uint64_t) store_row_i64(res, row, 0),
             store_row_bool(res, row, 1), store_row_ms(res, row, 2));
    }

    PQclear(res);

    return STORE_OK;
}


store_e
store_presence_left(store_presence_t *s, const uint64_t *users,
    const int64_t *seen, size_t n)
{
    size_t     i;
    store_e    rc;
    PGresult  *res;

    store_args_begin(&s->args);

    store_args_array(&s->args, STORE_INT8);
    for (i = 0; i < n; i++) {
        store_args_i64(&s->args, users[i]);
    }

    store_args_array(&s->args, STORE_INT8);
    for (i = 0; i < n; i++) {
        store_args_i64(&s->args, (uint64_t) seen[i]);
    }

    rc = store_args_exec(&s->args, &s->pg, &store_presence_left_stmt, &res);
    if (rc == STORE_OK) {
        PQclear(res);
    }

    return rc;
}
