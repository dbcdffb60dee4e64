/*
 * on_answer.c: refusals, answers and notices that handlers share.
 *
 * Called from on_*.c; hands to fanout.c. An event that came by REST is
 * answered by HTTP and problem+json, one from a socket by an error frame.
 */

#include <string.h>

#include "chat_id.h"
#include "chat_json.h"
#include "message_feed.h"
#include "on.h"


fanout_to_t
on_from(const message_item_t *it)
{
    fanout_to_t  from = { it->ev.edge, it->ev.session };

    return from;
}


message_member_t *
on_member(message_t *m, message_item_t *it)
{
    message_member_t  *member;

    member = it->chat->exists ? message_chat_member(it->chat, it->ev.user)
                              : NULL;

    if (member == NULL) {
        on_refuse(m, it, CHAT_E_NOT_FOUND, "There is no such chat.");
        return NULL;
    }

    if (member->left != 0) {
        on_refuse(m, it, CHAT_E_NOT_MEMBER,
                  "You are no longer a member of this chat.");
        return NULL;
    }

    return member;
}


void
on_refuse(message_t *m, message_item_t *it, chat_error_e error,
    const char *why)
{
    unsigned     retry;
    chat_buf_t  *buf;
    const char  *word;
    chat_str_t   message;

    buf = on_text(m);
    retry = error == CHAT_E_UNAVAILABLE ? MESSAGE_RETRY_AFTER : 0;

    if (it->ev.flags & CHAT_EV_F_REST) {
        (void) chat_json_problem(buf, (int) error, why, retry);
        on_http(m, it, (unsigned) chat_error_status(error), buf);
        return;
    }

    word = chat_error_word(error);
    message.data = why;
    message.len = strlen(why);

    on_add(buf, "{\"type\":\"error\",\"code\":\"");
    on_add(buf, word);
    on_add(buf, "\",\"message\":");
    on_add_str(buf, &message);

    if (it->ev.message_id.data != NULL) {
        on_add(buf, ",\"messageId\":");
        on_add_str(buf, &it->ev.message_id);
    }

    on_add(buf, ",\"chatId\":");
    on_add_chat(buf, it->ev.chat);

    if (retry != 0) {
        on_add(buf, ",\"retryAfter\":");
        on_add_num(buf, retry);
    }

    on_add(buf, "}");
    fanout_frame(m->out, on_from(it), it->ev.chat, &it->ev.message_id, buf);
}


chat_buf_t *
on_text(message_t *m)
{
    chat_buf_reset(&m->text);

    return &m->text;
}


void
on_add(chat_buf_t *buf, const char *text)
{
    (void) chat_buf_add(buf, text, strlen(text));
}


void
on_add_chat(chat_buf_t *buf, const uint8_t id[16])
{
    char  text[CHAT_ID_TEXT];

    (void) chat_id_print(id, text);
    on_add(buf, "\"");
    (void) chat_buf_add(buf, text, CHAT_ID_TEXT);
    on_add(buf, "\"");
}


void
on_add_id(chat_buf_t *buf, uint64_t id)
{
    on_add(buf, "\"");
    on_add_num(buf, id);
    on_add(buf, "\"");
}


void
on_add_num(chat_buf_t *buf, uint64_t n)
{
    uint8_t  text[20];

    (void) chat_buf_add(buf, text,
                        (size_t) (chat_json_u64(text, n) - text));
}


void
on_add_str(chat_buf_t *buf, const chat_str_t *s)
{
    if (s->data == NULL) {
        on_add(buf, "null");
        return;
    }

    (void) chat_json_add_string(buf, s->data, s->len);
}


void
on_http(message_t *m, message_item_t *it, unsigned status,
    const chat_buf_t *json)
{
    if (json->failed) {
        worker_die("out of memory");
    }

    fanout_http(m->out, on_from(it), status, json);
}


