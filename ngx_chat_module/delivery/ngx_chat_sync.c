/*
 * ngx_chat_sync.c: catch-up and the repair of gaps.
 *
 * Called from: upgrade (a session opens), link (the subscription was lost),
 * deliver (a gap), receipt, write and the tick. Hands to: enqueue (requests to
 * the sync worker), deliver (entries of its pages). For each chat the session's
 * table has the highest seq that was written (last) and that exists (target);
 * pages are requested until no chat has target above last
 * (ngx_chat_sync_page.c). One request at a time, repeated after 3 s.
 */

#include "ngx_chat_sync.h"
#include "ngx_chat_redis.h"
#include "ngx_chat_session.h"
#include "ngx_chat_delivery.h"


#define NGX_CHAT_SYNC_WAIT    3000      /* ms until a request is repeated    */
#define NGX_CHAT_SYNC_TRIES   3         /* times that the wait doubles       */
#define NGX_CHAT_SYNC_IDLE   60000      /* ms without a receipt while the
                                           window is full                    */


static void ngx_chat_sync_request_list(ngx_chat_session_t *s);
static ngx_uint_t ngx_chat_sync_request_cursors(ngx_chat_session_t *s);
static void ngx_chat_sync_listed(ngx_chat_session_t *s, ngx_uint_t partial);
static void ngx_chat_sync_done(ngx_chat_session_t *s);


static void
ngx_chat_sync_queue(ngx_chat_session_t *s)
{
    if (!s->in_work) {
        s->in_work = 1;
        ngx_queue_insert_tail(&ngx_chat_edge->work, &s->work);
    }
}


/* The route is written first and the list is requested once it is there, so
 * that no entry can be lost between the two. */

void
ngx_chat_sync_start(ngx_chat_session_t *s)
{
    s->sync.state = NGX_CHAT_SYNC_LIST;
    s->sync.at = ngx_current_msec;
    ngx_chat_sync_queue(s);

    (void) ngx_chat_route_set(s);
}


/* The device's marker was valid. Ignored when a refresh has been scheduled
 * meanwhile: entries may have been lost since. */

void
ngx_chat_sync_up_to_date(ngx_chat_session_t *s)
{
    if (s->state != NGX_CHAT_OPEN || s->sync.state != NGX_CHAT_SYNC_LIST
        || s->sync.request != 0 || !ngx_chat_redis_ready())
    {
        return;
    }

    ngx_chat_edge->counters.resumed++;
    ngx_chat_sync_listed(s, 0);
}


/* The refreshes are spread over at most 3 s, to spare the sync worker. */

void
ngx_chat_sync_resync_all(void)
{
    ngx_queue_t         *q;
    ngx_msec_t           spread;
    ngx_chat_edge_t     *edge;
    ngx_chat_session_t  *s;

    edge = ngx_chat_edge;
    spread = ngx_min(edge->by_id.n / 5, 3000);

    for (q = ngx_queue_head(&edge->activity);
         q != ngx_queue_sentinel(&edge->activity);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_chat_session_t, activity);

        if (s->state != NGX_CHAT_OPEN || !s->detached || s->echo) {
            continue;
        }

        ngx_chat_sync_restart(s, spread ? randombytes_uniform(spread) : 0);
    }
}


void
ngx_chat_sync_restart(ngx_chat_session_t *s, ngx_msec_t wait)
{
    s->sync.state = NGX_CHAT_SYNC_LIST;
    s->sync.requested = 0;
    s->sync.request++;             /* ignore the answer under way */
    s->sync.at = ngx_current_msec + wait;
    ngx_chat_sync_queue(s);
}


void
ngx_chat_sync_end(ngx_chat_session_t *s)
{
    if (s->in_work) {
        ngx_queue_remove(&s->work);
        s->in_work = 0;
    }
}


/* Finds or adds a cursor; a full table first evicts cursors without pending
 * work. */

ngx_chat_cursor_t *
ngx_chat_sync_cursor(ngx_chat_session_t *s, const u_char *chat)
{
    ngx_chat_cursor_t  *k;

    k = ngx_chat_table_find(&s->table, chat);
    if (k != NULL) {
        return k;
    }

    if (s->table.n >= NGX_CHAT_TABLE_MAX && s->sync.state == NGX_CHAT_LIVE) {
        ngx_chat_table_compact(&s->table);
        s->evicted = 1;
        s->sync.pos = 0;
    }

    return ngx_chat_table_add(&s->table, s->connection->log, chat);
}


/* The chat has a gap, or its cursor must be validated. */

void
ngx_chat_sync_repair(ngx_chat_session_t *s, ngx_chat_cursor_t *k)
{
    /* Catch-up may have passed this chat already. */
    s->sync.pos = ngx_min(s->sync.pos, (uint32_t) (k - s->table.cursors));

    if (s->sync.state != NGX_CHAT_LIVE) {
        return;             /* catch-up will reach it */
    }

    s->sync.repair = 1;
    ngx_chat_sync_queue(s);
    ngx_chat_sync_more(s);
}


