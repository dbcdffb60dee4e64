/*
 * store_sync.c: see store_sync.h.
 *
 * Called from sync_answer.c; hands to store_array.c, store_entry.c and
 * store_pg.c. The check of the device reads accounts, the rest reads chats: no
 * statement joins the two.
 */

#include <stdlib.h>

#include "store_array.h"
#include "store_entry.h"
#include "store_row.h"
#include "store_sync.h"
#include "worker.h"

struct store_sync_s {
    store_pg_t    pg;
    store_args_t  args;
};

/* the device's mark, and the last seq its user may see */
#define SYNC_DELIVERED                                                        \
    "GREATEST(d.delivered_seq, m.joined_seq - 1)"
#define SYNC_LAST                                                             \
    "LEAST(c.last_seq, m.left_seq)"

static const store_stmt_t  store_sync_device_stmt = {
    "sync_device",
    "SELECT d.revoked_at IS NOT NULL OR u.erased_at IS NOT NULL,"
    "       u.suspended_at IS NOT NULL"
    "  FROM devices d JOIN users u ON u.id = d.user_id"
    " WHERE d.id = $2::bigint AND d.user_id = $1::bigint",
    2, NULL
};

/* One row more than the limit tells that there is more. The marks of the
 * device and the user's chats are two index ranges; chats are looked up one by
 * one, which for 5,000 chats is most of the cost. */
static const store_stmt_t  store_sync_behind_stmt = {
    "sync_behind",
    "SELECT m.chat_id, " SYNC_DELIVERED ", " SYNC_LAST
    "  FROM chat_members m"
    "  JOIN chats c ON c.id = m.chat_id"
    "  LEFT JOIN device_marks d"
    "    ON d.device_id = $2::bigint AND d.chat_id = m.chat_id"
    " WHERE m.user_id = $1::bigint AND " SYNC_LAST " > " SYNC_DELIVERED
    " ORDER BY c.last_message_time DESC, m.chat_id"
    " LIMIT $3::bigint + 1",
    3, NULL
};

static const store_stmt_t  store_sync_devices_stmt = {
    "sync_devices",
    "SELECT q.n, d.revoked_at IS NOT NULL OR u.erased_at IS NOT NULL,"
    "       u.suspended_at IS NOT NULL"
    "  FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY"
    "       AS q (usr, device, n)"
    "  JOIN devices d ON d.id = q.device AND d.user_id = q.usr"
    "  JOIN users u ON u.id = q.usr",
    2, NULL
};

static const store_stmt_t  store_sync_behind_many_stmt = {
    "sync_behind_many",
    "SELECT b.chat_id, b.delivered, b.last, q.n"
    "  FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY"
    "       AS q (usr, device, n)"
    " CROSS JOIN LATERAL ("
    "       SELECT m.chat_id, " SYNC_DELIVERED " AS delivered,"
    "              " SYNC_LAST " AS last, c.last_message_time AS at"
    "         FROM chat_members m"
    "         JOIN chats c ON c.id = m.chat_id"
    "         LEFT JOIN device_marks d"
    "           ON d.device_id = q.device AND d.chat_id = m.chat_id"
    "        WHERE m.user_id = q.usr AND " SYNC_LAST " > " SYNC_DELIVERED
    "        ORDER BY c.last_message_time DESC, m.chat_id"
    "        LIMIT $3::bigint + 1) b"
    " ORDER BY q.n, b.at DESC, b.chat_id",
    3, NULL
};

static const store_stmt_t  store_sync_asked_stmt = {
    "sync_requested",
    "SELECT m.chat_id, " SYNC_DELIVERED ", " SYNC_LAST
    "  FROM unnest($3::uuid[]) WITH ORDINALITY AS w (chat, n)"
    "  JOIN chat_members m ON m.chat_id = w.chat AND m.user_id = $1::bigint"
    "  JOIN chats c ON c.id = m.chat_id"
    "  LEFT JOIN device_marks d"
    "    ON d.device_id = $2::bigint AND d.chat_id = m.chat_id"
    " ORDER BY w.n",
    3, NULL
};