store_e
on_chat_json(message_t *m, message_item_t *it, chat_buf_t *buf)
{
    store_e          rc;
    uint8_t          created[CHAT_TIME_TEXT];
    chat_str_t       title, role;
    store_own_t      own;
    message_chat_t  *chat;

    chat = it->chat;

    rc = store_chat_own(m->store, chat->id, it->ev.user, it->ev.device, &own);
    if (rc != STORE_OK) {
        return rc;
    }

    title.data = chat->title;
    title.len = chat->title ? strlen(chat->title) : 0;
    role = store_role_word(message_chat_member(chat, it->ev.user)->role);
    (void) chat_json_time(created, chat->created_at);

    on_add(buf, "{\"chatId\":");
    on_add_chat(buf, chat->id);
    on_add(buf, chat->type == STORE_DIRECT ? ",\"type\":\"direct\",\"title\":"
                                           : ",\"type\":\"group\",\"title\":");
    on_add_str(buf, &title);
    on_add(buf, ",\"lastSeq\":");
    on_add_num(buf, own.last);
    on_add(buf, ",\"lastEntry\":");

    if (own.has_entry) {
        (void) chat_entry_json(buf, &own.entry, 0);

    } else {
        on_add(buf, "null");
    }

    on_add(buf, ",\"delivered\":");
    on_add_num(buf, own.delivered);
    on_add(buf, ",\"read\":");
    on_add_num(buf, own.read);
    on_add(buf, ",\"unreadCount\":");
    on_add_num(buf, own.unread);
    on_add(buf, ",\"role\":");
    on_add_str(buf, &role);
    on_add(buf, ",\"createdAt\":\"");
    (void) chat_buf_add(buf, created, CHAT_TIME_TEXT);

    if (chat->type == STORE_DIRECT) {
        on_add(buf, "\",\"peerId\":");
        on_add_id(buf, own.peer);

    } else {
        on_add(buf, "\",\"memberCount\":");
        on_add_num(buf, own.members);
    }

    on_add(buf, "}");

    return STORE_OK;
}


void
on_notify_chat(message_t *m, message_item_t *it, const uint64_t *users,
    size_t n, uint64_t from_seq)
{
    chat_buf_t  *buf;

    buf = on_text(m);

    on_add(buf, from_seq ? "{\"type\":\"chat_added\",\"chatId\":"
                         : "{\"type\":\"chat_removed\",\"chatId\":");
    on_add_chat(buf, it->chat->id);

    if (from_seq != 0) {
        on_add(buf, ",\"fromSeq\":");
        on_add_num(buf, from_seq);
    }

    on_add(buf, "}");
    fanout_notice_users(m->out, users, n, 0, buf);
}


void
on_entry(const message_item_t *it, chat_kind_e kind, uint64_t subject,
    int role, store_append_t *row_r)
{
    memset(row_r, 0, sizeof(*row_r));

    memcpy(row_r->e.chat, it->chat->id, 16);
    row_r->e.kind = (uint8_t) kind;
    row_r->e.sender = it->ev.user;
    row_r->e.sender_device = it->ev.device;
    row_r->e.subject = subject;
    row_r->e.role = store_role_word(role);
}


store_e
on_append(message_t *m, message_item_t *it, store_append_t *rows, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        rows[i].digest = chat_entry_digest(&rows[i].e);
    }

    return message_append(m, it->chat, rows, n, 0);
}


void
on_publish(message_t *m, message_item_t *it, const chat_entry_t *e,
    uint64_t back)
{
    /* nobody waits for an ack of what came by REST */
    fanout_to_t  nobody = { 0, 0 };

    fanout_entry(m->out, it->chat, e, m->shards[it->shard].epoch,
                 it->ev.flags & CHAT_EV_F_REST ? nobody : on_from(it), back,
                 it->redo ? CHAT_REC_F_REDO : 0);
    message_feed_gather(m, it->chat, e, it->redo);
}


store_e
on_republish(message_t *m, message_item_t *it, uint64_t seq)
{
    store_e       rc;
    chat_entry_t  e;
    fanout_to_t   nobody = { 0, 0 };

    if (seq == 0) {
        return STORE_OK;
    }

    rc = store_chat_entry(m->store, it->chat->id, seq, &e);

    if (rc == STORE_OK) {
        fanout_entry(m->out, it->chat, &e, m->shards[it->shard].epoch, nobody,
                     0, CHAT_REC_F_REDO);
    }

    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}