void
ngx_chat_sync_more(ngx_chat_session_t *s)
{
    if (s->state != NGX_CHAT_OPEN || s->sync.requested
        || (s->sync.state == NGX_CHAT_LIVE && !s->sync.repair)
        || (ngx_msec_int_t) (ngx_current_msec - s->sync.at) < 0
        || !(s->routed || s->superseded)
        || !ngx_chat_redis_ready())
    {
        return;
    }

    if (s->sync.state == NGX_CHAT_SYNC_LIST) {
        if (s->announced || s->superseded) {
            ngx_chat_sync_request_list(s);
        }

        return;
    }

    /* The socket is behind: continue when its queue is written. */
    if (ngx_chat_sync_behind(s, 0) || (s->sync.full && s->out != NULL)) {
        return;
    }

    s->sync.full = 0;

    if (ngx_chat_sync_request_cursors(s) || ngx_chat_sync_request_page(s)) {
        return;
    }

    if (s->sync.pos == s->table.n) {
        ngx_chat_sync_done(s);
    }
}


static void
ngx_chat_sync_request_list(ngx_chat_session_t *s)
{
    s->sync.more_chats = 0;
    ngx_chat_sync_request(s, CHAT_EV_SYNC_LIST, NULL, 0);
}


/* Requests the stored cursors of chats with CHECK: were their entries delivered
 * before this connection? */

static ngx_uint_t
ngx_chat_sync_request_cursors(ngx_chat_session_t *s)
{
    u_char             body[CHAT_SYNC_CHATS * CHAT_PAGE_REQ_SIZE], *p;
    ngx_uint_t         i, n;
    chat_page_req_t    want;
    ngx_chat_cursor_t  *k;

    p = body;

    for (i = 0, n = 0; i < s->table.n; i++) {
        k = &s->table.cursors[i];
        k->flags &= ~NGX_CHAT_REQUESTED;    /* drop an earlier request */

        if (!(k->flags & NGX_CHAT_CHECK) || n == CHAT_SYNC_CHATS) {
            continue;
        }

        ngx_memzero(&want, sizeof(chat_page_req_t));
        ngx_memcpy(want.chat, k->chat, 16);
        p = chat_page_req_encode(&want, p);
        k->flags |= NGX_CHAT_REQUESTED;
        n++;
    }

    if (n == 0) {
        return 0;
    }

    ngx_chat_sync_request(s, CHAT_EV_SYNC_LIST, body, p - body);

    return 1;
}


void
ngx_chat_sync_request(ngx_chat_session_t *s, ngx_uint_t type, u_char *body,
    size_t len)
{
    chat_event_t  ev;

    ngx_memzero(&ev, sizeof(chat_event_t));

    ev.type = type;
    ev.session = s->id;
    ev.user = s->user;
    ev.device = s->device;
    ev.seq = ++s->sync.request;

    if (len) {
        ev.body.data = (char *) body;
        ev.body.len = len;
    }

    if (ngx_chat_enqueue_sync(&ev) != NGX_OK) {
        return;                 /* the tick retries */
    }

    s->sync.requested = 1;
    s->sync.at = ngx_current_msec;
    ngx_chat_sync_queue(s);
}


/* The answer to a request for all chats that are behind, or for some chats. */

void
ngx_chat_sync_list(ngx_chat_session_t *s, chat_rec_t *rec)
{
    size_t             i;
    ngx_uint_t         partial;
    const uint8_t     *p;
    chat_list_item_t   item;
    ngx_chat_cursor_t  *k;

    partial = rec->flags & CHAT_REC_F_REQUESTED;

    /* Ignore the answer to an earlier request: entries that it does not contain
     * may have been published while the subscription was down. */
    if (!s->sync.requested || rec->seq != s->sync.request) {
        return;
    }

    s->sync.requested = 0;
    s->sync.tries = 0;

    if (rec->flags & CHAT_REC_F_FAILED) {
        s->sync.at = ngx_current_msec + NGX_CHAT_SYNC_FAILED;
        return;
    }

    p = rec->items;

    for (i = 0; i < rec->nitems; i++) {
        p = chat_batch_read_item(p, &item);

        k = ngx_chat_table_find(&s->table, item.chat);

        if (k == NULL) {
            k = ngx_chat_sync_cursor(s, item.chat);

            if (k == NULL) {
                /* the remainder comes with another list */
                s->sync.more_chats = 1;
                break;
            }

            k->flags |= NGX_CHAT_RECEIPT_ONLY;
        }

        /* Otherwise the receipts on this connection count: the stored cursor
         * may be ahead of the entries written here. */
        if (k->flags & (NGX_CHAT_RECEIPT_ONLY | NGX_CHAT_UNVALIDATED)) {
            k->last = item.delivered;
            k->acked = item.delivered;
        }

        k->target = ngx_max(k->target, item.last);
        k->flags &= ~(NGX_CHAT_RECEIPT_ONLY | NGX_CHAT_UNVALIDATED | NGX_CHAT_REQUESTED);
    }

    if (rec->flags & CHAT_REC_F_MORE) {
        s->sync.more_chats = 1;
    }

    ngx_chat_sync_listed(s, partial);
}


