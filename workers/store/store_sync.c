/*
 * store_sync.c: see store_sync.h.
 *
 * Called from sync_answer.c and sync_ahead.c; hands to store_pg.h for the
 * accounts and to a reader for the chats. No statement joins the two.
 */

#include <stdlib.h>

#include "store_read_ops.h"
#include "store_row.h"
#include "store_sync.h"
#include "worker.h"

struct store_sync_s {
    store_pg_t       pg;
    store_reader_t  *reader;
};

static const store_stmt_t  store_sync_device_stmt = {
    "sync_device",
    "SELECT d.revoked_at IS NOT NULL OR u.erased_at IS NOT NULL,"
    "       u.suspended_at IS NOT NULL"
    "  FROM devices d JOIN users u ON u.id = d.user_id"
    " WHERE d.id = $2::bigint AND d.user_id = $1::bigint",
    2
};

static const store_stmt_t  store_sync_devices_stmt = {
    "sync_devices",
    "SELECT q.n, d.revoked_at IS NOT NULL OR u.erased_at IS NOT NULL,"
    "       u.suspended_at IS NOT NULL"
    "  FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY"
    "       AS q (usr, device, n)"
    "  JOIN devices d ON d.id = q.device AND d.user_id = q.usr"
    "  JOIN users u ON u.id = q.usr",
    2
};


store_sync_t *
store_sync_open(const worker_conf_t *conf, const char *name)
{
    store_sync_t  *s;

    s = worker_calloc(1, sizeof(*s));
    s->pg.dsn = conf->pg;
    s->pg.name = name;
    s->pg.session = store_session_sync;
    s->reader = store_reader_open(conf, &s->pg);

    return s;
}


void
store_sync_free(store_sync_t **s)
{
    store_reader_free(&(*s)->reader);
    store_pg_free(&(*s)->pg);

    free(*s);
    *s = NULL;
}


store_e
store_sync_connect(store_sync_t *s)
{
    store_e  rc;

    rc = store_pg_connect(&s->pg);

    return rc == STORE_OK ? store_reader_connect(s->reader) : rc;
}


store_e
store_sync_device(store_sync_t *s, uint64_t user, uint64_t device,
    store_device_e *state_r)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    a = store_pg_args(&s->pg);
    store_args_scalar_i64(a, user);
    store_args_scalar_i64(a, device);

    rc = store_pg_query(&s->pg, &store_sync_device_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    if (PQntuples(res) == 0 || store_row_bool(res, 0, 0)) {
        *state_r = STORE_DEVICE_REVOKED;

    } else {
        *state_r = store_row_bool(res, 0, 1) ? STORE_DEVICE_SUSPENDED
                                             : STORE_DEVICE_LIVE;
    }

    PQclear(res);

    return STORE_OK;
}


store_e
store_sync_devices(store_sync_t *s, const uint64_t *users,
    const uint64_t *devices, size_t n, store_device_e *states_r)
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

    store_args_array(a, STORE_INT8);

    for (i = 0; i < n; i++) {
        store_args_i64(a, devices[i]);
    }

    rc = store_pg_query(&s->pg, &store_sync_devices_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        states_r[i] = STORE_DEVICE_REVOKED;
    }

    for (row = 0; row < PQntuples(res); row++) {
        i = (size_t) store_row_i64(res, row, 0) - 1;

        if (!store_row_bool(res, row, 1)) {
            states_r[i] = store_row_bool(res, row, 2) ? STORE_DEVICE_SUSPENDED
                                                      : STORE_DEVICE_LIVE;
        }
    }

    PQclear(res);

    return STORE_OK;
}


store_e
store_sync_behind(store_sync_t *s, uint64_t user, uint64_t device,
    unsigned limit, store_sync_item_pt each, void *ctx, int *more_r)
{
    return s->reader->ops->behind(s->reader, user, device, limit, each, ctx,
                                  more_r);
}


store_e
store_sync_behind_many(store_sync_t *s, const uint64_t *users,
    const uint64_t *devices, size_t n, unsigned limit,
    store_sync_many_pt each, void *ctx)
{
    return s->reader->ops->behind_many(s->reader, users, devices, n, limit,
                                       each, ctx);
}


store_e
store_sync_requested(store_sync_t *s, uint64_t user, uint64_t device,
    const chat_page_req_t *requests, size_t n, store_sync_item_pt each,
    void *ctx)
{
    return s->reader->ops->requested(s->reader, user, device, requests, n,
                                     each, ctx);
}


store_e
store_sync_page(store_sync_t *s, uint64_t user,
    const chat_page_req_t *requests, size_t n, unsigned limit,
    store_sync_entry_pt each, void *ctx)
{
    return s->reader->ops->entries(s->reader, user, requests, n, limit, each,
                                   ctx);
}
