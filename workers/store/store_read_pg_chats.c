/*
 * store_read_pg_chats.c: a user's chats, as a list and one by one.
 *
 * Called from store_read.c and store_chat_pg_view.c; hands to store_pg.h. Both
 * statements share their columns, so a chat looks the same in the list and
 * alone. "Newest first" sorts the user's chats: a send writes no row per
 * member for it.
 */

#include <stdlib.h>
#include <string.h>

#include "store_entry.h"
#include "store_read_ops.h"
#include "store_row.h"
#include "worker.h"

/* A chat and the caller's row of chat_members side by side. */
#define STORE_CHAT_FROM(where)                                               \
    "SELECT c.id, c.type, c.title, c.created_at, c.last_message_time, "      \
        "c.last_seq, m.user_id, m.role, m.joined_seq, m.left_seq, m.hidden, " \
        "greatest(m.read_seq, m.joined_seq - 1) AS read "                    \
    "FROM chat_members m JOIN chats c ON c.id = m.chat_id " where

/* m: a row of the above, $2: the device. Unread entries are those
 * after the read cursor: an index range of one partition, limited to
 * STORE_UNREAD_MAX. */
#define STORE_CHAT_COLUMNS                                                   \
    "m.id, m.type, m.title, m.created_at, m.last_message_time, m.last_seq, " \
    "m.role, "                                                               \
    "coalesce((SELECT d.delivered_seq FROM device_marks d "                  \
        "WHERE d.device_id = $2 AND d.chat_id = m.id), m.joined_seq - 1), "  \
    "m.read, "                                                               \
    "CASE WHEN m.last_seq > m.read THEN "                                    \
        "(SELECT count(*) FROM (SELECT FROM entries e "                      \
            "WHERE e.chat_id = m.id AND e.seq > m.read "                     \
            "AND e.kind = 1 AND e.sender_id <> m.user_id "                   \
            "AND e.deleted_at IS NULL "                                      \
            "AND (" STORE_ENTRY_HIDDEN ") IS NOT TRUE LIMIT 10000) u) END, " \
    "CASE WHEN m.type = 2 THEN (SELECT count(*) FROM chat_members o "        \
        "WHERE o.chat_id = m.id AND o.left_seq IS NULL) END, "               \
    "CASE WHEN m.type = 1 THEN (SELECT o.user_id FROM chat_members o "       \
        "WHERE o.chat_id = m.id AND o.user_id <> m.user_id LIMIT 1) END, "   \
    "m.left_seq IS NULL, "                                                   \
    STORE_ENTRY_COLUMNS(STORE_ENTRY_HIDDEN)

/* seq is dense, so the last entry is the one with the chat's last number */
#define STORE_CHAT_LAST                                                      \
    "LEFT JOIN entries e ON e.chat_id = m.id AND e.seq = m.last_seq "        \
        "AND e.seq >= m.joined_seq "

_Static_assert(CHAT_KIND_MESSAGE == 1, "kind of unread entries");

enum {
    COL_ID, COL_TYPE, COL_TITLE, COL_CREATED, COL_ACTIVE, COL_LAST, COL_ROLE,
    COL_DELIVERED, COL_READ, COL_UNREAD, COL_MEMBERS, COL_PEER, COL_CURRENT,
    COL_ENTRY
};

static void store_chat_views_read(store_chat_views_t *views, int row);