static const store_stmt_t  store_sync_page_stmt = {
    "sync_page",
    "SELECT " STORE_ENTRY_COLUMNS(STORE_ENTRY_HIDDEN)
    "  FROM unnest($2::uuid[], $3::bigint[], $4::bigint[])"
    "       WITH ORDINALITY AS w (chat, after, until, n)"
    "  JOIN chat_members m ON m.chat_id = w.chat AND m.user_id = $1::bigint"
    " CROSS JOIN LATERAL ("
    "       SELECT * FROM entries"
    "        WHERE chat_id = w.chat"
    "          AND seq > GREATEST(w.after, m.joined_seq - 1)"
    "          AND seq <= LEAST(w.until, m.left_seq)"
    "        ORDER BY seq LIMIT $5::bigint) e"
    " ORDER BY w.n, e.seq"
    " LIMIT $5::bigint",
    5, NULL
};

static void store_sync_pairs(store_args_t *a, const uint64_t *users,
    const uint64_t *devices, size_t n);
static void store_sync_item(const PGresult *res, int row,
    store_sync_item_pt each, void *ctx);
static void store_sync_read(const PGresult *res, int row,
    chat_list_item_t *item_r);


store_sync_t *
store_sync_new(const char *dsn, const char *name)
{
    store_sync_t  *s;

    s = worker_calloc(1, sizeof(*s));
    s->pg.dsn = dsn;
    s->pg.name = name;

    return s;
}


void
store_sync_free(store_sync_t **s)
{
    store_pg_close(&(*s)->pg);
    store_args_free(&(*s)->args);

    free(*s);
    *s = NULL;
}


store_e
store_sync_connect(store_sync_t *s)
{
    unsigned  generation;
    store_e   rc;

    generation = s->pg.generation;

    rc = store_pg_connect(&s->pg);
    if (rc != STORE_OK || s->pg.generation == generation) {
        return rc;
    }

    /* planning a statement over 16 partitions costs more than running it, and
     * all of ours go by index whatever the values */
    rc = store_pg_command(&s->pg, "SET plan_cache_mode = force_generic_plan");
    if (rc == STORE_OK) {
        rc = store_pg_command(&s->pg, "SET enable_seqscan = off");
    }

    if (rc != STORE_OK) {
        store_pg_close(&s->pg);
        return STORE_UNAVAILABLE;
    }

    return STORE_OK;
}


