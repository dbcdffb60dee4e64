/*
 * store_read_members.c: who is in a chat, and how far each has come.
 *
 * Called from api_members.c, api_messages.c and, for the marks of a new
 * device, api_login.c; hands to store_pg.c.
 */

#include <string.h>

#include "store_entry.h"
#include "store_read.h"
#include "store_row.h"

enum { COL_CURRENT, COL_USER, COL_ROLE };

enum { COL_DELIVERED = COL_USER + 1, COL_READ, COL_DELIVERED_AT, COL_READ_AT };

static store_e store_members_read(store_e rc, store_members_t *members);


store_e
store_read_members(store_pg_t *pg, uint64_t user, const uint8_t chat[16],
    uint64_t after, unsigned n, store_members_t *members_r)
{
    char     id[8], edge[8], limit[8];
    store_e  rc;

    static const Oid  types[] = { STORE_UUID, STORE_INT8, STORE_INT8,
                                  STORE_INT8 };
    static const int  lengths[] = { 16, 8, 8, 8 }, formats[] = { 1, 1, 1, 1 };
    static const store_stmt_t  stmt = {
        "read_members",
        "SELECT m.left_seq IS NULL, o.* FROM chat_members m "
        "LEFT JOIN LATERAL (SELECT o.user_id, o.role FROM chat_members o "
            "WHERE o.chat_id = $1 AND o.user_id > $3 "
            "AND o.left_seq IS NULL AND m.left_seq IS NULL "
            "ORDER BY o.user_id LIMIT $4) o ON true "
        "WHERE m.chat_id = $1 AND m.user_id = $2",
        4, types
    };
    const char  *params[] = { (const char *) chat, id, edge, limit };

    memset(members_r, 0, sizeof(*members_r));
    store_put_i64(id, (int64_t) user);
    store_put_i64(edge, (int64_t) after);
    store_put_i64(limit, (int64_t) n);

    rc = store_pg_exec(pg, &stmt, params, lengths, formats, 1,
                       &members_r->res);

    return store_members_read(rc, members_r);
}


void
store_members_item(const store_members_t *members, int i, uint64_t *user_r,
    int *role_r)
{
    *user_r = (uint64_t) store_row_i64(members->res, i, COL_USER);
    *role_r = store_row_i16(members->res, i, COL_ROLE);
}


/* When: the first time a mark was moved to `seq` or beyond. */

store_e
store_read_receipts(store_pg_t *pg, uint64_t user, const uint8_t chat[16],
    uint64_t seq, uint64_t after, unsigned n, store_members_t *members_r)
{
    char     id[8], number[8], edge[8], limit[8];
    store_e  rc;

    static const Oid  types[] = { STORE_UUID, STORE_INT8, STORE_INT8,
                                  STORE_INT8, STORE_INT8 };
    static const int  lengths[] = { 16, 8, 8, 8, 8 };
    static const int  formats[] = { 1, 1, 1, 1, 1 };
    static const store_stmt_t  stmt = {
        "read_receipts",
        "SELECT m.left_seq IS NULL, o.* FROM chat_members m "
        "JOIN entries e ON e.chat_id = $1 AND e.seq = $3 "
            "AND e.seq >= m.joined_seq "
            "AND e.seq <= coalesce(m.left_seq, 9223372036854775807) "
            "AND (" STORE_ENTRY_HIDDEN ") IS NOT TRUE "
        "LEFT JOIN LATERAL (SELECT o.user_id, o.delivered_seq >= $3, "
                "o.read_seq >= $3, "
                "(SELECT t.at FROM mark_times t WHERE t.chat_id = $1 "
                    "AND t.user_id = o.user_id AND t.mark = 1 "
                    "AND t.seq >= $3 ORDER BY t.seq LIMIT 1), "
                "(SELECT t.at FROM mark_times t WHERE t.chat_id = $1 "
                    "AND t.user_id = o.user_id AND t.mark = 2 "
                    "AND t.seq >= $3 ORDER BY t.seq LIMIT 1) "
            "FROM chat_members o "
            "WHERE o.chat_id = $1 AND o.user_id > $4 "
                "AND o.user_id <> e.sender_id AND o.left_seq IS NULL "
                "AND o.joined_seq <= $3 AND NOT $3 <@ o.hidden "
                "AND m.left_seq IS NULL "
            "ORDER BY o.user_id LIMIT $5) o ON true "
        "WHERE m.chat_id = $1 AND m.user_id = $2",
        5, types
    };
    const char  *params[] = { (const char *) chat, id, number, edge, limit };

    memset(members_r, 0, sizeof(*members_r));
    store_put_i64(id, (int64_t) user);
    store_put_i64(number, (int64_t) seq);
    store_put_i64(edge, (int64_t) after);
    store_put_i64(limit, (int64_t) n);

    rc = store_pg_exec(pg, &stmt, params, lengths, formats, 1,
                       &members_r->res);

    return store_members_read(rc, members_r);
}


