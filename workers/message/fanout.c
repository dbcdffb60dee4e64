/*
 * fanout.c: collects records while the transaction is open.
 *
 * Called from reply.c and message_entry.c; hands to fanout_publish.c. Frames and
 * ids are copied into `text`, because an event's strings may be freed before the
 * records are published.
 */

#include <stdlib.h>
#include <string.h>

#include "fanout_private.h"

static fanout_out_t *fanout_out(fanout_t *f, chat_rec_e type,
    fanout_who_e who);
static size_t fanout_text(fanout_t *f, const void *data, size_t len);


void
fanout_entry(fanout_t *f, message_chat_t *chat, const chat_entry_t *e,
    uint64_t epoch, fanout_to_t from, uint64_t rejoined, uint8_t flags)
{
    fanout_out_t  *out;

    out = fanout_out(f, CHAT_REC_ENTRY, FANOUT_VISIBLE);
    out->to = from;
    out->chat = chat;
    out->user = rejoined;

    memcpy(out->rec.chat, e->chat, 16);
    out->rec.flags = flags;
    out->rec.seq = e->seq;
    out->rec.epoch = epoch;
    out->rec.timestamp = e->timestamp;
    out->rec.device = e->sender_device;

    out->frame = f->text.len;

    if (chat_entry_json(&f->text, e, 1) != 0) {
        worker_die("out of memory");
    }

    out->nframe = f->text.len - out->frame;

    if (e->message_id.data != NULL) {
        out->nid = e->message_id.len;
        out->id = fanout_text(f, e->message_id.data, e->message_id.len);
    }
}


void
fanout_ack(fanout_t *f, fanout_to_t to, const chat_entry_t *e)
{
    fanout_out_t  *out;

    out = fanout_out(f, CHAT_REC_ACK, FANOUT_ONE);
    out->to = to;

    memcpy(out->rec.chat, e->chat, 16);
    out->rec.seq = e->seq;
    out->rec.timestamp = e->timestamp;
    out->nid = e->message_id.len;
    out->id = fanout_text(f, e->message_id.data, e->message_id.len);
}


void
fanout_frame(fanout_t *f, fanout_to_t to, const uint8_t chat[16],
    const chat_str_t *message_id, const chat_buf_t *json)
{
    fanout_out_t  *out;

    out = fanout_out(f, CHAT_REC_FRAME, FANOUT_ONE);
    out->to = to;
    memcpy(out->rec.chat, chat, 16);
    out->nframe = json->len;
    out->frame = fanout_text(f, json->data, json->len);

    if (message_id->data != NULL) {
        out->nid = message_id->len;
        out->id = fanout_text(f, message_id->data, message_id->len);
    }
}


void
fanout_http(fanout_t *f, fanout_to_t to, unsigned status,
    const chat_buf_t *json)
{
    fanout_out_t  *out;

    out = fanout_out(f, CHAT_REC_HTTP, FANOUT_ONE);
    out->to = to;
    out->rec.status = (uint16_t) status;
    out->nframe = json->len;
    out->frame = fanout_text(f, json->data, json->len);
}


void
fanout_notice_others(fanout_t *f, message_chat_t *chat, uint64_t but,
    const chat_buf_t *json)
{
    fanout_out_t  *out;

    out = fanout_out(f, CHAT_REC_NOTICE, FANOUT_OTHERS);
    out->chat = chat;
    out->user = but;
    out->nframe = json->len;
    out->frame = fanout_text(f, json->data, json->len);
}


void
fanout_notice_users(fanout_t *f, const uint64_t *users, size_t n,
    uint64_t but_device, const chat_buf_t *json)
{
    size_t         i;
    fanout_out_t  *out;

    out = fanout_out(f, CHAT_REC_NOTICE, FANOUT_USERS);
    out->rec.device = but_device;
    out->nframe = json->len;
    out->frame = fanout_text(f, json->data, json->len);
    out->users = f->nusers;
    out->nusers = n;

    for (i = 0; i < n; i++) {
        WORKER_GROW(f->users, f->nusers, f->users_max);
        f->users[f->nusers++] = users[i];
    }
}


void
fanout_reset(fanout_t *f)
{
    f->nouts = 0;
    f->nusers = 0;
    chat_buf_reset(&f->text);
}


static fanout_out_t *
fanout_out(fanout_t *f, chat_rec_e type, fanout_who_e who)
{
    fanout_out_t  *out;

    WORKER_GROW(f->outs, f->nouts, f->outs_max);

    out = &f->outs[f->nouts++];
    memset(out, 0, sizeof(*out));
    out->rec.type = type;
    out->who = who;

    return out;
}


static size_t
fanout_text(fanout_t *f, const void *data, size_t len)
{
    size_t  at;

    at = f->text.len;

    /* an absent string has an address too: NULL would mean absent */
    if (chat_buf_reserve(&f->text, len + 1) == NULL) {
        worker_die("out of memory");
    }

    if (len != 0) {
        (void) chat_buf_add(&f->text, data, len);
    }

    return at;
}
