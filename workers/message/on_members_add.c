/*
 * on_members_add.c: POST /chats/{chatId}/members, by the owner and admins of a
 * group.
 *
 * Called from message_try.c; hands to store_chat_member.c. Each new member
 * makes one member_added entry; before it that user's devices get chat_added.
 */

#include <stdio.h>
#include <stdlib.h>

#include "chat_id.h"
#include "on.h"
#include "store_user.h"

static store_e on_members_add_users(message_t *m, message_item_t *it,
    const uint64_t *users, size_t n);
static size_t on_members_add_select(const message_chat_t *chat,
    const uint64_t *users, size_t n, uint64_t *new_r);
static store_e on_members_add_execute(message_t *m, message_item_t *it,
    const uint64_t *users, size_t n, const uint64_t *new_users, size_t nnew);
static store_e on_members_add_redo(message_t *m, message_item_t *it,
    const uint64_t *users, size_t n);
static store_e on_members_add_append(message_t *m, message_item_t *it,
    const uint64_t *users, size_t n);
static void on_members_add_join(message_t *m, message_item_t *it,
    uint64_t user, const chat_entry_t *e);
static store_e on_members_add_answer(message_t *m, message_item_t *it,
    const uint64_t *users, size_t n, const char *route);


store_e
on_members_add(message_t *m, message_item_t *it)
{
    size_t     n;
    json_t    *root;
    store_e    rc;
    uint64_t  *users;

    if (request_admin(m, it, "Only admins of a group add members.") == NULL) {
        return STORE_OK;
    }

    root = request_body(m, it);

    if (root == NULL) {
        return STORE_OK;
    }

    rc = STORE_OK;

    if (request_users(m, it, root, "userIds", 0, &users, &n) == 0) {
        rc = on_members_add_users(m, it, users, n);
        free(users);
    }

    json_decref(root);

    return rc;
}


static store_e
on_members_add_users(message_t *m, message_item_t *it, const uint64_t *users,
    size_t n)
{
    size_t     nnew;
    store_e    rc;
    uint64_t  *new_users;

    new_users = worker_calloc(n, sizeof(*new_users));
    nnew = on_members_add_select(it->chat, users, n, new_users);

    rc = nnew > 0 ? store_account_exist(m->store, new_users, nnew) : STORE_OK;

    if (rc == STORE_NOT_FOUND || it->chat->active + nnew > CHAT_MEMBERS_MAX) {
        reply_refuse(m, it, CHAT_E_BAD_FIELD, rc == STORE_NOT_FOUND
                     ? "userIds names an unknown user"
                     : "userIds: the group would have too many members");
        rc = STORE_OK;

    } else if (rc == STORE_OK) {
        rc = on_members_add_execute(m, it, users, n, new_users, nnew);
    }

    free(new_users);

    return rc;
}


/* Those of the users who are not members; how many. */

static size_t
on_members_add_select(const message_chat_t *chat, const uint64_t *users,
    size_t n, uint64_t *new_r)
{
    size_t             i, nnew;
    message_member_t  *member;

    for (nnew = 0, i = 0; i < n; i++) {
        member = message_chat_member(chat, users[i]);

        if (member == NULL || member->left != 0) {
            new_r[nnew++] = users[i];
        }
    }

    return nnew;
}


static store_e
on_members_add_execute(message_t *m, message_item_t *it,
    const uint64_t *users, size_t n, const uint64_t *new_users, size_t nnew)
{
    int      answered;
    char     route[80], id[CHAT_ID_TEXT];
    store_e  rc;

    (void) chat_id_print(it->chat->id, id);
    (void) snprintf(route, sizeof(route), "POST /chats/%.*s/members",
                    CHAT_ID_TEXT, id);

    /* before the key, which would give the stored answer and no notice */
    rc = it->redo ? on_members_add_redo(m, it, users, n) : STORE_OK;
    if (rc != STORE_OK) {
        return rc;
    }

    rc = request_key_take(m, it, route, &answered);
    if (rc != STORE_OK || answered) {
        return rc;
    }

    if (nnew > 0) {
        rc = on_members_add_append(m, it, new_users, nnew);
        if (rc != STORE_OK) {
            return rc;
        }
    }

    return on_members_add_answer(m, it, users, n, route);
}


/* Users who are members already may be so by an attempt that was committed but
 * not published. */

static store_e
on_members_add_redo(message_t *m, message_item_t *it, const uint64_t *users,
    size_t n)
{
    int                some;
    size_t             i;
    message_member_t  *member;

    for (some = 0, i = 0; i < n; i++) {
        member = message_chat_member(it->chat, users[i]);

        if (member != NULL && member->left == 0) {
            reply_chat_added(m, it, &users[i], 1, member->joined);
            some = 1;
        }
    }

    return some ? message_entry_republish(m, it, it->chat->last_seq)
                : STORE_OK;
}


static store_e
on_members_add_append(message_t *m, message_item_t *it, const uint64_t *users,
    size_t n)
{
    size_t           i;
    store_e          rc;
    uint64_t        *seqs, version;
    store_append_t  *rows;

    rows = worker_calloc(n, sizeof(*rows));
    seqs = worker_calloc(n, sizeof(*seqs));

    for (i = 0; i < n; i++) {
        message_entry_init(it, CHAT_KIND_MEMBER_ADDED, users[i], STORE_MEMBER,
                           &rows[i]);
    }

    rc = message_entry_append(m, it, rows, n);

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
            on_members_add_join(m, it, users[i], &rows[i].e);
        }
    }

    free(rows);
    free(seqs);

    return rc;
}


/* The user becomes a member in the cache, and this is published. */

static void
on_members_add_join(message_t *m, message_item_t *it, uint64_t user,
    const chat_entry_t *e)
{
    int                rejoins;
    message_member_t  *member;

    rejoins = message_chat_member(it->chat, user) != NULL;
    member = message_chat_join(m->cache, it->chat, user, STORE_MEMBER,
                               e->seq);

    reply_chat_added(m, it, &user, 1, member->joined);
    message_entry_publish(m, it, e, rejoins ? user : 0);
}


static store_e
on_members_add_answer(message_t *m, message_item_t *it, const uint64_t *users,
    size_t n, const char *route)
{
    size_t       i;
    chat_buf_t  *buf;

    buf = reply_buf(m);
    reply_add(buf, "{\"items\":[");

    for (i = 0; i < n; i++) {

        if (i > 0) {
            reply_add(buf, ",");
        }

        reply_add_member(buf, message_chat_member(it->chat, users[i]));
    }

    reply_add(buf, "]}");

    return request_key_answer(m, it, route, 200, buf);
}
