/*
 * on_chat_create.c: POST /chats.
 *
 * Called from message_try.c; hands to store_chat_member.c. The edge chooses
 * the id. That of a direct chat is derived from its two users, so a second
 * create finds the chat of the first. A new chat has no entries; its members
 * learn of it by chat_added.
 */

#include <stdlib.h>
#include <string.h>

#include "on.h"
#include "store_user.h"

#define ON_CHAT_CREATE_ROUTE  "POST /chats"

typedef struct {
    uint8_t      type;
    chat_str_t   title;             /* borrowed from the body               */
    uint64_t    *users;             /* with the creator, ascending          */
    size_t       n;
} on_chat_create_t;

static int on_chat_create_parse(message_t *m, message_item_t *it, json_t *root,
    on_chat_create_t *c);
static store_e on_chat_create_execute(message_t *m, message_item_t *it,
    const on_chat_create_t *c);
static store_e on_chat_create_existing(message_t *m, message_item_t *it,
    const on_chat_create_t *c);
static store_e on_chat_create_new(message_t *m, message_item_t *it,
    const on_chat_create_t *c);
static store_e on_chat_create_answer(message_t *m, message_item_t *it,
    unsigned status);


store_e
on_chat_create(message_t *m, message_item_t *it)
{
    json_t            *root;
    store_e            rc;
    on_chat_create_t   c;

    root = request_body(m, it);

    if (root == NULL) {
        return STORE_OK;
    }

    memset(&c, 0, sizeof(c));
    rc = STORE_OK;

    if (on_chat_create_parse(m, it, root, &c) == 0) {
        rc = on_chat_create_execute(m, it, &c);
    }

    free(c.users);
    json_decref(root);

    return rc;
}


static int
on_chat_create_parse(message_t *m, message_item_t *it, json_t *root,
    on_chat_create_t *c)
{
    const char  *type;

    type = json_string_value(json_object_get(root, "type"));

    if (type != NULL && strcmp(type, "direct") == 0) {
        c->type = STORE_DIRECT;

    } else if (type != NULL && strcmp(type, "group") == 0) {
        c->type = STORE_GROUP;

    } else {
        reply_refuse(m, it, CHAT_E_BAD_FIELD,
                     "type is neither direct nor group");
        return -1;
    }

    if (request_users(m, it, root, "memberIds", it->ev.user, &c->users,
                      &c->n) != 0
        || request_title(m, it, root, 0, &c->title) != 0)
    {
        return -1;
    }

    if (c->n == 1 || c->n > CHAT_MEMBERS_MAX
        || (c->type == STORE_DIRECT && c->n != 2))
    {
        reply_refuse(m, it, CHAT_E_BAD_FIELD, c->type == STORE_DIRECT
                     ? "memberIds must name one other user"
                     : "memberIds must name others, and not too many");
        return -1;
    }

    if (c->type == STORE_DIRECT) {
        c->title.data = NULL;
        c->title.len = 0;
    }

    return 0;
}


static store_e
on_chat_create_execute(message_t *m, message_item_t *it,
    const on_chat_create_t *c)
{
    int      answered;
    store_e  rc;

    rc = store_account_exist(m->store, c->users, c->n);

    if (rc == STORE_NOT_FOUND) {
        reply_refuse(m, it, CHAT_E_BAD_FIELD,
                     "memberIds names an unknown user");
        return STORE_OK;
    }

    if (rc != STORE_OK) {
        return rc;
    }

    /* committed but not published: before the key, which would give the
     * stored answer and no notice */
    if (it->redo && it->chat->exists) {
        reply_chat_added(m, it, c->users, c->n, 1);
    }

    rc = request_key_take(m, it, ON_CHAT_CREATE_ROUTE, &answered);

    if (rc != STORE_OK || answered) {
        return rc;
    }

    return it->chat->exists ? on_chat_create_existing(m, it, c)
                            : on_chat_create_new(m, it, c);
}


static store_e
on_chat_create_existing(message_t *m, message_item_t *it,
    const on_chat_create_t *c)
{
    int              redo;
    message_chat_t  *chat;

    chat = it->chat;
    redo = it->redo && chat->created_by == it->ev.user;

    /* the id was derived from other users or is in use: a bug of the edge */
    if (chat->type != c->type || message_chat_member(chat, it->ev.user) == NULL
        || (chat->type == STORE_GROUP && !redo))
    {
        worker_log(WORKER_ERROR, "shard=%u id=%s creates a chat that "
                   "exists", it->shard, it->id);
        reply_refuse(m, it, CHAT_E_INTERNAL, "The chat could not be made.");
        return STORE_OK;
    }

    return on_chat_create_answer(m, it,
                                 redo && chat->last_seq == 0 ? 201 : 200);
}


static store_e
on_chat_create_new(message_t *m, message_item_t *it, const on_chat_create_t *c)
{
    size_t           i;
    store_e          rc;
    uint64_t         owner;
    message_chat_t  *chat;

    chat = it->chat;
    owner = c->type == STORE_GROUP ? it->ev.user : 0;

    rc = store_chat_create(m->store, chat->id, c->type, &c->title,
                           it->ev.user, owner, c->users, c->n,
                           &chat->created_at);
    if (rc != STORE_OK) {
        return rc;
    }

    chat->exists = 1;
    chat->type = c->type;
    chat->members_version = 1;
    chat->created_by = it->ev.user;
    message_chat_set_title(chat, &c->title);

    for (i = 0; i < c->n; i++) {
        (void) message_chat_join(m->cache, chat, c->users[i],
                                 c->users[i] == owner ? STORE_OWNER
                                                      : STORE_MEMBER, 1);
    }

    reply_chat_added(m, it, c->users, c->n, 1);

    return on_chat_create_answer(m, it, 201);
}


static store_e
on_chat_create_answer(message_t *m, message_item_t *it, unsigned status)
{
    store_e      rc;
    chat_buf_t  *buf;

    buf = reply_buf(m);

    rc = reply_chat_json(m, it, buf);
    if (rc != STORE_OK) {
        return rc;
    }

    return request_key_answer(m, it, ON_CHAT_CREATE_ROUTE, status, buf);
}
