/*
 * store_presence.c: see store_presence.h.
 *
 * Called from presence_*.c; hands to store_pg.h for the
 * accounts and to a reader for the chats.
 */

#include <stdlib.h>

#include "store_presence.h"
#include "store_read_ops.h"
#include "store_row.h"
#include "worker.h"

struct store_presence_s {
    store_pg_t       pg;
    store_reader_t  *reader;
};

static const store_stmt_t  store_presence_users_stmt = {
    "presence_users",
    "SELECT id, status <> 'invisible',"
    "       CASE WHEN privacy ->> 'lastSeen' = 'nobody' THEN NULL"
    "            ELSE last_seen END"
    "  FROM users"
    " WHERE id = ANY ($1::bigint[]) AND erased_at IS NULL",
    1
};

static const store_stmt_t  store_presence_left_stmt = {
    "presence_left",
    "UPDATE users u SET last_seen = w.seen"
    "  FROM (SELECT id, to_timestamp(ms / 1000.0) AS seen"
    "          FROM unnest($1::bigint[], $2::bigint[]) AS w (id, ms)) w"
    " WHERE u.id = w.id AND u.erased_at IS NULL"
    "   AND u.status <> 'invisible'"
    "   AND (u.last_seen IS NULL OR u.last_seen < w.seen)",
    2
};


store_presence_t *
store_presence_open(const worker_conf_t *conf, const char *name)
{
    store_presence_t  *s;

    s = worker_calloc(1, sizeof(*s));
    s->pg.dsn = conf->pg;
    s->pg.name = name;
    s->pg.session = store_session_presence;
    s->reader = store_reader_open(conf, &s->pg);

    return s;
}


void
store_presence_free(store_presence_t **s)
{
    store_reader_free(&(*s)->reader);
    store_pg_free(&(*s)->pg);

    free(*s);
    *s = NULL;
}


store_e
store_presence_connect(store_presence_t *s)
{
    store_e  rc;

    rc = store_pg_connect(&s->pg);

    return rc == STORE_OK ? store_reader_connect(s->reader) : rc;
}


store_e
store_presence_shared(store_presence_t *s, const store_pair_t *pairs,
    size_t n, uint8_t *shared_r)
{
    return s->reader->ops->shared(s->reader, pairs, n, shared_r);
}


store_e
store_presence_users(store_presence_t *s, const uint64_t *users, size_t n,
    store_presence_pt each, void *ctx)
{
    int            row;
    size_t         i;
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    a = store_pg_args(&s->pg);

    store_args_array(a, STORE_INT8);
    for (i = 0; i < n; i++) {
        store_args_i64(a, users[i]);
    }

    rc = store_pg_query(&s->pg, &store_presence_users_stmt, &res);
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
    size_t         i;
    store_args_t  *a;

    a = store_pg_args(&s->pg);

    store_args_array(a, STORE_INT8);
    for (i = 0; i < n; i++) {
        store_args_i64(a, users[i]);
    }

    store_args_array(a, STORE_INT8);
    for (i = 0; i < n; i++) {
        store_args_i64(a, (uint64_t) seen[i]);
    }

    return store_pg_run(&s->pg, &store_presence_left_stmt);
}