store_e
store_read_pg_chats(store_reader_t *reader, uint64_t user, uint64_t device,
    const store_chat_cursor_t *after, unsigned n, store_chat_views_t *views_r)
{
    int            i;
    store_e        rc;
    PGresult      *res;
    store_pg_t    *pg;
    store_args_t  *a;

    /* The page is limited before the costly columns are computed; the join
     * keeps its order. */
    static const store_stmt_t  stmt = {
        "read_chats",
        "SELECT " STORE_CHAT_COLUMNS " FROM ("
        STORE_CHAT_FROM(
            "WHERE m.user_id = $1 AND m.left_seq IS NULL "
            "AND (m.cleared_seq IS NULL OR c.last_seq > m.cleared_seq) "
            "AND ($3::timestamptz IS NULL "
                "OR (c.last_message_time, c.id) < ($3, $4)) "
            "ORDER BY c.last_message_time DESC, c.id DESC LIMIT $5")
        ") m " STORE_CHAT_LAST
        "ORDER BY m.last_message_time DESC, m.id DESC",
        5
    };

    pg = reader->accounts;
    memset(views_r, 0, sizeof(*views_r));

    a = store_pg_args(pg);
    store_args_scalar_i64(a, user);
    store_args_scalar_i64(a, device);

    if (after != NULL) {
        store_args_scalar_us(a, after->active);
        store_args_scalar_uuid(a, after->id);

    } else {
        store_args_scalar_null(a, STORE_TIMESTAMPTZ);
        store_args_scalar_null(a, STORE_UUID);
    }

    store_args_scalar_i64(a, n);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    views_r->ops = &store_read_pg_ops;
    views_r->rows = res;

    views_r->n = (size_t) PQntuples(views_r->rows);
    views_r->items = worker_calloc(views_r->n + 1, sizeof(store_chat_view_t));

    for (i = 0; i < (int) views_r->n; i++) {
        store_chat_views_read(views_r, i);
    }

    return STORE_OK;
}


store_e
store_read_pg_chat(store_reader_t *reader, uint64_t user, uint64_t device,
    const uint8_t chat[16], store_sees_e *sees_r, store_chat_views_t *views_r)
{
    return store_read_pg_chat_view(reader->accounts, user, device, chat,
                                   sees_r, views_r);
}


store_e
store_read_pg_chat_view(store_pg_t *pg, uint64_t user, uint64_t device,
    const uint8_t chat[16], store_sees_e *sees_r, store_chat_views_t *views_r)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "read_chat",
        "SELECT " STORE_CHAT_COLUMNS " FROM ("
        STORE_CHAT_FROM("WHERE m.chat_id = $3 AND m.user_id = $1")
        ") m " STORE_CHAT_LAST,
        3
    };

    memset(views_r, 0, sizeof(*views_r));
    *sees_r = STORE_SEES_NOTHING;

    a = store_pg_args(pg);
    store_args_scalar_i64(a, user);
    store_args_scalar_i64(a, device);
    store_args_scalar_uuid(a, chat);

    rc = store_pg_query(pg, &stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    views_r->ops = &store_read_pg_ops;
    views_r->rows = res;

    if (PQntuples(res) == 0) {
        return STORE_OK;
    }

    if (!store_row_bool(views_r->rows, 0, COL_CURRENT)) {
        *sees_r = STORE_SEES_PAST;
        return STORE_OK;
    }

    *sees_r = STORE_SEES_ALL;
    views_r->n = 1;
    views_r->items = worker_calloc(1, sizeof(store_chat_view_t));
    store_chat_views_read(views_r, 0);

    return STORE_OK;
}


static void
store_chat_views_read(store_chat_views_t *views, int row)
{
    PGresult           *res;
    store_chat_view_t  *v;

    res = views->rows;
    v = &views->items[row];

    store_row_uuid(res, row, COL_ID, v->id);
    v->type = store_row_i16(res, row, COL_TYPE);
    v->title = store_row_str(res, row, COL_TITLE);
    v->created = store_row_ms(res, row, COL_CREATED);
    v->active = store_row_i64(res, row, COL_ACTIVE);
    v->last = (uint64_t) store_row_i64(res, row, COL_LAST);
    v->role = store_row_i16(res, row, COL_ROLE);
    v->delivered = (uint64_t) store_row_i64(res, row, COL_DELIVERED);
    v->read = (uint64_t) store_row_i64(res, row, COL_READ);
    v->unread = (uint64_t) store_row_i64(res, row, COL_UNREAD);
    v->members = (uint64_t) store_row_i64(res, row, COL_MEMBERS);
    v->peer = (uint64_t) store_row_i64(res, row, COL_PEER);

    v->has_entry = !PQgetisnull(res, row, COL_ENTRY);
    if (v->has_entry) {
        store_entry_read(res, row, COL_ENTRY, &v->entry);
    }
}
