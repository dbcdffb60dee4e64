/*
 * store_read_chats.c: a user's chats, as a list and one by one.
 *
 * Called from api_chats.c; hands to store_pg.c. Both statements share their
 * columns, so a chat looks the same in the list and alone. Newest first is a
 * sort of the user's chats: a send writes no row per member for it.
 */

#include <stdlib.h>
#include <string.h>

#include "store_entry.h"
#include "store_read.h"
#include "store_row.h"
#include "worker.h"

/* A chat and the caller's row of chat_members side by side. */
#define STORE_CHAT_FROM(where)                                                \
    "SELECT c.id, c.type, c.title, c.created_at, c.last_message_time, "       \
        "c.last_seq, m.user_id, m.role, m.joined_seq, m.left_seq, m.hidden, " \
        "greatest(m.read_seq, m.joined_seq - 1) AS read "                     \
    "FROM chat_members m JOIN chats c ON c.id = m.chat_id " where

/* m: a row of the above, $2: the device. The entries of unread are those
 * behind the read mark: an index range of one partition, cut at
 * STORE_UNREAD_MAX. */
#define STORE_CHAT_COLUMNS                                                    \
    "m.id, m.type, m.title, m.created_at, m.last_message_time, m.last_seq, "  \
    "m.role, "                                                                \
    "coalesce((SELECT d.delivered_seq FROM device_marks d "                   \
        "WHERE d.device_id = $2 AND d.chat_id = m.id), m.joined_seq - 1), "   \
    "m.read, "                                                                \
    "CASE WHEN m.last_seq > m.read THEN "                                     \
        "(SELECT count(*) FROM (SELECT FROM entries e "                       \
            "WHERE e.chat_id = m.id AND e.seq > m.read "                      \
            "AND e.kind = 1 AND e.sender_id <> m.user_id "                    \
            "AND e.deleted_at IS NULL "                                       \
            "AND (" STORE_ENTRY_HIDDEN ") IS NOT TRUE LIMIT 10000) u) END, "  \
    "CASE WHEN m.type = 2 THEN (SELECT count(*) FROM chat_members o "         \
        "WHERE o.chat_id = m.id AND o.left_seq IS NULL) END, "                \
    "CASE WHEN m.type = 1 THEN (SELECT o.user_id FROM chat_members o "        \
        "WHERE o.chat_id = m.id AND o.user_id <> m.user_id LIMIT 1) END, "    \
    "m.left_seq IS NULL, "                                                    \
    STORE_ENTRY_COLUMNS(STORE_ENTRY_HIDDEN)

/* seq is dense, so the last entry is the one with the chat's last number */
#define STORE_CHAT_LAST                                                       \
    "LEFT JOIN entries e ON e.chat_id = m.id AND e.seq = m.last_seq "         \
        "AND e.seq >= m.joined_seq "

_Static_assert(CHAT_KIND_MESSAGE == 1, "kind of unread entries");

enum {
    COL_ID, COL_TYPE, COL_TITLE, COL_CREATED, COL_ACTIVE, COL_LAST, COL_ROLE,
    COL_DELIVERED, COL_READ, COL_UNREAD, COL_MEMBERS, COL_PEER, COL_CURRENT,
    COL_ENTRY
};

static void store_chat_views_read(store_chat_views_t *views, int row);


store_e
store_read_session(store_pg_t *pg)
{
    return store_pg_command(pg, "SET plan_cache_mode = force_generic_plan; "
                            "SET enable_seqscan = off; "
                            "SET enable_bitmapscan = off; "
                            "SET enable_hashjoin = off; "
                            "SET enable_mergejoin = off; "
                            "SET enable_sort = off; "
                            "SET jit = off");
}


store_e
store_read_chats(store_pg_t *pg, uint64_t user, uint64_t device,
    const store_chat_cursor_t *after, unsigned n, store_chat_views_t *views_r)
{
    int      i;
    char     ids[2][8], active[8], limit[8];
    store_e  rc;

    static const Oid  types[] = {
        STORE_INT8, STORE_INT8, STORE_TIMESTAMPTZ, STORE_UUID, STORE_INT8
    };
    static const int  lengths[] = { 8, 8, 8, 16, 8 };
    static const int  formats[] = { 1, 1, 1, 1, 1 };

    /* the page is cut before the costly columns are made; the join keeps its
     * order */
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
        5, types
    };
    const char  *params[] = { ids[0], ids[1], NULL, NULL, limit };

    memset(views_r, 0, sizeof(*views_r));
    store_put_i64(ids[0], (int64_t) user);
    store_put_i64(ids[1], (int64_t) device);
    store_put_i64(limit, (int64_t) n);

    if (after != NULL) {
        store_put_i64(active, after->active);
        params[2] = active;
        params[3] = (const char *) after->id;
    }

    rc = store_pg_exec(pg, &stmt, params, lengths, formats, 1, &views_r->res);
    if (rc != STORE_OK) {
        return rc;
    }

    views_r->n = (size_t) PQntuples(views_r->res);
    views_r->items = worker_calloc(views_r->n + 1, sizeof(store_chat_view_t));

    for (i = 0; i < (int) views_r->n; i++) {
        store_chat_views_read(views_r, i);
    }

    return STORE_OK;
}


store_e
store_read_chat(store_pg_t *pg, uint64_t user, uint64_t device,
    const uint8_t chat[16], store_sees_e *sees_r, store_chat_views_t *views_r)
{
    char     ids[2][8];
    store_e  rc;

    static const Oid  types[] = { STORE_INT8, STORE_INT8, STORE_UUID };
    static const int  lengths[] = { 8, 8, 16 }, formats[] = { 1, 1, 1 };
    static const store_stmt_t  stmt = {
        "read_chat",
        "SELECT " STORE_CHAT_COLUMNS " FROM ("
        STORE_CHAT_FROM("WHERE m.chat_id = $3 AND m.user_id = $1")
        ") m " STORE_CHAT_LAST,
        3, types
    };
    const char  *params[] = { ids[0], ids[1], (const char *) chat };

    memset(views_r, 0, sizeof(*views_r));
    *sees_r = STORE_SEES_NOTHING;
    store_put_i64(ids[0], (int64_t) user);
    store_put_i64(ids[1], (int64_t) device);

    rc = store_pg_exec(pg, &stmt, params, lengths, formats, 1, &views_r->res);
    if (rc != STORE_OK || PQntuples(views_r->res) == 0) {
        return rc;
    }

    if (!store_row_bool(views_r->res, 0, COL_CURRENT)) {
        *sees_r = STORE_SEES_PAST;
        return STORE_OK;
    }

    *sees_r = STORE_SEES_ALL;
    views_r->n = 1;
    views_r->items = worker_calloc(1, sizeof(store_chat_view_t));
    store_chat_views_read(views_r, 0);

    return STORE_OK;
}


void
store_chat_views_free(store_chat_views_t *views)
{
    free(views->items);
    PQclear(views->res);
    memset(views, 0, sizeof(*views));
}


static void
store_chat_views_read(store_chat_views_t *views, int row)
{
    PGresult           *res;
    store_chat_view_t  *v;

    res = views->res;
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