void
store_members_receipt(const store_members_t *members, int i,
    store_entry_receipt_t *receipt_r)
{
    PGresult  *res;

    res = members->res;

    receipt_r->user = (uint64_t) store_row_i64(res, i, COL_USER);
    receipt_r->delivered = store_row_bool(res, i, COL_DELIVERED);
    receipt_r->read = store_row_bool(res, i, COL_READ);

    /* what is read has been delivered, whoever wrote the marks */
    receipt_r->delivered |= receipt_r->read;

    receipt_r->read_at =
        receipt_r->read ? store_row_ms(res, i, COL_READ_AT) : 0;
    receipt_r->delivered_at =
        receipt_r->delivered ? store_row_ms(res, i, COL_DELIVERED_AT) : 0;

    if (receipt_r->read_at != 0
        && (receipt_r->delivered_at == 0
            || receipt_r->delivered_at > receipt_r->read_at))
    {
        receipt_r->delivered_at = receipt_r->read_at;
    }
}


void
store_members_free(store_members_t *members)
{
    PQclear(members->res);
    memset(members, 0, sizeof(*members));
}


/* A chat that the user left stays visible up to the leaving: so is the mark.
 * Nothing of the accounts' half is touched: the chats may live elsewhere. */

store_e
store_receipts_start_at_now(store_pg_t *pg, uint64_t user, uint64_t device)
{
    char       ids[2][8];
    store_e    rc;
    PGresult  *res;

    static const Oid           types[] = { STORE_INT8, STORE_INT8 };
    static const int           lengths[] = { 8, 8 }, formats[] = { 1, 1 };
    static const store_stmt_t  stmt = {
        "marks_start",
        "INSERT INTO device_marks (device_id, chat_id, delivered_seq) "
        "SELECT $1, m.chat_id, greatest(m.joined_seq - 1, "
            "least(c.last_seq, coalesce(m.left_seq, c.last_seq))) "
        "FROM chat_members m JOIN chats c ON c.id = m.chat_id "
        "WHERE m.user_id = $2 "
        "ON CONFLICT (device_id, chat_id) DO NOTHING",
        2, types
    };
    const char  *params[] = { ids[0], ids[1] };

    store_put_i64(ids[0], (int64_t) device);
    store_put_i64(ids[1], (int64_t) user);

    rc = store_pg_exec(pg, &stmt, params, lengths, formats, 1, &res);
    if (rc == STORE_OK) {
        PQclear(res);
    }

    return rc;
}


static store_e
store_members_read(store_e rc, store_members_t *members)
{
    if (rc != STORE_OK) {
        return rc;
    }

    members->n = PQntuples(members->res);
    if (members->n == 0) {
        members->sees = STORE_SEES_NOTHING;
        return STORE_OK;
    }

    members->sees = store_row_bool(members->res, 0, COL_CURRENT)
                    ? STORE_SEES_ALL : STORE_SEES_PAST;

    if (PQgetisnull(members->res, 0, COL_USER)) {
        members->n = 0;
    }

    return STORE_OK;
}
