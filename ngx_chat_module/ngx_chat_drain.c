/*
 * ngx_chat_drain.c: an old worker lets go of its clients.
 *
 * Called when nginx reloads or is upgraded: it calls the read handler of every
 * idle connection with c->close set. Each client is told to reconnect after a
 * random time of its own, is served until then and until it has connected
 * anew, and is closed with 1012. Everything ends within chat_drain; the timer
 * here is the only one that keeps the old process.
 */

#include "ngx_chat.h"


#define NGX_CHAT_DRAIN_TICK  100        /* ms */
#define NGX_CHAT_DRAIN_LAST  1000       /* ms for what a client sent before it
                                           saw its new welcome              */


static ngx_msec_t
ngx_chat_drain_grace(void)
{
    return ngx_min(ngx_chat_edge->conf->drain / 6, 3000);
}


/* The latest `after` a client is given: it must connect, and be seen gone,
 * and the close must arrive, before the time is up. */

ngx_msec_t
ngx_chat_drain_spread(void)
{
    ngx_msec_t  drain;

    drain = ngx_chat_edge->conf->drain;

    return drain - ngx_min(drain / 3, 10000) - ngx_chat_drain_grace();
}


/* How long a close frame may wait for its answer: not beyond the end. */

ngx_msec_t
ngx_chat_drain_linger(void)
{
    ngx_msec_int_t    left;
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;

    if (edge->drain_until == 0) {
        return NGX_CHAT_LINGER;
    }

    left = edge->drain_until - ngx_current_msec;

    return ngx_max(ngx_min(left, NGX_CHAT_LINGER), 1);
}


void
ngx_chat_drain_session(ngx_chat_session_t *s)
{
    u_char            text[64], *p;
    ngx_msec_t        after;
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;

    if (s->draining || s->state != NGX_CHAT_OPEN) {
        return;
    }

    if (edge->drain_until == 0) {
        edge->drain_until = ngx_current_msec + edge->conf->drain;
        ngx_log_error(NGX_LOG_NOTICE, edge->log, 0,
                      "chat: edge %016xL drains %ui sessions within %M ms",
                      edge->id, edge->by_id.n, edge->conf->drain);
    }

    if (!edge->drain.timer_set) {
        ngx_add_timer(&edge->drain, NGX_CHAT_DRAIN_TICK);
    }

    after = randombytes_uniform((uint32_t) ngx_chat_drain_spread() + 1);

    s->draining = 1;
    s->drain_at = ngx_current_msec + after;

    if (s->echo) {
        ngx_chat_session_close(s, CHAT_CLOSE_RESTART, "restart");
        return;
    }

    p = ngx_sprintf(text, "{\"type\":\"reconnect\",\"after\":%M}", after);

    (void) ngx_chat_write_text(s, text, p - text);
}


void
ngx_chat_drain_handler(ngx_event_t *ev)
{
    ngx_msec_t           grace, last;
    ngx_uint_t           over;
    ngx_queue_t         *q, *next;
    ngx_msec_int_t       late;
    ngx_chat_edge_t     *edge;
    ngx_chat_session_t  *s;

    edge = ev->data;
    grace = ngx_chat_drain_grace();
    last = ngx_min(grace, NGX_CHAT_DRAIN_LAST);
    over = (ngx_msec_int_t) (ngx_current_msec
                             + ngx_min(edge->conf->drain / 4, NGX_CHAT_LINGER)
                             - edge->drain_until)
           >= 0;

    for (q = ngx_queue_head(&edge->activity);
         q != ngx_queue_sentinel(&edge->activity);
         q = next)
    {
        next = ngx_queue_next(q);
        s = ngx_queue_data(q, ngx_chat_session_t, activity);

        if (s->state != NGX_CHAT_OPEN) {
            continue;
        }

        late = ngx_current_msec - s->drain_at;

        /* connected anew: what it still sends here it sends before its new
         * welcome, and a moment is enough for it */
        if (s->superseded && late < (ngx_msec_int_t) (grace - last)) {
            s->drain_at = ngx_current_msec - (grace - last);
            late = grace - last;
        }

        if (!over && late < (ngx_msec_int_t) grace) {
            continue;
        }

        /* no new frames; what was taken gets its answer */
        s->reads_paused = 1;

        if (over || ngx_chat_inflight_count(s) == 0
            || late > (ngx_msec_int_t) (2 * grace))
        {
            ngx_chat_session_close(s, CHAT_CLOSE_RESTART,
                                   "restart: reconnect and resume");
        }
    }

    if (edge->by_id.n) {
        ngx_add_timer(ev, NGX_CHAT_DRAIN_TICK);
    }
}
