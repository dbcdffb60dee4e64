/*
 * on_member_change.c: PATCH /chats/{chatId}/members/{userId}, a role.
 *
 * Called from message_try.c. By the owner alone. There is one owner: who
 * makes another one becomes an admin.
 */

#include <string.h>

#include "on.h"

static int on_role(message_t *m, message_item_t *it);
static store_e on_role_change(message_t *m, message_item_t *it,
    message_member_t *owner, message_member_t *member, int role);


store_e
on_member_change(message_t *m, message_item_t *it)
{
    int                role;
    store_e            rc;
    chat_buf_t        *buf;
    chat_str_t         word;
    message_member_t  *owner, *member;

    owner = on_member(m, it);

    if (owner == NULL) {
        return STORE_OK;
    }

    member = message_chat_member(it->chat, it->ev.seq);

    /* a transfer that was done leaves the caller an admin: the answer only */
    if (it->redo && owner->role == STORE_ADMIN && member != NULL
        && member->role == STORE_OWNER)
    {
        role = STORE_OWNER;

    } else {

        if (it->chat->type == STORE_DIRECT || owner->role != STORE_OWNER) {
            on_refuse(m, it, CHAT_E_FORBIDDEN,
                      "Only the owner of a group gives roles.");
            return STORE_OK;
        }

        if (member == NULL || member->left != 0) {
            on_refuse(m, it, CHAT_E_NOT_FOUND, "There is no such member.");
            return STORE_OK;
        }

        role = on_role(m, it);

        if (role == 0) {
            return STORE_OK;
        }

        if (member == owner && role != STORE_OWNER) {
            on_refuse(m, it, CHAT_E_FORBIDDEN,
                      "Make another member the owner first.");
            return STORE_OK;
        }
    }

    if (member->role == role) {
        rc = it->redo ? on_republish(m, it, it->chat->last_seq) : STORE_OK;

    } else {
        rc = on_role_change(m, it, owner, member, role);
    }

    if (rc != STORE_OK) {
        return rc;
    }

    word = store_role_word(role);
    buf = on_text(m);
    on_add(buf, "{\"userId\":");
    on_add_id(buf, member->user);
    on_add(buf, ",\"role\":");
    on_add_str(buf, &word);
    on_add(buf, "}");
    on_http(m, it, 200, buf);

    return STORE_OK;
}


static int
on_role(message_t *m, message_item_t *it)
{
    int      role;
    json_t  *root, *value;

    root = on_body(m, it);

    if (root == NULL) {
        return 0;
    }

    value = json_object_get(root, "role");
    role = json_is_string(value)
           ? store_role_number(json_string_value(value),
                               json_string_length(value)) : 0;
    json_decref(root);

    if (role == 0) {
        on_refuse(m, it, CHAT_E_BAD_FIELD,
                  "role is none of owner, admin, member");
    }

    return role;
}


static store_e
on_role_change(message_t *m, message_item_t *it, message_member_t *owner,
    message_member_t *member, int role)
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
        on_entry(it, CHAT_KIND_ROLE_CHANGED, users[i], roles[i], &rows[i]);
    }

    rc = on_append(m, it, rows, n);
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
        on_publish(m, it, &rows[i].e, 0);
    }

    return STORE_OK;
}
