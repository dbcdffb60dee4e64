/*
 * store_chat_pg_receipt.c: delivered and read, many in one statement.
 *
 * Called from store_chat.c; hands to store_chat_pg.c. A row whose cursor would
 * not rise is not written: a receipt sent twice must cost no dead row. The
 * time of each rise is kept, for receipts that are requested later.
 */

#include "store_chat_pg.h"

static const store_stmt_t  store_chat_receipts_stmt = {
    "chat_receipts",
    "WITH m AS ("
    " UPDATE chat_members m SET"
    " delivered_seq = greatest(m.delivered_seq, i.delivered),"
    " read_seq = greatest(m.read_seq, i.read)"
    " FROM unnest($1::uuid[], $2::int8[], $5::int8[], $6::int8[])"
    " AS i (chat, u, delivered, read)"
    " WHERE m.chat_id = i.chat AND m.user_id = i.u AND i.delivered > 0"
    " AND (m.delivered_seq < i.delivered OR m.read_seq < i.read)"
    " RETURNING m.chat_id, m.user_id, m.delivered_seq, m.read_seq,"
    " i.delivered, i.read"
    "), t AS ("
    " INSERT INTO mark_times (chat_id, user_id, mark, seq)"
    " SELECT chat_id, user_id, 1, delivered_seq FROM m"
    " WHERE delivered_seq = delivered"
    " UNION ALL"
    " SELECT chat_id, user_id, 2, read_seq FROM m"
    " WHERE read_seq = read AND read > 0"
    " ON CONFLICT DO NOTHING"
    ")"
    "INSERT INTO device_marks (device_id, chat_id, delivered_seq)"
    " SELECT device, chat, delivered"
    " FROM unnest($3::int8[], $1::uuid[], $4::int8[])"
    " AS i (device, chat, delivered)"
    " ON CONFLICT (device_id, chat_id) DO UPDATE"
    " SET delivered_seq = excluded.delivered_seq"
    " WHERE device_marks.delivered_seq < excluded.delivered_seq",
    6
};


store_e
store_chat_pg_receipts(store_chat_t *st, const store_receipt_t *receipts,
    size_t n)
{
    size_t         i;
    PGresult      *res;
    store_args_t  *a;

    a = store_chat_pg_args(st);

#define EACH(oid, call)                                                      \
    store_args_array(a, oid);                                                \
    for (i = 0; i < n; i++) {                                                \
        call;                                                                \
    }

    EACH(STORE_UUID, store_args_uuid(a, receipts[i].chat))
    EACH(STORE_INT8, store_args_i64(a, receipts[i].user))
    EACH(STORE_INT8, store_args_i64(a, receipts[i].device))
    EACH(STORE_INT8, store_args_i64(a, receipts[i].device_delivered))
    EACH(STORE_INT8, store_args_i64(a, receipts[i].delivered))
    EACH(STORE_INT8, store_args_i64(a, receipts[i].read))

#undef EACH

    return store_chat_pg_query(st, &store_chat_receipts_stmt, &res);
}
