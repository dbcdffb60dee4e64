/*
 * ngx_chat_deliver.c: delivers one entry of a chat.
 *
 * Called from: batch (live entries), sync (entries of a page). Hands to: write,
 * sync. Guarantees that a connection receives each entry of a chat once, by
 * rising seq, without gaps. The rules are the table in docs/internals.md;
 * ngx_chat_deliver_live() implements them.
 *
 * The frame of an entry is built for the first session that needs it and
 * shared by all others.
 */

#include "ngx_chat_session.h"
#include "ngx_chat_delivery.h"


static void ngx_chat_deliver_live(ngx_chat_session_t *s, chat_rec_t *rec,
    ngx_chat_frame_t **frame, ngx_uint_t target);
static ngx_chat_frame_t *ngx_chat_deliver_hidden(chat_rec_t *rec);


void
ngx_chat_deliver_entry(chat_rec_t *rec)
{
    size_t               i;
    ngx_uint_t           shard;
    const uint8_t       *p;
    chat_target_t        target;
    ngx_chat_frame_t    *frame;
    ngx_chat_session_t  *s, *next;

    if (rec->seq == 0) {
        ngx_log_error(NGX_LOG_ALERT, ngx_chat_edge->log, 0,
                      "chat: an entry without a seq");
        return;
    }

    /* Epoch fencing: a worker that is suspended between commit and publish
     * may have lost its shard. The new owner publishes this entry. */
    shard = chat_id_shard(rec->chat);

    if (rec->epoch < ngx_chat_edge->epochs[shard]) {
        ngx_chat_edge->counters.fenced++;
        return;
    }

    ngx_chat_edge->epochs[shard] = rec->epoch;

    frame = NULL;
    p = rec->items;

    for (i = 0; i < rec->nitems; i++) {
        p = chat_batch_read_target(p, &target);

        for (s = ngx_chat_session_first(target.user); s; s = next) {
            next = ngx_chat_session_next(s);

            if (s->state == NGX_CHAT_OPEN && s->detached) {
                ngx_chat_deliver_live(s, rec, &frame, target.flags);
            }
        }

        /* After the loop, so that it includes a session that the loop has
         * closed. */
        if (ngx_chat_edge->leaving.n) {
            ngx_chat_leave_missed(target.user);
        }
    }

    /* The sending session still waits for its ack when its user is not among
     * the targets on this edge: the device has connected elsewhere since, or
     * its route was lost. Earlier entries were then lost too: CHECK. */
    if (rec->session) {
        s = ngx_chat_session_find(rec->session);

        if (s != NULL && s->state == NGX_CHAT_OPEN
            && rec->message_id.data != NULL
            && ngx_chat_inflight_pending(s, ngx_chat_inflight_hash(rec->chat,
                                                        &rec->message_id)))
        {
            ngx_chat_deliver_live(s, rec, &frame, CHAT_TARGET_CHECK);
        }
    }

    if (frame != NULL) {
        ngx_chat_frame_free(frame);
    }
}


/* Handles one live entry for one session: writes it, drops it when it was
 * written before, or fetches the entries that are missing before it. */

static void
ngx_chat_deliver_live(ngx_chat_session_t *s, chat_rec_t *rec,
    ngx_chat_frame_t **frame, ngx_uint_t target)
{
    ngx_uint_t         check;
    ngx_chat_cursor_t  *k;

    check = (rec->flags & CHAT_REC_F_REDO) || (target & CHAT_TARGET_CHECK);

    k = ngx_chat_table_find(&s->table, rec->chat);

    if (k == NULL || (k->flags & NGX_CHAT_RECEIPT_ONLY)) {

        if (k == NULL) {
            k = ngx_chat_sync_cursor(s, rec->chat);
            if (k == NULL) {
                ngx_chat_session_close(s, CHAT_CLOSE_TRY_LATER,
                                       "out of memory");
                return;
            }
        }

        k->flags &= ~NGX_CHAT_RECEIPT_ONLY;
        k->last = rec->seq - 1;
        k->target = k->last;
        k->acked = ngx_max(k->acked, k->last);

        if (check) {
            k->flags |= NGX_CHAT_UNVALIDATED;
        }

        /* The list brings the stored cursor of this chat. A chat that a
         * complete list does not contain is up to date. */
        if (s->sync.state == NGX_CHAT_SYNC_LIST || s->sync.more_chats) {
            k->flags |= NGX_CHAT_PROVISIONAL;
        }
    }

    /* Until the chat cursor is validated, its `last` is a guess. */

    if (rec->seq <= k->last && !(k->flags & NGX_CHAT_UNVALIDATED)) {

        /* Already written, but the sender may still wait for its ack. */
        if (rec->device == s->device && rec->message_id.data != NULL
            && ngx_chat_inflight_answer(s, ngx_chat_inflight_hash(rec->chat,
                                                          &rec->message_id)))
        {
            (void) ngx_chat_deliver_ack(s, rec);
        }

        return;
    }

    if (s->sync.state == NGX_CHAT_LIVE
        && !(k->flags & NGX_CHAT_UNVALIDATED)
        && k->target <= k->last
        && rec->seq == k->last + 1)
    {
        if (ngx_chat_deliver_write(s, rec, frame,
                                   target & CHAT_TARGET_HIDDEN)
            == NGX_OK)
        {
            k->last = rec->seq;
            k->target = rec->seq;
        }

        return;
    }

    k->target = ngx_max(k->target, rec->seq);
    ngx_chat_sync_repair(s, k);
}


