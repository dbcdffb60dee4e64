/*
 * store_chat_pg_feed.c: the entries of a chat since a time.
 *
 * Called from store_chat.c. Hands to store_pg.c. The range of seq limits the
 * statement to the end of the chat's index, whatever the clocks say.
 */

#include <string.h>

#include "store_chat_pg.h"

static const store_stmt_t  store_chat_entries_since_stmt = {
    "entries_since",
    "SELECT e.seq, e.kind, e.sender_id, e.sender_device, e.created_at,"
    " e.content_type, e.media_id, e.target, e.subject,"
    " e.expires_at IS NOT NULL, e.deleted_at IS NOT NULL"
    " FROM entries e WHERE e.chat_id = $1::uuid AND e.seq > ("
    "SELECT c.last_seq - $3::int8 FROM chats c WHERE c.id = $1::uuid)"
    " AND e.created_at >= to_timestamp($2::int8 / 1000.0) ORDER BY e.seq",
    3
};


store_e
store_chat_pg_entries_since(store_chat_t *st, const uint8_t id[16],
    int64_t since, store_entry_pt entry, void *arg)
{
    int            i;
    store_e        rc;
    PGresult      *res;
    chat_entry_t   e;
    store_args_t  *a;

    a = store_chat_pg_args(st);
    store_args_scalar_uuid(a, id);
    store_args_scalar_i64(a, (uint64_t) since);
    store_args_scalar_i64(a, STORE_SINCE_MAX);

    rc = store_chat_pg_query(st, &store_chat_entries_since_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    for (i = 0; i < PQntuples(res); i++) {
        memset(&e, 0, sizeof(e));

        memcpy(e.chat, id, 16);
        e.seq = (uint64_t) store_row_i64(res, i, 0);
        e.kind = (uint8_t) store_row_i16(res, i, 1);
        e.sender = (uint64_t) store_row_i64(res, i, 2);
        e.sender_device = (uint64_t) store_row_i64(res, i, 3);
        e.timestamp = store_row_ms(res, i, 4);
        e.content_type = store_row_str(res, i, 5);
        e.media_id = store_row_str(res, i, 6);
        e.target = (uint64_t) store_row_i64(res, i, 7);
        e.subject = (uint64_t) store_row_i64(res, i, 8);
        e.expires_in = store_row_bool(res, i, 9) ? 1 : 0;
        e.deleted = store_row_bool(res, i, 10) ? 1 : 0;

        entry(arg, &e);
    }

    return STORE_OK;
}
