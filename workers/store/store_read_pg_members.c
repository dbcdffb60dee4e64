/*
 * store_read_pg_members.c: members of a chat, and their receipts.
 *
 * Called from store_read.c; hands to store_pg.h.
 */

#include <string.h>

#include "store_entry.h"
#include "store_read_ops.h"
#include "store_row.h"

enum { COL_CURRENT, COL_USER, COL_ROLE };

enum { COL_DELIVERED = COL_USER + 1, COL_READ, COL_DELIVERED_AT, COL_READ_AT };

static store_e store_members_read(store_e rc, PGresult *res,
    store_members_t *members);


store_e
store_read_pg_members(store_reader_t *reader, uint64_t user,
    const uint8_t chat[16], uint64_t after, unsigned n,
    store_members_t *members_r)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "read_members",
        "SELECT m.left_seq IS NULL, o.* FROM chat_members m "
        "LEFT JOIN LATERAL (SELECT o.user_id, o.role FROM chat_members o "
            "WHERE o.chat_id = $1 AND o.user_id > $3 "
            "AND o.left_seq IS NULL AND m.left_seq IS NULL "
            "ORDER BY o.user_id LIMIT $4) o ON true "
        "WHERE m.chat_id = $1 AND m.user_id = $2",
        4
    };

    memset(members_r, 0, sizeof(*members_r));

    a = store_pg_args(reader->accounts);
    store_args_scalar_uuid(a, chat);
    store_args_scalar_i64(a, user);
    store_args_scalar_i64(a, after);
    store_args_scalar_i64(a, n);

    rc = store_pg_query(reader->accounts, &stmt, &res);

    return store_members_read(rc, res, members_r);
}


void
store_read_pg_member(const store_members_t *members, int i, uint64_t *user_r,
    int *role_r)
{
    *user_r = (uint64_t) store_row_i64(members->rows, i, COL_USER);
    *role_r = store_row_i16(members->rows, i, COL_ROLE);
}


/* The time of a receipt is when its cursor first reached or passed `seq`. */

store_e
store_read_pg_receipts(store_reader_t *reader, uint64_t user,
    const uint8_t chat[16], uint64_t seq, uint64_t after, unsigned n,
    store_members_t *members_r)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

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
        5
    };

    memset(members_r, 0, sizeof(*members_r));

    a = store_pg_args(reader->accounts);
    store_args_scalar_uuid(a, chat);
    store_args_scalar_i64(a, user);
    store_args_scalar_i64(a, seq);
    store_args_scalar_i64(a, after);
    store_args_scalar_i64(a, n);

    rc = store_pg_query(reader->accounts, &stmt, &res);

    return store_members_read(rc, res, members_r);
}


void
store_read_pg_receipt(const store_members_t *members, int i,
    store_entry_receipt_t *receipt_r)
{
    PGresult  *res;

    res = members->rows;

    receipt_r->user = (uint64_t) store_row_i64(res, i, COL_USER);
    receipt_r->delivered = store_row_bool(res, i, COL_DELIVERED);
    receipt_r->read = store_row_bool(res, i, COL_READ);

    /* What is read has been delivered. */
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


/* A chat that the user has left stays visible up to left_seq, which is then
 * the cursor. */

store_e
store_read_pg_start_at_now(store_reader_t *reader, uint64_t user,
    uint64_t device)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    static const store_stmt_t  stmt = {
        "receipts_start",
        "INSERT INTO device_marks (device_id, chat_id, delivered_seq) "
        "SELECT $1, m.chat_id, greatest(m.joined_seq - 1, "
            "least(c.last_seq, coalesce(m.left_seq, c.last_seq))) "
        "FROM chat_members m JOIN chats c ON c.id = m.chat_id "
        "WHERE m.user_id = $2 "
        "ON CONFLICT (device_id, chat_id) DO NOTHING",
        2
    };

    a = store_pg_args(reader->accounts);
    store_args_scalar_i64(a, device);
    store_args_scalar_i64(a, user);

    rc = store_pg_query(reader->accounts, &stmt, &res);
    if (rc == STORE_OK) {
        PQclear(res);
    }

    return rc;
}


static store_e
store_members_read(store_e rc, PGresult *res, store_members_t *members)
{
    if (rc != STORE_OK) {
        return rc;
    }

    members->ops = &store_read_pg_ops;
    members->rows = res;
    members->n = PQntuples(res);

    if (members->n == 0) {
        members->sees = STORE_SEES_NOTHING;
        return STORE_OK;
    }

    members->sees = store_row_bool(res, 0, COL_CURRENT) ? STORE_SEES_ALL
                                                        : STORE_SEES_PAST;

    if (PQgetisnull(res, 0, COL_USER)) {
        members->n = 0;
    }

    return STORE_OK;
}