/* The list is in the table. partial: it was requested for some chats only. */

static void
ngx_chat_sync_listed(ngx_chat_session_t *s, ngx_uint_t partial)
{
    ngx_uint_t         i;
    ngx_chat_cursor_t  *k;

    for (i = 0; i < s->table.n; i++) {
        k = &s->table.cursors[i];

        if (partial) {
            /* Not in the answer: not, or no longer, a chat of this user. */
            if (k->flags & NGX_CHAT_REQUESTED) {
                k->flags &= ~(NGX_CHAT_UNVALIDATED | NGX_CHAT_REQUESTED);
                k->target = k->last;
            }

        } else if (!s->sync.more_chats) {
            k->flags &= ~NGX_CHAT_PROVISIONAL;
        }
    }

    if (!partial) {
        s->sync.state = NGX_CHAT_SYNC_PAGES;
        s->sync.receipt_at = ngx_current_msec;
    }

    s->sync.pos = 0;
    s->sync.at = ngx_current_msec;

    ngx_chat_sync_pending_acks(s);
    ngx_chat_sync_more(s);
}


void
ngx_chat_sync_pending_acks(ngx_chat_session_t *s)
{
    if (s->pending_acks != NULL) {
        ngx_chat_duplicate_retry(s, 0);
    }
}


/* Nothing is left to fetch. */

static void
ngx_chat_sync_done(ngx_chat_session_t *s)
{
    if (s->sync.more_chats) {
        /* The list was cut. Request the remainder after a moment: receipts
         * remove the chats of this list from the next one. */
        s->sync.state = NGX_CHAT_SYNC_LIST;
        s->sync.at = ngx_current_msec + NGX_CHAT_SYNC_FAILED;
        return;
    }

    s->sync.state = NGX_CHAT_LIVE;
    s->sync.repair = 0;
    s->sync.pos = 0;
    s->sync.unacked = 0;

    if (s->pending_acks != NULL) {
        ngx_chat_duplicate_retry(s, 1);
    }

    if (s->sync.complete) {
        return;
    }

    s->sync.complete = 1;

    (void) ngx_chat_write_text(s, (u_char *) "{\"type\":\"sync_complete\"}",
                               sizeof("{\"type\":\"sync_complete\"}") - 1);
}


/* Periodic work, for the sessions that have some: repeats requests without an
 * answer, closes sessions that send no receipts. */

void
ngx_chat_sync_tick(void)
{
    ngx_uint_t           i;
    ngx_queue_t         *q, *next;
    ngx_chat_edge_t     *edge;
    ngx_chat_session_t  *s;

    edge = ngx_chat_edge;

    for (q = ngx_queue_head(&edge->work);
         q != ngx_queue_sentinel(&edge->work);
         q = next)
    {
        next = ngx_queue_next(q);
        s = ngx_queue_data(q, ngx_chat_session_t, work);

        if (s->sync.state == NGX_CHAT_LIVE && !s->sync.repair) {
            continue;       /* queued for its receipts */
        }

        if (s->sync.requested
            && ngx_current_msec - s->sync.at
               > ((ngx_msec_t) NGX_CHAT_SYNC_WAIT << s->sync.tries))
        {
            /* back off, so that slow workers are not overloaded */
            s->sync.requested = 0;
            s->sync.tries = ngx_min(s->sync.tries + 1, NGX_CHAT_SYNC_TRIES);

            for (i = 0; i < s->table.n; i++) {
                s->table.cursors[i].flags &= ~NGX_CHAT_REQUESTED;
            }
        }

        if (!s->routed && !s->superseded && ngx_chat_redis_ready()
            && (ngx_msec_int_t) (ngx_current_msec - s->sync.at) >= 0)
        {
            (void) ngx_chat_route_set(s);
        }

        if (s->sync.state == NGX_CHAT_SYNC_PAGES
            && s->sync.unacked >= CHAT_SYNC_WINDOW
            && ngx_current_msec - s->sync.receipt_at > NGX_CHAT_SYNC_IDLE)
        {
            ngx_chat_session_close(s, CHAT_CLOSE_TOO_SLOW,
                                   "catching up, but nothing is marked as "
                                   "delivered");
            continue;
        }

        ngx_chat_sync_more(s);
    }
}
