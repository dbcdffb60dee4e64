/*
 * ngx_chat_marks.c: delivered and read, coalesced.
 *
 * Called from dispatch; hands to publish every 200 ms, and when a session
 * ends. A client may mark every entry: per chat only the highest goes on, and
 * the marks of all sessions that touch one shard go as one event. Whether a
 * mark is allowed (a foreign chat, above the last seq) the worker decides.
 */

#include "ngx_chat.h"


#define NGX_CHAT_MARKS_EVENT  512       /* marks in one event */


typedef struct {
    u_char      *data;
    ngx_uint_t   n;
} ngx_chat_marks_t;


static ngx_chat_marks_t  ngx_chat_marks[CHAT_SHARDS];


static void ngx_chat_marks_gather(ngx_chat_session_t *s);
static void ngx_chat_marks_publish(ngx_uint_t shard);


void
ngx_chat_marks_set(ngx_chat_session_t *s, const u_char *chat, uint64_t seq,
    ngx_uint_t read)
{
    ngx_chat_known_t  *k;

    k = ngx_chat_table_find(&s->table, chat);

    if (k == NULL) {
        k = ngx_chat_sync_know(s, chat);
        if (k == NULL) {
            return;
        }

        k->flags |= NGX_CHAT_UNSEEN;
    }

    if (read) {
        k->read = ngx_max(k->read, seq);
    } else {
        k->delivered = ngx_max(k->delivered, seq);
    }

    k->flags |= NGX_CHAT_MARKED;
    s->marks = 1;

    if (!s->in_work) {
        s->in_work = 1;
        ngx_queue_insert_tail(&ngx_chat_edge->work, &s->work);
    }

    ngx_chat_sync_delivered(s, k, seq);
}


/* Every 200 ms. */

void
ngx_chat_marks_tick(void)
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

        ngx_chat_marks_gather(s);

        if (s->sync == NGX_CHAT_LIVE && !s->repair && !s->marks) {
            ngx_queue_remove(&s->work);
            s->in_work = 0;
        }
    }

    for (i = 0; i < CHAT_SHARDS; i++) {
        ngx_chat_marks_publish(i);
    }
}


/* The session ends: its next one will be told by its marks what it missed. */

void
ngx_chat_marks_flush(ngx_chat_session_t *s)
{
    ngx_uint_t  i;

    if (!s->marks) {
        return;
    }

    ngx_chat_marks_gather(s);

    for (i = 0; i < CHAT_SHARDS; i++) {
        ngx_chat_marks_publish(i);
    }
}


static void
ngx_chat_marks_gather(ngx_chat_session_t *s)
{
    ngx_uint_t         i, shard;
    chat_mark_t        mark;
    ngx_chat_known_t  *k;
    ngx_chat_marks_t  *m;

    if (!s->marks) {
        return;
    }

    s->marks = 0;

    for (i = 0; i < s->table.n; i++) {
        k = &s->table.known[i];

        if (!(k->flags & NGX_CHAT_MARKED)) {
            continue;
        }

        shard = chat_id_shard(k->chat);
        m = &ngx_chat_marks[shard];

        if (m->data == NULL) {
            m->data = ngx_alloc(NGX_CHAT_MARKS_EVENT * CHAT_MARK_SIZE,
                                ngx_cycle->log);
            if (m->data == NULL) {
                s->marks = 1;
                return;
            }
        }

        mark.session = s->id;
        mark.user = s->user;
        mark.device = s->device;
        mark.delivered = k->delivered;
        mark.read = k->read;
        ngx_memcpy(mark.chat, k->chat, 16);

        chat_mark_encode(&mark, m->data + m->n * CHAT_MARK_SIZE);

        k->flags &= ~NGX_CHAT_MARKED;
        k->delivered = 0;
        k->read = 0;

        if (++m->n == NGX_CHAT_MARKS_EVENT) {
            ngx_chat_marks_publish(shard);
        }
    }
}


static void
ngx_chat_marks_publish(ngx_uint_t shard)
{
    chat_event_t       ev;
    ngx_chat_marks_t  *m;

    m = &ngx_chat_marks[shard];

    if (m->n == 0) {
        return;
    }

    ngx_memzero(&ev, sizeof(chat_event_t));

    ev.type = CHAT_EV_MARKS;
    ev.body.data = (char *) m->data;
    ev.body.len = m->n * CHAT_MARK_SIZE;

    /* lost with Redis: the entries are sent again, the client marks again */
    (void) ngx_chat_publish_event(&ev, shard);

    m->n = 0;
}