store_e
store_sync_device(store_sync_t *s, uint64_t user, uint64_t device,
    store_device_e *state_r)
{
    store_e    rc;
    PGresult  *res;

    store_args_begin(&s->args);
    store_args_scalar_i64(&s->args, user);
    store_args_scalar_i64(&s->args, device);

    rc = store_args_exec(&s->args, &s->pg, &store_sync_device_stmt, &res);
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
store_sync_behind(store_sync_t *s, uint64_t user, uint64_t device,
    unsigned limit, store_sync_item_pt each, void *ctx, int *more_r)
{
    int        i, n;
    store_e    rc;
    PGresult  *res;

    *more_r = 0;

    store_args_begin(&s->args);
    store_args_scalar_i64(&s->args, user);
    store_args_scalar_i64(&s->args, device);
    store_args_scalar_i64(&s->args, limit);

    rc = store_args_exec(&s->args, &s->pg, &store_sync_behind_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    n = PQntuples(res);

    if (n > (int) limit) {
        n = (int) limit;
        *more_r = 1;
    }

    for (i = 0; i < n; i++) {
        store_sync_item(res, i, each, ctx);
    }

    PQclear(res);

    return STORE_OK;
}


store_e
store_sync_devices(store_sync_t *s, const uint64_t *users,
    const uint64_t *devices, size_t n, store_device_e *states_r)
{
    int        row;
    size_t     i;
    store_e    rc;
    PGresult  *res;

    store_sync_pairs(&s->args, users, devices, n);

    rc = store_args_exec(&s->args, &s->pg, &store_sync_devices_stmt, &res);
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
store_sync_behind_many(store_sync_t *s, const uint64_t *users,
    const uint64_t *devices, size_t n, unsigned limit,
    store_sync_many_pt each, void *ctx)
{
    int                row;
    store_e            rc;
    PGresult          *res;
    chat_list_item_t   item;

    store_sync_pairs(&s->args, users, devices, n);
    store_args_scalar_i64(&s->args, limit);

    rc = store_args_exec(&s->args, &s->pg, &store_sync_behind_many_stmt,
                         &res);
    if (rc != STORE_OK) {
        return rc;
    }

    for (row = 0; row < PQntuples(res); row++) {
        store_sync_read(res, row, &item);
        each(ctx, (size_t) store_row_i64(res, row, 3) - 1, &item);
    }

    PQclear(res);

    return STORE_OK;
}


static void
store_sync_pairs(store_args_t *a, const uint64_t *users,
    const uint64_t *devices, size_t n)
{
    size_t  i;

    store_args_begin(a);
    store_args_array(a, STORE_INT8);

    for (i = 0; i < n; i++) {
        store_args_i64(a, users[i]);
    }

    store_args_array(a, STORE_INT8);

    for (i = 0; i < n; i++) {
        store_args_i64(a, devices[i]);
    }
}


store_e
store_sync_asked(store_sync_t *s, uint64_t user, uint64_t device,
    const chat_page_req_t *wants, size_t n, store_sync_item_pt each, void *ctx)
{
    int        row;
    size_t     i;
    store_e    rc;
    PGresult  *res;

    store_args_begin(&s->args);
    store_args_scalar_i64(&s->args, user);
    store_args_scalar_i64(&s->args, device);

    store_args_array(&s->args, STORE_UUID);
    for (i = 0; i < n; i++) {
        store_args_uuid(&s->args, wants[i].chat);
    }

    rc = store_args_exec(&s->args, &s->pg, &store_sync_asked_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    for (row = 0; row < PQntuples(res); row++) {
        store_sync_item(res, row, each, ctx);
    }

    PQclear(res);

    return STORE_OK;
}


static void
store_sync_item(const PGresult *res, int row, store_sync_item_pt each,
    void *ctx)
{
    chat_list_item_t  item;

    store_sync_read(res, row, &item);
    each(ctx, &item);
}


static void
store_sync_read(const PGresult *res, int row, chat_list_item_t *item_r)
{
    store_row_uuid(res, row, 0, item_r->chat);
    item_r->delivered = (uint64_t) store_row_i64(res, row, 1);
    item_r->last = (uint64_t) store_row_i64(res, row, 2);
}


store_e
store_sync_page(store_sync_t *s, uint64_t user, const chat_page_req_t *wants,
    size_t n, unsigned limit, store_sync_entry_pt each, void *ctx)
{
    int           row;
    size_t        i;
    store_e       rc;
    PGresult     *res;
    chat_entry_t  e;

    store_args_begin(&s->args);
    store_args_scalar_i64(&s->args, user);

    store_args_array(&s->args, STORE_UUID);
    for (i = 0; i < n; i++) {
        store_args_uuid(&s->args, wants[i].chat);
    }

    store_args_array(&s->args, STORE_INT8);
    for (i = 0; i < n; i++) {
        store_args_i64(&s->args, wants[i].after);
    }

    store_args_array(&s->args, STORE_INT8);
    for (i = 0; i < n; i++) {
        store_args_i64(&s->args, wants[i].to);
    }

    store_args_scalar_i64(&s->args, limit);

    rc = store_args_exec(&s->args, &s->pg, &store_sync_page_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    for (row = 0; row < PQntuples(res); row++) {
        store_entry_read(res, row, 0, &e);

        if (each(ctx, &e)) {
            break;
        }
    }

    PQclear(res);

    return STORE_OK;
}
