/*
 * ngx_chat_drain.c: drains the sessions of an old worker process.
 *
 * Called from: read, when nginx reloads or is upgraded (it calls the read
 * handler of every idle connection with c->close set); session. Hands to:
 * write, session. Each client receives `reconnect` with a random delay, is
 * served until it has reconnected or the delay and a grace period are over,
 * and is then closed with 1012. All sessions end within chat_drain; the timer
 * here is the only one that keeps the old process alive.
 */

#include "ngx_chat_session.h"


#define NGX_CHAT_DRAIN_TICK  100        /* ms */
#define NGX_CHAT_DRAIN_LAST  1000       /* ms for frames that a client sent
                                           before it saw its new welcome    */


/* ms between the time a client should reconnect and its close. */

static ngx_msec_t
ngx_chat_drain_grace(void)
{
    return ngx_min(ngx_chat_edge->conf->drain / 6, 3000);
}


/* The largest `after` in ms. It leaves time for the reconnect, the grace period
 * and the close handshake before chat_drain ends. */

ngx_msec_t
ngx_chat_drain_spread(void)
{
    ngx_msec_t  drain;

    drain = ngx_chat_edge->conf->drain;

    return drain - ngx_min(drain / 3, 10000) - ngx_chat_drain_grace();
}


/* Starts to drain a session: sends `reconnect` with its delay. */

/* Starts to drain a session: sends `reconnect` with its delay. */

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


/* Every NGX_CHAT_DRAIN_TICK: closes sessions whose time has come. */

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
                             + ngx_min(edge->conf->drain / 4, NGX_CHAT_CLOSE_TIMEOUT)
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

        /* The device has a new session. Frames on the old connection were
         * sent before the new welcome, so a short wait is enough. */
        if (s->superseded && late < (ngx_msec_int_t) (grace - last)) {
            s->drain_at = ngx_current_msec - (grace - last);
            late = grace - last;
        }

        if (!over && late < (ngx_msec_int_t) grace) {
            continue;
        }

        /* Read no new frames; accepted sends still get their answer. */
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
