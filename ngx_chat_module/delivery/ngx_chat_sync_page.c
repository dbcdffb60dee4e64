/*
 * ngx_chat_sync_page.c: the entries that a session has missed, page by page.
 *
 * Called from: sync, batch (a page), receipt. Hands to: deliver (its entries).
 * At most CHAT_SYNC_WINDOW entries are ahead of the client's receipts.
 */

#include "ngx_chat_sync.h"
#include "ngx_chat_session.h"
#include "ngx_chat_delivery.h"


#define NGX_CHAT_SYNC_STUCK   8         /* pages without any progress        */


static void ngx_chat_sync_entry(ngx_chat_session_t *s, chat_rec_t *rec);


ngx_uint_t
ngx_chat_sync_request_page(ngx_chat_session_t *s)
{
    u_char             body[CHAT_SYNC_CHATS * CHAT_PAGE_REQ_SIZE], *p;
    uint64_t           room;
    ngx_uint_t         n;
    chat_page_req_t    want;
    ngx_chat_cursor_t  *k;

    room = CHAT_SYNC_PAGE;

    if (s->sync.state != NGX_CHAT_LIVE) {
        room = ngx_min(room, CHAT_SYNC_WINDOW - s->sync.unacked);
    }

    p = body;
    n = 0;

    /* sync.pos stays at the first chat with something to fetch */
    while (s->sync.pos < s->table.n) {
        k = &s->table.cursors[s->sync.pos];

        if (k->target > k->last && !(k->flags & NGX_CHAT_UNVALIDATED)) {
            break;
        }

        s->sync.pos++;
    }

    if (s->sync.pos == s->table.n) {
        return 0;
    }

    if (room == 0) {
        return 1;
    }

    for (k = &s->table.cursors[s->sync.pos];
         k < &s->table.cursors[s->table.n] && room && n < CHAT_SYNC_CHATS;
         k++)
    {
        if (k->target <= k->last || (k->flags & NGX_CHAT_UNVALIDATED)) {
            continue;
        }

        ngx_memcpy(want.chat, k->chat, 16);
        want.after = k->last;
        want.to = ngx_min(k->target, k->last + room);
        room -= want.to - want.after;
        p = chat_page_req_encode(&want, p);
        n++;
    }

    ngx_chat_sync_request(s, CHAT_EV_SYNC_PAGE, body, p - body);

    return 1;
}


void
ngx_chat_sync_page(ngx_chat_session_t *s, chat_rec_t *rec)
{
    size_t      pos;
    uint64_t    before;
    ngx_uint_t  cut;
    chat_rec_t  entry;

    if (!s->sync.requested || rec->seq != s->sync.request) {
        return;             /* an earlier request's */
    }

    s->sync.requested = 0;
    s->sync.tries = 0;
    s->sync.at = ngx_current_msec;
    ngx_chat_edge->counters.pages++;

    if (rec->flags & CHAT_REC_F_FAILED) {
        s->sync.at = ngx_current_msec + NGX_CHAT_SYNC_FAILED;
        return;
    }

    before = s->sync.written;
    cut = 0;
    pos = 0;

    while (chat_batch_next(rec->items, rec->nitems, &pos, &entry) == 1) {

        /* A page may be larger than the socket accepts at once; that does not
         * make the client slow. The remainder is requested again. */
        if (ngx_chat_sync_behind(s, entry.frame.len)) {
            ngx_chat_write_flush(s);
            cut = ngx_chat_sync_behind(s, entry.frame.len);
        }

        if (s->state != NGX_CHAT_OPEN) {
            return;
        }

        if (cut) {
            s->sync.full = 1;
            break;
        }

        ngx_chat_sync_entry(s, &entry);
    }

    if (s->state != NGX_CHAT_OPEN) {
        return;
    }

    if (s->sync.written != before || cut) {
        s->sync.stuck = 0;

    } else if (++s->sync.stuck > NGX_CHAT_SYNC_STUCK) {
        /* Entries that must exist do not: an internal error. */
        ngx_log_error(NGX_LOG_ALERT, s->connection->log, 0,
                      "chat session %uL user %uL: %ui pages brought nothing",
                      s->id, s->user, (ngx_uint_t) s->sync.stuck);
        ngx_chat_session_close(s, CHAT_CLOSE_INTERNAL, "internal error");
        return;
    }

    ngx_chat_sync_pending_acks(s);
    ngx_chat_sync_more(s);
}


/* Writes one entry of a page if it is the next of its chat. Not hidden here:
 * the sync worker has already replaced what this user may not see. */

static void
ngx_chat_sync_entry(ngx_chat_session_t *s, chat_rec_t *rec)
{
    ngx_chat_frame_t   *frame;
    ngx_chat_cursor_t  *k;

    k = ngx_chat_table_find(&s->table, rec->chat);

    /* The chat is no longer in the table; or the entry has been written
     * meanwhile; or one before it is missing: requested again. */
    if (k == NULL || rec->seq != k->last + 1) {
        return;
    }

    frame = NULL;

    if (ngx_chat_deliver_write(s, rec, &frame, 0) == NGX_OK) {
        k->last = rec->seq;
        s->sync.written++;

        /* a page that repairs a gap of a live session does not count */
        if (s->sync.state != NGX_CHAT_LIVE) {

            /* the client's time to send a receipt starts now */
            if (s->sync.unacked++ == 0) {
                s->sync.receipt_at = ngx_current_msec;
            }
        }
    }

    if (frame != NULL) {
        ngx_chat_frame_free(frame);
    }
}


/* A delivered receipt of the client opens the window. */

void
ngx_chat_sync_delivered(ngx_chat_session_t *s, ngx_chat_cursor_t *k,
    uint64_t seq)
{
    uint64_t  n;

    if (k->flags & (NGX_CHAT_RECEIPT_ONLY | NGX_CHAT_UNVALIDATED)) {
        return;
    }

    seq = ngx_min(seq, k->last);

    if (seq <= k->acked) {
        return;
    }

    n = seq - k->acked;
    k->acked = seq;

    if (s->sync.state == NGX_CHAT_LIVE) {
        return;
    }

    s->sync.unacked -= ngx_min(n, s->sync.unacked);
    s->sync.receipt_at = ngx_current_msec;

    ngx_chat_sync_more(s);
}
