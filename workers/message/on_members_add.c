/*
 * on_members_add.c: POST /chats/{chatId}/members.
 *
 * Called from message_try.c. By the owner and admins of a group. One
 * member_added entry each; before it the new member's devices get chat_added.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_id.h"
#include "on.h"
#include "store_user.h"

static store_e on_add_do(message_t *m, message_item_t *it,
    const uint64_t *users, size_t n, const char *route);
static store_e on_add_append(message_t *m, message_item_t *it,
    const uint64_t *users, size_t n);
static store_e on_add_again(message_t *m, message_item_t *it,
    const uint64_t *users, size_t n);
static store_e on_add_answer(message_t *m, message_item_t *it,
    const uint64_t *users, size_t n, const char *route);


store_e
on_members_add(message_t *m, message_item_t *it)
{
    char               route[80], id[CHAT_ID_TEXT];
    size_t             n;
    json_t            *root;
    store_e            rc;
    uint64_t          *users;
    message_member_t  *member;

    member = on_member(m, it);

    if (member == NULL) {
        return STORE_OK;
    }

    if (it->chat->type == STORE_DIRECT || member->role == STORE_MEMBER) {
        on_refuse(m, it, CHAT_E_FORBIDDEN,
                  "Only admins of a group add members.");
        return STORE_OK;
    }

    root = on_body(m, it);

    if (root == NULL) {
        return STORE_OK;
    }

    rc = STORE_OK;

    if (on_users(m, it, root, "userIds", 0, &users, &n) == 0) {
        (void) chat_id_print(it->chat->id, id);
        (void) snprintf(route, sizeof(route), "POST /chats/%.*s/members",
                        CHAT_ID_TEXT, id);

        rc = on_add_do(m, it, users, n, route);
        free(users);
    }

    json_decref(root);

    return rc;
}


static store_e
on_add_do(message_t *m, message_item_t *it, const uint64_t *users, size_t n,
    const char *route)
{
    size_t             i, fresh;
    store_e            rc;
    uint64_t          *add;
    message_member_t  *member;

    add = worker_calloc(n, sizeof(*add));

    for (fresh = 0, i = 0; i < n; i++) {
        member = message_chat_member(it->chat, users[i]);

        if (member == NULL || member->left != 0) {
            add[fresh++] = users[i];
        }
    }

    rc = fresh > 0 ? store_account_exist(m->store, add, fresh) : STORE_OK;

    if (rc == STORE_NOT_FOUND || it->chat->active + fresh > CHAT_MEMBERS_MAX) {
        on_refuse(m, it, CHAT_E_BAD_FIELD, rc == STORE_NOT_FOUND
                  ? "userIds names an unknown user"
                  : "userIds: the group would have too many members");
        free(add);
        return STORE_OK;
    }

    if (rc == STORE_OK && it->redo) {
        rc = on_add_again(m, it, users, n);
    }

    if (rc == STORE_OK) {
        rc = on_key_take(m, it, route);

        if (rc == STORE_NOT_FOUND) {
            free(add);
            return STORE_OK;
        }
    }

    if (rc == STORE_OK && fresh > 0) {
        rc = on_add_append(m, it, add, fresh);
    }

    free(add);

    return rc == STORE_OK ? on_add_answer(m, it, users, n, route) : rc;
}


static store_e
on_add_append(message_t *m, message_item_t *it, const uint64_t *users,
    size_t n)
{
    int                back;
    size_t             i;
    store_e            rc;
    uint64_t          *seqs, version;
    store_append_t    *rows;
    message_member_t  *member;

    rows = worker_calloc(n, sizeof(*rows));
    seqs = worker_calloc(n, sizeof(*seqs));

    for (i = 0; i < n; i++) {
        on_entry(it, CHAT_KIND_MEMBER_ADDED, users[i], STORE_MEMBER, &rows[i]);
    }

    rc = on_append(m, it, rows, n);

    if (rc == STORE_OK) {

        for (i = 0; i < n; i++) {
            seqs[i] = rows[i].e.seq;
        }

        rc = store_chat_members_add(m->store, it->chat->id, users, seqs, n,
                                    &version);
    }

    if (rc == STORE_OK) {
        it->chat->members_version = version;

        for (i = 0; i < n; i++) {
            back = message_chat_member(it->chat, users[i]) != NULL;
            member = message_chat_join(m->cache, it->chat, users[i],
                                       STORE_MEMBER, seqs[i]);

            on_notify_chat(m, it, &users[i], 1, member->joined);
            on_publish(m, it, &rows[i].e, back ? users[i] : 0);
        }
    }

    free(rows);
    free(seqs);

    return rc;
}


/* Those who are members already may be so by the try that was not told. */

static store_e
on_add_again(message_t *m, message_item_t *it, const uint64_t *users,
    size_t n)
{
    int                some;
    size_t             i;
    message_member_t  *member;

    for (some = 0, i = 0; i < n; i++) {
        member = message_chat_member(it->chat, users[i]);

        if (member != NULL && member->left == 0) {
            on_notify_chat(m, it, &users[i], 1, member->joined);
            some = 1;
        }
    }

    return some ? on_republish(m, it, it->chat->last_seq) : STORE_OK;
}


static store_e
on_add_answer(message_t *m, message_item_t *it, const uint64_t *users,
    size_t n, const char *route)
{
    size_t       i;
    chat_buf_t  *buf;
    chat_str_t   role;

    buf = on_text(m);
    on_add(buf, "{\"items\":[");

    for (i = 0; i < n; i++) {
        role = store_role_word(message_chat_member(it->chat, users[i])->role);

        on_add(buf, i ? ",{\"userId\":" : "{\"userId\":");
        on_add_id(buf, users[i]);
        on_add(buf, ",\"role\":");
        on_add_str(buf, &role);
        on_add(buf, "}");
    }

    on_add(buf, "]}");
    on_http(m, it, 200, buf);

    return on_key_fill(m, it, route, 200, buf);
}
