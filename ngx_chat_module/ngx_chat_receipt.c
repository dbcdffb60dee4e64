/*
 * ngx_chat_receipts.c: delivered and read, coalesced.
 *
 * Called from dispatch; hands to publish every 200 ms, and when a session
 * ends. A client may mark every entry: per chat only the highest goes on, and
 * the marks of all sessions that touch one shard go as one event. Whether a
 * mark is allowed (a foreign chat, above the last seq) the worker decides.
 */

#include "ngx_chat.h"


#define NGX_CHAT_RECEIPTS_EVENT  512       /* marks in one event */


typedef struct {
    u_char      *data;
    ngx_uint_t   n;
} ngx_chat_receipts_t;


static ngx_chat_receipts_t  ngx_chat_receipts[CHAT_SHARDS];


static void ngx_chat_receipt_collect(ngx_chat_session_t *s);
static void ngx_chat_receipt_enqueue(ngx_uint_t shard);


void
ngx_chat_receipt_set(ngx_chat_session_t *s, const u_char *chat, uint64_t seq,
    ngx_uint_t read)
{
    ngx_chat_cursor_t  *k;

    k = ngx_chat_table_find(&s->table, chat);

    if (k == NULL) {
        k = ngx_chat_sync_cursor(s, chat);
        if (k == NULL) {
            return;
        }

        k->flags |= NGX_CHAT_UNWRITTEN;
    }

    if (read) {
        k->read = ngx_max(k->read, seq);
    } else {
        k->delivered = ngx_max(k->delivered, seq);
    }

    k->flags |= NGX_CHAT_RECEIPT;
    s->has_receipts = 1;

    if (!s->in_work) {
        s->in_work = 1;
        ngx_queue_insert_tail(&ngx_chat_edge->work, &s->work);
    }

    ngx_chat_sync_delivered(s, k, seq);
}


/* Every 200 ms. */

void
ngx_chat_receipt_tick(void)
{
    ngx_uint_t           i;
    ngx_queue_t         *q, *next;
    ngx_chat_edge_t     *edge;
    ngx_chat_session_t  *s;

    edge = ngx_chat_edge;

    /* without Redis they stay where they are */
    if (edge->ticks % 2 || !ngx_chat_redis_ready()) {
        return;
    }

    for (q = ngx_queue_head(&edge->work);
         q != ngx_queue_sentinel(&edge->work);
         q = next)
    {
        next = ngx_queue_next(q);
        s = ngx_queue_data(q, ngx_chat_session_t, work);

        ngx_chat_receipt_collect(s);

        if (s->sync.state == NGX_CHAT_LIVE && !s->sync.repair
            && !s->has_receipts)
        {
            ngx_queue_remove(&s->work);
            s->in_work = 0;
        }
    }

    for (i = 0; i < CHAT_SHARDS; i++) {
        ngx_chat_receipt_enqueue(i);
    }
}


/* The session ends: its next one will be told by its marks what it missed. */

void
ngx_chat_receipt_flush(ngx_chat_session_t *s)
{
    ngx_uint_t  i;

    if (!s->has_receipts) {
        return;
    }

    ngx_chat_receipt_collect(s);

    for (i = 0; i < CHAT_SHARDS; i++) {
        ngx_chat_receipt_enqueue(i);
    }
}


static void
ngx_chat_receipt_collect(ngx_chat_session_t *s)
{
    ngx_uint_t         i, shard;
    chat_receipt_t        mark;
    ngx_chat_cursor_t  *k;
    ngx_chat_receipts_t  *m;

    if (!s->has_receipts) {
        return;
    }

    s->has_receipts = 0;

    for (i = 0; i < s->table.n; i++) {
        k = &s->table.cursors[i];

        if (!(k->flags & NGX_CHAT_RECEIPT)) {
            continue;
        }

        shard = chat_id_shard(k->chat);
        m = &ngx_chat_receipts[shard];

        if (m->data == NULL) {
            m->data = ngx_alloc(NGX_CHAT_RECEIPTS_EVENT * CHAT_RECEIPT_SIZE,
                                ngx_cycle->log);
            if (m->data == NULL) {
                s->has_receipts = 1;
                return;
            }
        }

        mark.session = s->id;
        mark.user = s->user;
        mark.device = s->device;
        mark.delivered = k->delivered;
        mark.read = k->read;
        ngx_memcpy(mark.chat, k->chat, 16);

        chat_receipt_encode(&mark, m->data + m->n * CHAT_RECEIPT_SIZE);

        k->flags &= ~NGX_CHAT_RECEIPT;
        k->delivered = 0;
        k->read = 0;

        if (++m->n == NGX_CHAT_RECEIPTS_EVENT) {
            ngx_chat_receipt_enqueue(shard);
        }
    }
}


static void
ngx_chat_receipt_enqueue(ngx_uint_t shard)
{
    chat_event_t       ev;
    ngx_chat_receipts_t  *m;

    m = &ngx_chat_receipts[shard];

    if (m->n == 0) {
        return;
    }

    ngx_memzero(&ev, sizeof(chat_event_t));

    ev.type = CHAT_EV_RECEIPTS;
    ev.body.data = (char *) m->data;
    ev.body.len = m->n * CHAT_RECEIPT_SIZE;

    /* lost with Redis: the entries are sent again, the client marks again */
    (void) ngx_chat_enqueue_event(&ev, shard, NULL);

    m->n = 0;
}
