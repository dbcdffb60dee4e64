/*
 * store_chat_pg_target.c: the target of an edit, a delete or a reaction.
 *
 * Called from store_chat.c; hands to store_chat_pg.c. A changed message keeps
 * its seq, digest and message id: a duplicate of the send is compared with
 * what was sent first.
 */

#include <string.h>

#include "store_chat_pg.h"

static const store_stmt_t  store_chat_target_stmt = {
    "chat_target",
    "SELECT e.kind, e.sender_id,"
    " e.deleted_at IS NOT NULL OR (e.expires_at < now()) IS TRUE,"
    " (SELECT r.seq FROM entries r WHERE r.chat_id = $1::uuid"
    "  AND r.sender_device = $3::int8 AND r.message_id = $4::text)"
    " FROM (VALUES (1)) one (n) LEFT JOIN entries e"
    " ON e.chat_id = $1::uuid AND e.seq = $2::int8",
    4
};

static const store_stmt_t  store_chat_edit_stmt = {
    "chat_edit",
    "UPDATE entries SET content = $3::text,"
    " edited_at = date_trunc('milliseconds', clock_timestamp())"
    " WHERE chat_id = $1::uuid AND seq = $2::int8",
    3
};

static const store_stmt_t  store_chat_erase_stmt = {
    "chat_erase",
    "UPDATE entries SET content = NULL, media_id = NULL,"
    " deleted_at = date_trunc('milliseconds', clock_timestamp())"
    " WHERE chat_id = $1::uuid AND seq = $2::int8",
    2
};


store_e
store_chat_pg_target(store_chat_t *st, const uint8_t id[16], uint64_t seq,
    uint64_t device, const chat_str_t *message_id, store_target_t *target_r)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    memset(target_r, 0, sizeof(*target_r));

    a = store_chat_pg_args(st);
    store_args_scalar_uuid(a, id);
    store_args_scalar_i64(a, seq);
    store_args_scalar_i64(a, device);
    store_args_scalar_str(a, message_id);

    rc = store_chat_pg_change(st, &store_chat_target_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    target_r->kind = (uint8_t) store_row_i16(res, 0, 0);
    target_r->sender = (uint64_t) store_row_i64(res, 0, 1);
    target_r->gone = (uint8_t) store_row_bool(res, 0, 2);
    target_r->duplicate = (uint64_t) store_row_i64(res, 0, 3);

    return STORE_OK;
}


store_e
store_chat_pg_edit(store_chat_t *st, const uint8_t id[16], uint64_t seq,
    const chat_str_t *content)
{
    PGresult      *res;
    store_args_t  *a;

    a = store_chat_pg_args(st);
    store_args_scalar_uuid(a, id);
    store_args_scalar_i64(a, seq);
    store_args_scalar_str(a, content);

    return store_chat_pg_change(st, &store_chat_edit_stmt, &res);
}


store_e
store_chat_pg_erase(store_chat_t *st, const uint8_t id[16], uint64_t seq)
{
    PGresult      *res;
    store_args_t  *a;

    a = store_chat_pg_args(st);
    store_args_scalar_uuid(a, id);
    store_args_scalar_i64(a, seq);

    return store_chat_pg_change(st, &store_chat_erase_stmt, &res);
}
