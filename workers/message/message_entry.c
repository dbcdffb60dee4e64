/*
 * message_entry.c: one log entry: build, append, publish, answer.
 *
 * Called from on_*.c, message_try.c, message_target.c and message_depart.c;
 * hands to message_append.c, fanout.c and reply.c.
 */

#include <string.h>

#include "message_entry.h"
#include "message_feed.h"
#include "reply.h"

static void message_entry_send(message_t *m, message_item_t *it,
    const chat_entry_t *e, uint64_t rejoined, int redo);
static void message_entry_duplicate(message_t *m, message_item_t *it,
    const chat_entry_t *e);


void
message_entry_init(const message_item_t *it, chat_kind_e kind,
    uint64_t subject, int role, store_append_t *row_r)
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
message_entry_append(message_t *m, message_item_t *it, store_append_t *rows,
    size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        rows[i].digest = chat_entry_digest(&rows[i].e);
    }

    return message_append(m, it->chat, rows, n, 0);
}


void
message_entry_publish(message_t *m, message_item_t *it, const chat_entry_t *e,
    uint64_t rejoined)
{
    message_entry_send(m, it, e, rejoined, it->redo);
}


store_e
message_entry_republish(message_t *m, message_item_t *it, uint64_t seq)
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


store_e
message_entry_complete(message_t *m, message_item_t *it,
    const store_append_t *row)
{
    store_e       rc;
    chat_buf_t   *buf;
    chat_entry_t  e;

    if (!row->inserted && row->digest != chat_entry_digest(&row->e)) {
        reply_refuse(m, it, CHAT_E_MESSAGE_ID_REUSED,
                     "This messageId was used for something else.");
        return STORE_OK;
    }

    e = row->e;

    if (row->inserted) {
        message_entry_publish(m, it, &e, 0);

    } else {
        /* read the entry: it may have been edited or deleted since */
        rc = store_chat_entry(m->store, it->chat->id, row->e.seq, &e);

        if (rc != STORE_OK) {
            return rc;
        }

        message_entry_duplicate(m, it, &e);
    }

    if (it->ev.flags & CHAT_EV_F_REST) {
        buf = reply_buf(m);
        (void) chat_entry_json(buf, &e, 0);
        reply_http(m, it, row->inserted ? 201 : 200, buf);
    }

    return STORE_OK;
}


static void
message_entry_send(message_t *m, message_item_t *it, const chat_entry_t *e,
    uint64_t rejoined, int redo)
{
    /* an event that came by REST has no session that waits for an ack */
    fanout_to_t  nobody = { 0, 0 };

    fanout_entry(m->out, it->chat, e, m->shards[it->shard].epoch,
                 it->ev.flags & CHAT_EV_F_REST ? nobody : reply_address(it),
                 rejoined, redo ? CHAT_REC_F_REDO : 0);
    message_feed_gather(m, it->chat, e, redo);
}


/* The worker that inserted the entry may have died between commit and
 * publish, so a recent entry is published again; edges that have it drop it. */

static void
message_entry_duplicate(message_t *m, message_item_t *it,
    const chat_entry_t *e)
{
    if (it->redo || worker_ms() - e->timestamp < MESSAGE_REDO_MS) {
        message_entry_send(m, it, e, 0, 1);
    }

    if (!(it->ev.flags & CHAT_EV_F_REST)) {
        fanout_ack(m->out, reply_address(it), e);
    }
}
