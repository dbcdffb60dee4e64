/*
 * on_send_message.c: send_message, POST /chats/{chatId}/messages.
 *
 * Called from message_try.c: first the checks, event by event, then all that
 * passed are written in one statement, then each is told what became of it.
 * Whether it is a repeat is decided by that statement and by nothing before.
 */

#include <string.h>

#include "on.h"

static void on_send_again(message_t *m, message_item_t *it,
    const chat_entry_t *e);


int
on_send_message(message_t *m, message_item_t *it, store_append_t *row_r)
{
    int                rest;
    chat_entry_t      *e;
    message_member_t  *member;

    member = on_member(m, it);

    if (member == NULL) {
        return 0;
    }

    rest = it->ev.flags & CHAT_EV_F_REST;

    if (rest && it->frame.error != CHAT_OK) {
        on_refuse(m, it, it->frame.error, it->frame.why);
        return 0;
    }

    memset(row_r, 0, sizeof(*row_r));
    e = &row_r->e;

    memcpy(e->chat, it->ev.chat, 16);
    e->kind = CHAT_KIND_MESSAGE;
    e->sender = it->ev.user;
    e->sender_device = it->ev.device;
    e->message_id = rest ? it->frame.message_id : it->ev.message_id;
    e->content = rest ? it->frame.content : it->ev.content;
    e->content_type = rest ? it->frame.content_type : it->ev.content_type;
    e->media_id = rest ? it->frame.media_id : it->ev.media_id;
    e->reply_to = rest ? it->frame.reply_to : it->ev.reply_to;
    e->expires_in = rest ? it->frame.expires_in : it->ev.expires_in;

    /* numbers are dense: what is not above the last one exists */
    if (e->reply_to != 0
        && (e->reply_to > it->chat->last_seq
            || !message_member_sees(member, e->reply_to)))
    {
        on_refuse(m, it, CHAT_E_BAD_FIELD, "replyTo does not exist");
        return 0;
    }

    row_r->digest = chat_entry_digest(e);
    row_r->check_duplicate = it->redo;

    return 1;
}


/* What became of an append that carries a message id: of a send, an edit, a
 * delete or a reaction. */

store_e
on_appended(message_t *m, message_item_t *it, store_append_t *row)
{
    store_e       rc;
    chat_buf_t   *buf;
    chat_entry_t  e;

    if (!row->inserted && row->digest != chat_entry_digest(&row->e)) {
        on_refuse(m, it, CHAT_E_MESSAGE_ID_REUSED,
                  "This messageId was used for something else.");
        return STORE_OK;
    }

    e = row->e;

    if (row->inserted) {
        on_publish(m, it, &e, 0);

    } else {
        /* as it is now: it may have been edited or deleted since */
        rc = store_chat_entry(m->store, it->chat->id, row->e.seq, &e);

        if (rc != STORE_OK) {
            return rc;
        }

        on_send_again(m, it, &e);
    }

    if (it->ev.flags & CHAT_EV_F_REST) {
        buf = on_text(m);
        (void) chat_entry_json(buf, &e, 0);
        on_http(m, it, row->inserted ? 201 : 200, buf);
    }

    return STORE_OK;
}


/* A repeat. Its first owner may have died between commit and publish; whoever
 * has the entry already drops it. */

static void
on_send_again(message_t *m, message_item_t *it, const chat_entry_t *e)
{
    uint8_t  redo;

    if (it->redo || worker_ms() - e->timestamp < MESSAGE_REDO_MS) {
        redo = it->redo;
        it->redo = 1;
        on_publish(m, it, e, 0);
        it->redo = redo;
    }

    if (!(it->ev.flags & CHAT_EV_F_REST)) {
        fanout_ack(m->out, on_from(it), e);
    }
}
