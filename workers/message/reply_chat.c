/*
 * reply_chat.c: a chat and a member as JSON, the notices chat_added and
 * chat_removed.
 *
 * Called from on_chat_*.c, on_member*.c and message_depart.c; hands to
 * the chat store for what only the store knows, and to reply.c.
 */

#include <string.h>

#include "chat_json.h"
#include "reply.h"

static void reply_chat_view(chat_buf_t *buf, const store_member_view_t *view);


store_e
reply_chat_json(message_t *m, message_item_t *it, chat_buf_t *buf)
{
    store_e              rc;
    uint8_t              created[CHAT_TIME_TEXT];
    chat_str_t           title, role;
    message_chat_t      *chat;
    store_member_view_t  view;

    chat = it->chat;

    rc = store_chat_member_view(m->store, chat->id, it->ev.user,
                                it->ev.device, &view);
    if (rc != STORE_OK) {
        return rc == STORE_NOT_FOUND ? STORE_STALE : rc;
    }

    title.data = chat->title;
    title.len = chat->title ? strlen(chat->title) : 0;
    role = store_role_word(message_chat_member(chat, it->ev.user)->role);
    (void) chat_json_time(created, chat->created_at);

    reply_add(buf, "{\"chatId\":");
    reply_add_chat_id(buf, chat->id);
    reply_add(buf, chat->type == STORE_DIRECT
                   ? ",\"type\":\"direct\",\"title\":"
                   : ",\"type\":\"group\",\"title\":");
    reply_add_str(buf, &title);
    reply_chat_view(buf, &view);
    reply_add(buf, ",\"role\":");
    reply_add_str(buf, &role);
    reply_add(buf, ",\"createdAt\":\"");
    (void) chat_buf_add(buf, created, CHAT_TIME_TEXT);

    if (chat->type == STORE_DIRECT) {
        reply_add(buf, "\",\"peerId\":");
        reply_add_id(buf, view.peer);

    } else {
        reply_add(buf, "\",\"memberCount\":");
        reply_add_num(buf, view.members);
    }

    reply_add(buf, "}");

    return STORE_OK;
}


void
reply_add_member(chat_buf_t *buf, const message_member_t *member)
{
    chat_str_t  role;

    role = store_role_word(member->role);

    reply_add(buf, "{\"userId\":");
    reply_add_id(buf, member->user);
    reply_add(buf, ",\"role\":");
    reply_add_str(buf, &role);
    reply_add(buf, "}");
}


void
reply_chat_added(message_t *m, message_item_t *it, const uint64_t *users,
    size_t n, uint64_t from_seq)
{
    chat_buf_t  *buf;

    buf = reply_buf(m);

    reply_add(buf, "{\"type\":\"chat_added\",\"chatId\":");
    reply_add_chat_id(buf, it->chat->id);
    reply_add(buf, ",\"fromSeq\":");
    reply_add_num(buf, from_seq);
    reply_add(buf, "}");

    reply_notify_users(m, users, n, 0, buf);
}


void
reply_chat_removed(message_t *m, message_item_t *it, uint64_t user)
{
    chat_buf_t  *buf;

    buf = reply_buf(m);

    reply_add(buf, "{\"type\":\"chat_removed\",\"chatId\":");
    reply_add_chat_id(buf, it->chat->id);
    reply_add(buf, "}");

    reply_notify_users(m, &user, 1, 0, buf);
}


static void
reply_chat_view(chat_buf_t *buf, const store_member_view_t *view)
{
    reply_add(buf, ",\"lastSeq\":");
    reply_add_num(buf, view->last);
    reply_add(buf, ",\"lastEntry\":");

    if (view->has_entry) {
        (void) chat_entry_json(buf, &view->entry, 0);

    } else {
        reply_add(buf, "null");
    }

    reply_add(buf, ",\"delivered\":");
    reply_add_num(buf, view->delivered);
    reply_add(buf, ",\"read\":");
    reply_add_num(buf, view->read);
    reply_add(buf, ",\"unreadCount\":");
    reply_add_num(buf, view->unread);
}
