/*
 * ngx_chat_receipt.c: coalesces the receipts `delivered` and `read`.
 *
 * Called from: dispatch, the tick, session (at its end). Hands to: enqueue,
 * every 200 ms and when a session ends. A client may send a receipt for every
 * entry; per chat only the highest receipt cursor is passed on, and the
 * receipts of all sessions for one shard are one event. The message worker
 * decides whether a receipt is valid (member of the chat, not above the last
 * seq).
 */

#include "ngx_chat_redis.h"
#include "ngx_chat_delivery.h"


#define NGX_CHAT_RECEIPTS_EVENT  512    /* receipts in one event */


typedef struct {                        /* the event of one shard */
    u_char      *data;                  /* NULL until first used  */
    ngx_uint_t   n;                     /* receipts               */
} ngx_chat_receipts_t;


static ngx_chat_receipts_t  ngx_chat_receipts[CHAT_SHARDS];


static void ngx_chat_receipt_collect(ngx_chat_session_t *s);
static void ngx_chat_receipt_enqueue(ngx_uint_t shard);


/* Records a receipt of the client; it is enqueued by the next tick. */

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

        k->flags |= NGX_CHAT_RECEIPT_ONLY;
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


/* Enqueues the receipts of all sessions every 200 ms. */

void
ngx_chat_receipt_tick(void)
{
    ngx_uint_t           i;
    ngx_queue_t         *q, *next;
    ngx_chat_edge_t     *edge;
    ngx_chat_session_t  *s;

    edge = ngx_chat_edge;

    /* Without Redis the receipts stay in the tables of their sessions. */
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


/* Enqueues the receipts of a session that ends: the device's next session
 * resumes from them. */

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
    ngx_uint_t            i, shard;
    chat_receipt_t        receipt;
    ngx_chat_cursor_t    *k;
    ngx_chat_receipts_t  *rs;

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
        rs = &ngx_chat_receipts[shard];

        if (rs->data == NULL) {
            rs->data = ngx_alloc(NGX_CHAT_RECEIPTS_EVENT * CHAT_RECEIPT_SIZE,
                                ngx_cycle->log);
            if (rs->data == NULL) {
                s->has_receipts = 1;
                return;
            }
        }

        receipt.session = s->id;
        receipt.user = s->user;
        receipt.device = s->device;
        receipt.delivered = k->delivered;
        receipt.read = k->read;
        ngx_memcpy(receipt.chat, k->chat, 16);

        chat_receipt_encode(&receipt, rs->data + rs->n * CHAT_RECEIPT_SIZE);

        k->flags &= ~NGX_CHAT_RECEIPT;
        k->delivered = 0;
        k->read = 0;

        if (++rs->n == NGX_CHAT_RECEIPTS_EVENT) {
            ngx_chat_receipt_enqueue(shard);
        }
    }
}


static void
ngx_chat_receipt_enqueue(ngx_uint_t shard)
{
    chat_event_t          ev;
    ngx_chat_receipts_t  *rs;

    rs = &ngx_chat_receipts[shard];

    if (rs->n == 0) {
        return;
    }

    ngx_memzero(&ev, sizeof(chat_event_t));

    ev.type = CHAT_EV_RECEIPTS;
    ev.body.data = (char *) rs->data;
    ev.body.len = rs->n * CHAT_RECEIPT_SIZE;

    /* When Redis loses the receipts, the device's next session receives these
     * entries again and the client sends the receipts again. */
    (void) ngx_chat_enqueue_event(&ev, shard, NULL);

    rs->n = 0;
}
