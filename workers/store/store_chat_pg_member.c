/*
 * store_chat_pg_member.c: chats are created, members join and leave.
 *
 * Called from store_chat.c; hands to store_chat_pg.c. Every statement that
 * changes membership or a role also increments members_version: the next
 * append of a worker whose cache has another version is STORE_STALE.
 */

#include "store_chat_pg.h"

#define STORE_CHAT_NEXT_VERSION                                              \
    "WITH v AS (UPDATE chats SET members_version = members_version + 1"      \
    " WHERE id = $1::uuid RETURNING members_version), w AS ("

#define STORE_CHAT_VERSION  ") SELECT members_version FROM v"

static const store_stmt_t  store_chat_create_stmt = {
    "chat_create",
    "WITH c AS ("
    " INSERT INTO chats (id, type, title, created_by, created_at,"
    " last_message_time) SELECT $1::uuid, $2::int2, $3::text, $4::int8, t, t"
    " FROM date_trunc('milliseconds', clock_timestamp()) t"
    " RETURNING created_at"
    "), m AS ("
    " INSERT INTO chat_members (chat_id, user_id, role, joined_seq)"
    " SELECT $1::uuid, u, CASE WHEN u = $5::int8 THEN 1 ELSE 3 END, 1"
    " FROM unnest($6::int8[]) u"
    ")"
    "SELECT created_at FROM c",
    6
};

static const store_stmt_t  store_chat_title_stmt = {
    "chat_title",
    "UPDATE chats SET title = $2::text WHERE id = $1::uuid",
    2
};

/* excluded.joined_seq is the seq of the new member_added. A user who returns
 * keeps the first joined_seq; the entries since leaving become hidden. */
static const store_stmt_t  store_chat_add_stmt = {
    "chat_add",
    STORE_CHAT_NEXT_VERSION
    " INSERT INTO chat_members (chat_id, user_id, role, joined_seq)"
    " SELECT $1::uuid, u, 3, s FROM unnest($2::int8[], $3::int8[]) i (u, s)"
    " ON CONFLICT (chat_id, user_id) DO UPDATE SET role = 3, left_seq = NULL,"
    " cleared_seq = NULL, hidden = chat_members.hidden +"
    " int8multirange(int8range(chat_members.left_seq + 1,"
    " excluded.joined_seq))"
    STORE_CHAT_VERSION,
    3
};

static const store_stmt_t  store_chat_leave_stmt = {
    "chat_leave",
    STORE_CHAT_NEXT_VERSION
    " UPDATE chat_members SET left_seq = $3::int8"
    " WHERE chat_id = $1::uuid AND user_id = $2::int8"
    STORE_CHAT_VERSION,
    3
};

static const store_stmt_t  store_chat_roles_stmt = {
    "chat_roles",
    STORE_CHAT_NEXT_VERSION
    " UPDATE chat_members m SET role = i.role"
    " FROM unnest($2::int8[], $3::int2[]) i (u, role)"
    " WHERE m.chat_id = $1::uuid AND m.user_id = i.u"
    STORE_CHAT_VERSION,
    3
};

static const store_stmt_t  store_chat_clear_stmt = {
    "chat_clear",
    "UPDATE chat_members SET cleared_seq = $3::int8"
    " WHERE chat_id = $1::uuid AND user_id = $2::int8",
    3
};

static store_e store_chat_version(store_chat_t *st, const store_stmt_t *stmt,
    uint64_t *version_r);


store_e
store_chat_pg_create(store_chat_t *st, const uint8_t id[16], uint8_t type,
    const chat_str_t *title, uint64_t creator, uint64_t owner,
    const uint64_t *users, size_t n, int64_t *created_r)
{
    size_t         i;
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    a = store_chat_pg_args(st);
    store_args_scalar_uuid(a, id);
    store_args_scalar_i16(a, type);
    store_args_scalar_str(a, title);
    store_args_scalar_i64(a, creator);
    store_args_scalar_i64(a, owner);
    store_args_array(a, STORE_INT8);

    for (i = 0; i < n; i++) {
        store_args_i64(a, users[i]);
    }

    rc = store_chat_pg_change(st, &store_chat_create_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    *created_r = store_row_ms(res, 0, 0);

    return STORE_OK;
}


store_e
store_chat_pg_title(store_chat_t *st, const uint8_t id[16],
    const chat_str_t *title)
{
    PGresult      *res;
    store_args_t  *a;

    a = store_chat_pg_args(st);
    store_args_scalar_uuid(a, id);
    store_args_scalar_str(a, title);

    return store_chat_pg_change(st, &store_chat_title_stmt, &res);
}


store_e
store_chat_pg_members_add(store_chat_t *st, const uint8_t id[16],
    const uint64_t *users, const uint64_t *seqs, size_t n,
    uint64_t *version_r)
{
    size_t         i;
    store_args_t  *a;

    a = store_chat_pg_args(st);
    store_args_scalar_uuid(a, id);
    store_args_array(a, STORE_INT8);

    for (i = 0; i < n; i++) {
        store_args_i64(a, users[i]);
    }

    store_args_array(a, STORE_INT8);

    for (i = 0; i < n; i++) {
        store_args_i64(a, seqs[i]);
    }

    return store_chat_version(st, &store_chat_add_stmt, version_r);
}


store_e
store_chat_pg_member_leave(store_chat_t *st, const uint8_t id[16],
    uint64_t user, uint64_t left, uint64_t *version_r)
{
    store_args_t  *a;

    a = store_chat_pg_args(st);
    store_args_scalar_uuid(a, id);
    store_args_scalar_i64(a, user);
    store_args_scalar_i64(a, left);

    return store_chat_version(st, &store_chat_leave_stmt, version_r);
}


store_e
store_chat_pg_roles(store_chat_t *st, const uint8_t id[16],
    const uint64_t *users, const uint8_t *roles, size_t n,
    uint64_t *version_r)
{
    size_t         i;
    store_args_t  *a;

    a = store_chat_pg_args(st);
    store_args_scalar_uuid(a, id);
    store_args_array(a, STORE_INT8);

    for (i = 0; i < n; i++) {
        store_args_i64(a, users[i]);
    }

    store_args_array(a, STORE_INT2);

    for (i = 0; i < n; i++) {
        store_args_i16(a, roles[i]);
    }

    return store_chat_version(st, &store_chat_roles_stmt, version_r);
}


store_e
store_chat_pg_clear(store_chat_t *st, const uint8_t id[16], uint64_t user,
    uint64_t seq)
{
    PGresult      *res;
    store_args_t  *a;

    a = store_chat_pg_args(st);
    store_args_scalar_uuid(a, id);
    store_args_scalar_i64(a, user);
    store_args_scalar_i64(a, seq);

    return store_chat_pg_change(st, &store_chat_clear_stmt, &res);
}


static store_e
store_chat_version(store_chat_t *st, const store_stmt_t *stmt,
    uint64_t *version_r)
{
    store_e    rc;
    PGresult  *res;

    rc = store_chat_pg_change(st, stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    if (PQntuples(res) != 1) {
        return STORE_STALE;
    }

    *version_r = (uint64_t) store_row_i64(res, 0, 0);

    return STORE_OK;
}
