/*
 * store_chat_load.c: chats with all their members, many in one statement.
 *
 * Called from message_chat.c for what its cache does not hold.
 */

#include <string.h>

#include "store_chat_pg.h"
#include "store_entry.h"

static const store_stmt_t  store_chat_load_stmt = {
    "chat_load",
    "SELECT c.id, c.type, c.last_seq, c.members_version, c.created_by,"
    " c.created_at, c.title, m.user_id, m.role, m.joined_seq, m.left_seq,"
    " m.delivered_seq, m.read_seq,"
    " CASE WHEN NOT isempty(m.hidden) THEN m.hidden::text END,"
    " c.last_message_time FROM unnest($1::uuid[]) WITH ORDINALITY i (id, ord)"
    " JOIN chats c ON c.id = i.id"
    " LEFT JOIN chat_members m ON m.chat_id = c.id"
    " ORDER BY i.ord, m.user_id",
    1, NULL
};

static const store_stmt_t  store_chat_entry_stmt = {
    "chat_entry",
    "SELECT " STORE_ENTRY_COLUMNS("e.expires_at < now()")
    " FROM entries e WHERE e.chat_id = $1::uuid AND e.seq = $2::int8",
    2, NULL
};


store_e
store_chat_load(store_chat_t *st, const uint8_t (*ids)[16], size_t n,
    store_chat_row_pt row, void *arg)
{
    int                i;
    size_t             k;
    store_e            rc;
    PGresult          *res;
    store_args_t      *a;
    store_chat_row_t   r;

    a = store_chat_args(st);
    store_args_array(a, STORE_UUID);

    for (k = 0; k < n; k++) {
        store_args_uuid(a, ids[k]);
    }

    rc = store_chat_exec_alone(st, &store_chat_load_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    for (i = 0; i < PQntuples(res); i++) {
        memset(&r, 0, sizeof(r));

        store_row_uuid(res, i, 0, r.chat);
        r.type = (uint8_t) store_row_i16(res, i, 1);
        r.last_seq = (uint64_t) store_row_i64(res, i, 2);
        r.members_version = (uint64_t) store_row_i64(res, i, 3);
        r.created_by = (uint64_t) store_row_i64(res, i, 4);
        r.created_at = store_row_ms(res, i, 5);
        r.title = store_row_str(res, i, 6);
        r.user = (uint64_t) store_row_i64(res, i, 7);
        r.role = (uint8_t) store_row_i16(res, i, 8);
        r.joined = (uint64_t) store_row_i64(res, i, 9);
        r.left = (uint64_t) store_row_i64(res, i, 10);
        r.delivered = (uint64_t) store_row_i64(res, i, 11);
        r.read = (uint64_t) store_row_i64(res, i, 12);
        r.hidden = store_row_str(res, i, 13);
        r.last_at = store_row_ms(res, i, 14);

        row(arg, &r);
    }

    return STORE_OK;
}


store_e
store_chat_entry(store_chat_t *st, const uint8_t id[16], uint64_t seq,
    chat_entry_t *e_r)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    a = store_chat_args(st);
    store_args_scalar_uuid(a, id);
    store_args_scalar_i64(a, seq);

    rc = store_chat_exec_alone(st, &store_chat_entry_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    if (PQntuples(res) == 0) {
        return STORE_NOT_FOUND;
    }

    store_entry_read(res, 0, 0, e_r);

    return STORE_OK;
}
