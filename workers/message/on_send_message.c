/*
 * on_send_message.c: send_message, POST /chats/{chatId}/messages.
 *
 * Called from message_try.c, which first checks every send of a round here,
 * then inserts all that passed in one statement, and then calls
 * message_entry_complete() for each. Only that statement decides whether a
 * send is a duplicate.
 */

#include <string.h>

#include "on.h"

static void on_send_message_fill(const message_item_t *it, chat_entry_t *e);


int
on_send_message(message_t *m, message_item_t *it, store_append_t *row_r)
{
    chat_entry_t      *e;
    message_member_t  *member;

    member = request_member(m, it);

    if (member == NULL) {
        return 0;
    }

    if ((it->ev.flags & CHAT_EV_F_REST) && it->frame.error != CHAT_OK) {
        reply_refuse(m, it, it->frame.error, it->frame.why);
        return 0;
    }

    memset(row_r, 0, sizeof(*row_r));
    e = &row_r->e;
    on_send_message_fill(it, e);

    /* seqs have no gaps: every seq up to the last one exists */
    if (e->reply_to != 0
        && (e->reply_to > it->chat->last_seq
            || !message_member_sees(member, e->reply_to)))
    {
        reply_refuse(m, it, CHAT_E_BAD_FIELD, "replyTo does not exist");
        return 0;
    }

    row_r->digest = chat_entry_digest(e);
    row_r->check_duplicate = it->redo;

    return 1;
}


/* A REST body was parsed by the worker, a frame by the edge. */

static void
on_send_message_fill(const message_item_t *it, chat_entry_t *e)
{
    int  is_rest;

    is_rest = it->ev.flags & CHAT_EV_F_REST;

    memcpy(e->chat, it->ev.chat, 16);
    e->kind = CHAT_KIND_MESSAGE;
    e->sender = it->ev.user;
    e->sender_device = it->ev.device;
    e->message_id = is_rest ? it->frame.message_id : it->ev.message_id;
    e->content = is_rest ? it->frame.content : it->ev.content;
    e->content_type = is_rest ? it->frame.content_type : it->ev.content_type;
    e->media_id = is_rest ? it->frame.media_id : it->ev.media_id;
    e->reply_to = is_rest ? it->frame.reply_to : it->ev.reply_to;
    e->expires_in = is_rest ? it->frame.expires_in : it->ev.expires_in;
}
