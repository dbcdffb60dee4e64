/*
 * store_read_pg_sync.c: which chats a device is behind in, and their entries.
 *
 * Called from store_sync.c; hands to store_entry.c and store_pg.h.
 */

#include "store_entry.h"
#include "store_read_ops.h"
#include "store_row.h"

/* the device's delivered cursor, and the last seq its user may see */
#define STORE_SYNC_DELIVERED                                                 \
    "GREATEST(d.delivered_seq, m.joined_seq - 1)"
#define STORE_SYNC_LAST                                                      \
    "LEAST(c.last_seq, m.left_seq)"

/* One row more than the limit tells that there are more. The device's cursors
 * and the user's chats are two index ranges; chats are looked up one by one,
 * which for 5,000 chats is most of the cost. */
static const store_stmt_t  store_read_pg_behind_stmt = {
    "sync_behind",
    "SELECT m.chat_id, " STORE_SYNC_DELIVERED ", " STORE_SYNC_LAST
    "  FROM chat_members m"
    "  JOIN chats c ON c.id = m.chat_id"
    "  LEFT JOIN device_marks d"
    "    ON d.device_id = $2::bigint AND d.chat_id = m.chat_id"
    " WHERE m.user_id = $1::bigint AND " STORE_SYNC_LAST " > "
    STORE_SYNC_DELIVERED
    " ORDER BY c.last_message_time DESC, m.chat_id"
    " LIMIT $3::bigint + 1",
    3
};

static const store_stmt_t  store_read_pg_behind_many_stmt = {
    "sync_behind_many",
    "SELECT b.chat_id, b.delivered, b.last, q.n"
    "  FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY"
    "       AS q (usr, device, n)"
    " CROSS JOIN LATERAL ("
    "       SELECT m.chat_id, " STORE_SYNC_DELIVERED " AS delivered,"
    "              " STORE_SYNC_LAST " AS last, c.last_message_time AS at"
    "         FROM chat_members m"
    "         JOIN chats c ON c.id = m.chat_id"
    "         LEFT JOIN device_marks d"
    "           ON d.device_id = q.device AND d.chat_id = m.chat_id"
    "        WHERE m.user_id = q.usr AND " STORE_SYNC_LAST " > "
    STORE_SYNC_DELIVERED
    "        ORDER BY c.last_message_time DESC, m.chat_id"
    "        LIMIT $3::bigint + 1) b"
    " ORDER BY q.n, b.at DESC, b.chat_id",
    3
};

static const store_stmt_t  store_read_pg_requested_stmt = {
    "sync_requested",
    "SELECT m.chat_id, " STORE_SYNC_DELIVERED ", " STORE_SYNC_LAST
    "  FROM unnest($3::uuid[]) WITH ORDINALITY AS w (chat, n)"
    "  JOIN chat_members m ON m.chat_id = w.chat AND m.user_id = $1::bigint"
    "  JOIN chats c ON c.id = m.chat_id"
    "  LEFT JOIN device_marks d"
    "    ON d.device_id = $2::bigint AND d.chat_id = m.chat_id"
    " ORDER BY w.n",
    3
};

static const store_stmt_t  store_read_pg_page_stmt = {
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
    5
};

static void store_args_pairs(store_args_t *a, const uint64_t *users,
    const uint64_t *devices, size_t n);
static void store_read_pg_item(const PGresult *res, int row,
    chat_list_item_t *item_r);


store_e
store_read_pg_behind(store_reader_t *reader, uint64_t user, uint64_t device,
    unsigned limit, store_sync_item_pt each, void *ctx, int *more_r)
{
    int               i, n;
    store_e           rc;
    chat_list_item_t  item;
    PGresult         *res;
    store_args_t     *a;

    *more_r = 0;

    a = store_pg_args(reader->accounts);
    store_args_scalar_i64(a, user);
    store_args_scalar_i64(a, device);
    store_args_scalar_i64(a, limit);

    rc = store_pg_query(reader->accounts, &store_read_pg_behind_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    n = PQntuples(res);

    if (n > (int) limit) {
        n = (int) limit;
        *more_r = 1;
    }

    for (i = 0; i < n; i++) {
        store_read_pg_item(res, i, &item);
        each(ctx, &item);
    }

    PQclear(res);

    return STORE_OK;
}


store_e
store_read_pg_behind_many(store_reader_t *reader, const uint64_t *users,
    const uint64_t *devices, size_t n, unsigned limit,
    store_sync_many_pt each, void *ctx)
{
    int               row;
    store_e           rc;
    PGresult         *res;
    store_args_t     *a;
    chat_list_item_t  item;

    a = store_pg_args(reader->accounts);
    store_args_pairs(a, users, devices, n);
    store_args_scalar_i64(a, limit);

    rc = store_pg_query(reader->accounts, &store_read_pg_behind_many_stmt,
                        &res);
    if (rc != STORE_OK) {
        return rc;
    }

    for (row = 0; row < PQntuples(res); row++) {
        store_read_pg_item(res, row, &item);
        each(ctx, (size_t) store_row_i64(res, row, 3) - 1, &item);
    }

    PQclear(res);

    return STORE_OK;
}


store_e
store_read_pg_requested(store_reader_t *reader, uint64_t user, uint64_t device,
    const chat_page_req_t *requests, size_t n, store_sync_item_pt each,
    void *ctx)
{
    int               row;
    size_t            i;
    store_e           rc;
    chat_list_item_t  item;
    PGresult         *res;
    store_args_t     *a;

    a = store_pg_args(reader->accounts);
    store_args_scalar_i64(a, user);
    store_args_scalar_i64(a, device);

    store_args_array(a, STORE_UUID);
    for (i = 0; i < n; i++) {
        store_args_uuid(a, requests[i].chat);
    }

    rc = store_pg_query(reader->accounts, &store_read_pg_requested_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    for (row = 0; row < PQntuples(res); row++) {
        store_read_pg_item(res, row, &item);
        each(ctx, &item);
    }

    PQclear(res);

    return STORE_OK;
}


store_e
store_read_pg_entries(store_reader_t *reader, uint64_t user,
    const chat_page_req_t *requests, size_t n, unsigned limit,
    store_sync_entry_pt each, void *ctx)
{
    int            row;
    size_t         i;
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;
    chat_entry_t   e;

    a = store_pg_args(reader->accounts);
    store_args_scalar_i64(a, user);

    store_args_array(a, STORE_UUID);
    for (i = 0; i < n; i++) {
        store_args_uuid(a, requests[i].chat);
    }

    store_args_array(a, STORE_INT8);
    for (i = 0; i < n; i++) {
        store_args_i64(a, requests[i].after);
    }

    store_args_array(a, STORE_INT8);
    for (i = 0; i < n; i++) {
        store_args_i64(a, requests[i].to);
    }

    store_args_scalar_i64(a, limit);

    rc = store_pg_query(reader->accounts, &store_read_pg_page_stmt, &res);
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


static void
store_args_pairs(store_args_t *a, const uint64_t *users,
    const uint64_t *devices, size_t n)
{
    size_t  i;

    store_args_array(a, STORE_INT8);

    for (i = 0; i < n; i++) {
        store_args_i64(a, users[i]);
    }

    store_args_array(a, STORE_INT8);

    for (i = 0; i < n; i++) {
        store_args_i64(a, devices[i]);
    }
}


static void
store_read_pg_item(const PGresult *res, int row, chat_list_item_t *item_r)
{
    store_row_uuid(res, row, 0, item_r->chat);
    item_r->delivered = (uint64_t) store_row_i64(res, row, 1);
    item_r->last = (uint64_t) store_row_i64(res, row, 2);
}