/* Writes an entry at its place in the chat's order: as message_ack on the
 * connection that sent it, as new_message on all others. *frame is the shared
 * frame, built here when NULL. NGX_ERROR when the session is no longer open. */

ngx_int_t
ngx_chat_deliver_write(ngx_chat_session_t *s, chat_rec_t *rec,
    ngx_chat_frame_t **frame, ngx_uint_t hidden)
{
    uint64_t   hash;
    ngx_int_t  rc;

    if (rec->device == s->device && rec->message_id.data != NULL) {

        hash = ngx_chat_inflight_hash(rec->chat, &rec->message_id);

        if (ngx_chat_inflight_acked(s, hash)) {
            return NGX_OK;
        }

        if (ngx_chat_inflight_answer(s, hash)) {
            return ngx_chat_deliver_ack(s, rec);
        }
    }

    if (hidden) {
        rc = ngx_chat_write_owned(s, ngx_chat_deliver_hidden(rec));

    } else {
        if (*frame == NULL) {
            *frame = ngx_chat_frame_text((u_char *) rec->frame.data,
                                         rec->frame.len);
        }

        rc = ngx_chat_write_shared(s, *frame);
    }

    if (rc == NGX_OK) {
        ngx_chat_edge->counters.entries++;
    }

    return rc;
}


/* Writes a message_ack for the message_id, chat, seq and timestamp of *rec. */

ngx_int_t
ngx_chat_deliver_ack(ngx_chat_session_t *s, chat_rec_t *rec)
{
    u_char  text[1024], *p;

    p = ngx_cpymem(text, "{\"type\":\"message_ack\",\"messageId\":",
                   sizeof("{\"type\":\"message_ack\",\"messageId\":") - 1);
    p = chat_json_string(p, rec->message_id.data,
                         ngx_min(rec->message_id.len, CHAT_MESSAGE_ID_MAX));
    p = ngx_cpymem(p, ",\"chatId\":\"", sizeof(",\"chatId\":\"") - 1);
    p = (u_char *) chat_id_print(rec->chat, (char *) p);
    p = ngx_cpymem(p, "\",\"seq\":", sizeof("\",\"seq\":") - 1);
    p = chat_json_u64(p, rec->seq);
    p = ngx_cpymem(p, ",\"timestamp\":\"", sizeof(",\"timestamp\":\"") - 1);
    p = chat_json_time(p, rec->timestamp);
    p = ngx_cpymem(p, "\"}", 2);

    return ngx_chat_write_text(s, text, p - text);
}


/* A hidden entry carries its seq alone, so that the receiver, who may not see
 * the content, finds no gap. */

static ngx_chat_frame_t *
ngx_chat_deliver_hidden(chat_rec_t *rec)
{
    u_char  text[256], *p;

    p = ngx_cpymem(text, "{\"type\":\"new_message\",\"chatId\":\"",
                   sizeof("{\"type\":\"new_message\",\"chatId\":\"") - 1);
    p = (u_char *) chat_id_print(rec->chat, (char *) p);
    p = ngx_cpymem(p, "\",\"seq\":", sizeof("\",\"seq\":") - 1);
    p = chat_json_u64(p, rec->seq);
    p = ngx_cpymem(p, ",\"kind\":\"hidden\"}",
                   sizeof(",\"kind\":\"hidden\"}") - 1);

    return ngx_chat_frame_text(text, p - text);
}
