/*
 * on_member_change.c: PATCH /chats/{chatId}/members/{userId}, a role, by the
 * owner. A group has one owner: an owner who makes another member the owner
 * becomes an admin.
 *
 * Called from message_try.c; hands to store_chat_member.c.
 */

#include "on.h"

static int on_member_change_check(message_t *m, message_item_t *it,
    const message_member_t *owner, const message_member_t *member);
static int on_member_change_parse(message_t *m, message_item_t *it);
static store_e on_member_change_role(message_t *m, message_item_t *it,
    message_member_t *owner, message_member_t *member, int role);
static void on_member_change_answer(message_t *m, message_item_t *it,
    const message_member_t *member);


store_e
on_member_change(message_t *m, message_item_t *it)
{
    int                role;
    store_e            rc;
    message_member_t  *owner, *member;

    owner = request_member(m, it);

    if (owner == NULL) {
        return STORE_OK;
    }

    member = message_chat_member(it->chat, it->ev.seq);

    /* on a redo of a transfer the sender is an admin already */
    if (it->redo && owner->role == STORE_ADMIN && member != NULL
        && member->role == STORE_OWNER)
    {
        role = STORE_OWNER;

    } else {
        role = on_member_change_check(m, it, owner, member);

        if (role == 0) {
            return STORE_OK;
        }
    }

    if (member->role == role) {
        rc = it->redo ? message_entry_republish(m, it, it->chat->last_seq)
                      : STORE_OK;

    } else {
        rc = on_member_change_role(m, it, owner, member, role);
    }

    if (rc == STORE_OK) {
        on_member_change_answer(m, it, member);
    }

    return rc;
}


/* The new role, or 0 after refusing. */

static int
on_member_change_check(message_t *m, message_item_t *it,
    const message_member_t *owner, const message_member_t *member)
{
    int  role;

    if (it->chat->type == STORE_DIRECT || owner->role != STORE_OWNER) {
        reply_refuse(m, it, CHAT_E_FORBIDDEN,
                     "Only the owner of a group gives roles.");
        return 0;
    }

    if (member == NULL || member->left != 0) {
        reply_refuse(m, it, CHAT_E_NOT_FOUND, "There is no such member.");
        return 0;
    }

    role = on_member_change_parse(m, it);

    if (role == 0) {
        return 0;
    }

    if (member == owner && role != STORE_OWNER) {
        reply_refuse(m, it, CHAT_E_FORBIDDEN,
                     "Make another member the owner first.");
        return 0;
    }

    return role;
}


/* The role in the body, or 0 after refusing. */

static int
on_member_change_parse(message_t *m, message_item_t *it)
{
    int      role;
    json_t  *root, *value;

    root = request_body(m, it);

    if (root == NULL) {
        return 0;
    }

    value = json_object_get(root, "role");
    role = json_is_string(value)
           ? store_role_number(json_string_value(value),
                               json_string_length(value)) : 0;
    json_decref(root);

    if (role == 0) {
        reply_refuse(m, it, CHAT_E_BAD_FIELD,
                     "role is none of owner, admin, member");
    }

    return role;
}


static store_e
on_member_change_role(message_t *m, message_item_t *it,
    message_member_t *owner, message_member_t *member, int role)
{
    size_t          i, n;
    store_e         rc;
    uint8_t         roles[2];
    uint64_t        users[2], version;
    store_append_t  rows[2];

    n = 0;
    users[n] = member->user;
    roles[n++] = (uint8_t) role;

    if (role == STORE_OWNER) {
        users[n] = owner->user;
        roles[n++] = STORE_ADMIN;
    }

    for (i = 0; i < n; i++) {
        message_entry_init(it, CHAT_KIND_ROLE_CHANGED, users[i], roles[i],
                           &rows[i]);
    }

    rc = message_entry_append(m, it, rows, n);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = store_chat_roles(m->store, it->chat->id, users, roles, n, &version);
    if (rc != STORE_OK) {
        return rc;
    }

    it->chat->members_version = version;

    for (i = 0; i < n; i++) {
        message_chat_member(it->chat, users[i])->role = roles[i];
        message_entry_publish(m, it, &rows[i].e, 0);
    }

    return STORE_OK;
}


static void
on_member_change_answer(message_t *m, message_item_t *it,
    const message_member_t *member)
{
    chat_buf_t  *buf;

    buf = reply_buf(m);
    reply_add_member(buf, member);
    reply_http(m, it, 200, buf);
}
