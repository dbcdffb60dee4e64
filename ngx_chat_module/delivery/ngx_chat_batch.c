/*
 * ngx_chat_batch.c: the records of a worker's batch.
 *
 * Called from: the subscription (ngx_chat_link.c). Hands to: deliver (entries),
 * duplicate (acks), sync, presence, rest, auth and session; writes frames and
 * notices, which have no place in the order of a chat.
 */

#include "ngx_chat_session.h"
#include "ngx_chat_delivery.h"
#include "ngx_chat_presence.h"
#include "ngx_chat_http.h"


static void ngx_chat_batch_frame(chat_rec_t *rec);
static void ngx_chat_batch_notice(chat_rec_t *rec);


void
ngx_chat_batch(u_char *data, size_t len)
{
    size_t               pos;
    ngx_int_t            rc;
    chat_rec_t           rec;
    ngx_chat_session_t  *s;

    if (chat_batch_open(data, len, &pos) != 0) {
        ngx_log_error(NGX_LOG_ALERT, ngx_chat_edge->log, 0,
                      "chat: a batch of %uz bytes has an unknown version",
                      len);
        return;
    }

    ngx_chat_edge->counters.batches++;

    while ((rc = chat_batch_next(data, len, &pos, &rec)) == 1) {

        switch (rec.type) {

        case CHAT_REC_ENTRY:
            ngx_chat_deliver_entry(&rec);
            break;

        case CHAT_REC_ACK:
            ngx_chat_duplicate(&rec);
            break;

        case CHAT_REC_FRAME:
            ngx_chat_batch_frame(&rec);
            break;

        case CHAT_REC_HTTP:
            ngx_chat_rest_answer(&rec);
            break;

        case CHAT_REC_NOTICE:
            ngx_chat_batch_notice(&rec);
            break;

        case CHAT_REC_PRESENCE:
            ngx_chat_presence_deliver(&rec);
            break;

        case CHAT_REC_KICK:
            ngx_chat_session_kick(rec.user, rec.device, rec.session,
                                  rec.status);
            break;

        case CHAT_REC_REVOKE:
            ngx_chat_auth_revoke(rec.user, rec.device, rec.expires);
            ngx_chat_session_kick(rec.user, rec.device, 0,
                                  CHAT_CLOSE_REVOKED);
            break;

        case CHAT_REC_SYNC_LIST:
        case CHAT_REC_SYNC_PAGE:
            s = ngx_chat_session_find(rec.session);

            if (s == NULL || s->state != NGX_CHAT_OPEN) {
                break;
            }

            if (rec.type == CHAT_REC_SYNC_LIST) {
                ngx_chat_sync_list(s, &rec);
            } else {
                ngx_chat_sync_page(s, &rec);
            }

            break;
        }
    }

    if (rc < 0) {
        ngx_log_error(NGX_LOG_ALERT, ngx_chat_edge->log, 0,
                      "chat: a batch is malformed at byte %uz of %uz",
                      pos, len);
    }
}


/* A frame for one session, usually an error. When it refuses a send, that
 * send is no longer in flight. */

static void
ngx_chat_batch_frame(chat_rec_t *rec)
{
    ngx_chat_session_t  *s;

    s = ngx_chat_session_find(rec->session);

    if (s == NULL || s->state != NGX_CHAT_OPEN) {
        return;
    }

    if (rec->message_id.data != NULL) {
        (void) ngx_chat_inflight_answer(s, ngx_chat_inflight_hash(rec->chat,
                                                          &rec->message_id));
    }

    (void) ngx_chat_write_text(s, (u_char *) rec->frame.data, rec->frame.len);
}


/* A notice (receipt, typing, chat_added, ...) has no place in the order of a
 * chat; it is written to all devices but the one that caused it. */

static void
ngx_chat_batch_notice(chat_rec_t *rec)
{
    size_t               i;
    ngx_uint_t           chats;
    const uint8_t       *p;
    chat_target_t        target;
    ngx_chat_frame_t    *f;
    ngx_chat_session_t  *s, *next;

    f = ngx_chat_frame_text((u_char *) rec->frame.data, rec->frame.len);
    if (f == NULL) {
        return;
    }

    /* chat_added and chat_removed change with which users the receiver shares
     * a chat, and so whose presence it may see. */
    chats = rec->frame.len >= sizeof("{\"type\":\"chat_") - 1
            && ngx_memcmp(rec->frame.data, "{\"type\":\"chat_",
                          sizeof("{\"type\":\"chat_") - 1)
               == 0;

    p = rec->items;

    for (i = 0; i < rec->nitems; i++) {
        p = chat_batch_read_target(p, &target);

        for (s = ngx_chat_session_first(target.user); s; s = next) {
            next = ngx_chat_session_next(s);

            if (s->state != NGX_CHAT_OPEN || !s->detached
                || s->device == rec->device)
            {
                continue;
            }

            if (chats) {
                ngx_chat_presence_membership_changed(s);
            }

            (void) ngx_chat_write_shared(s, f);
        }
    }

    ngx_chat_frame_free(f);
}
