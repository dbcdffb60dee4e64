/*
 * ngx_chat_read.c: bytes in, WebSocket messages out.
 *
 * The read handler of a session's connection; hands whole text messages to
 * ngx_chat_dispatch.c and answers control frames itself. Reads into one buffer
 * that all sessions share: an idle session has none. A message that arrives in
 * pieces is joined in a small pool of its own.
 */

#include "ngx_chat.h"


#define NGX_CHAT_READ  65536
#define NGX_CHAT_READ_TURN  4           /* buffers a session may take a turn */


static u_char  ngx_chat_read_buffer[NGX_CHAT_READ];


static void ngx_chat_read_control(ngx_chat_session_t *s, ws_event_t *ev);
static void ngx_chat_read_piece(ngx_chat_session_t *s, ws_event_t *ev);
static void ngx_chat_read_message(ngx_chat_session_t *s, ngx_uint_t op,
    u_char *data, size_t len);


void
ngx_chat_read_handler(ngx_event_t *rev)
{
    ssize_t              n;
    ngx_uint_t           turn;
    ngx_connection_t    *c;
    ngx_chat_session_t  *s;

    c = rev->data;
    s = c->data;

    if (s->state == NGX_CHAT_CLOSED) {
        return;
    }

    if (c->close) {
        /* nginx reloads: it calls idle connections' read handlers; and again,
         * with c->error, when worker_shutdown_timeout is over */
        c->close = 0;

        if (c->error) {
            ngx_chat_session_close(s, CHAT_CLOSE_RESTART, "restart");
        } else {
            ngx_chat_drain_session(s);
        }

        return;
    }

    for (turn = 0; turn < NGX_CHAT_READ_TURN; turn++) {

        if (s->reads_paused && s->state == NGX_CHAT_OPEN) {
            break;
        }

        n = c->recv(c, ngx_chat_read_buffer, NGX_CHAT_READ);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_chat_session_destroy(s, n ? "connection error"
                                          : "the client is gone");
            return;
        }

        if (s->broken) {
            continue;
        }

        ngx_chat_session_touch(s);
        ngx_chat_read_bytes(s, ngx_chat_read_buffer,
                            ngx_chat_read_buffer + n);

        if (s->state == NGX_CHAT_CLOSED) {
            return;
        }
    }

    if (turn == NGX_CHAT_READ_TURN && rev->ready) {
        /* others are waiting: go on in the next turn */
        ngx_post_event(rev, &ngx_posted_next_events);
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_chat_session_destroy(s, "read event failed");
        return;
    }
}


void
ngx_chat_read_bytes(ngx_chat_session_t *s, u_char *pos, u_char *end)
{
    ws_event_t  ev;

    for ( ;; ) {

        switch (ws_parse(&s->parser, &pos, end, &ev)) {

        case WS_MORE:
            return;

        case WS_DATA:
            if (s->state == NGX_CHAT_OPEN) {
                ngx_chat_read_piece(s, &ev);
            }
            break;

        case WS_CONTROL:
            ngx_chat_read_control(s, &ev);
            break;

        case WS_ERROR:
            if (s->state != NGX_CHAT_OPEN) {
                ngx_chat_session_destroy(s, NULL);
                return;
            }

            /* what it sends after this is not a frame: do not wait for a
             * close frame, but let ours arrive */
            ngx_chat_session_close(s, ev.code, ev.why);
            s->broken = 1;
            return;
        }

        if (s->state == NGX_CHAT_CLOSED) {
            return;
        }
    }
}


static void
ngx_chat_read_control(ngx_chat_session_t *s, ws_event_t *ev)
{
    u_char            *payload;
    ngx_chat_frame_t  *f;

    switch (ev->op) {

    case WS_OP_PING:
        f = ngx_chat_frame_new(WS_OP_PONG, ev->len, &payload);
        if (f == NULL) {
            ngx_chat_session_destroy(s, "out of memory");
            return;
        }

        ngx_memcpy(payload, ev->data, ev->len);

        if (ngx_chat_write(s, f) != NGX_OK) {
            ngx_chat_session_destroy(s, "out of memory");
        }

        ngx_chat_frame_free(f);
        return;

    case WS_OP_CLOSE:
        s->peer_closed = 1;

        if (s->state == NGX_CHAT_CLOSING) {
            /* the answer to ours */
            if (s->out == NULL) {
                ngx_chat_session_destroy(s, NULL);
            }

            return;
        }

        /* section 5.5.1: echo the code; 1005 is never sent */
        ngx_chat_session_close(s, ev->code == 1005 ? 1000 : ev->code,
                               "");
        return;

    default: /* PONG: heard, no more */
        return;
    }
}


static void
ngx_chat_read_piece(ngx_chat_session_t *s, ws_event_t *ev)
{
    u_char      *p;
    size_t       cap;
    ngx_pool_t  *pool;

    if (ev->op == WS_OP_BINARY && !s->echo) {
        ngx_chat_session_close(s, CHAT_CLOSE_UNSUPPORTED,
                               "binary messages are not part of chat.v1");
        return;
    }

    if (ev->first && ev->last) {
        ngx_chat_read_message(s, ev->op, ev->data, ev->len);
        return;
    }

    if (s->msg_len + ev->len > s->msg_cap) {

        cap = ngx_max(s->msg_cap * 2, s->msg_len + ev->len);
        cap = ngx_max(cap, 2048);

        pool = ngx_create_pool(NGX_MIN_POOL_SIZE, s->connection->log);
        p = pool ? ngx_palloc(pool, cap) : NULL;

        if (p == NULL) {
            if (pool) {
                ngx_destroy_pool(pool);
            }

            ngx_chat_session_destroy(s, "out of memory");
            return;
        }

        if (s->msg_len) {
            ngx_memcpy(p, s->msg, s->msg_len);
        }

        if (s->msg_pool) {
            ngx_destroy_pool(s->msg_pool);
        }

        s->msg_pool = pool;
        s->msg = p;
        s->msg_cap = cap;
    }

    if (ev->len) {
        ngx_memcpy(s->msg + s->msg_len, ev->data, ev->len);
        s->msg_len += ev->len;
    }

    if (!ev->last) {
        return;
    }

    ngx_chat_read_message(s, ev->op, s->msg, s->msg_len);

    if (s->msg_pool) {
        ngx_destroy_pool(s->msg_pool);
        s->msg_pool = NULL;
    }

    s->msg = NULL;
    s->msg_len = 0;
    s->msg_cap = 0;
}


static void
ngx_chat_read_message(ngx_chat_session_t *s, ngx_uint_t op, u_char *data,
    size_t len)
{
    ngx_chat_edge->counters.frames_in++;

#ifdef CHAT_TEST_BUILD
    if (s->echo) {
        u_char            *payload;
        ngx_chat_frame_t  *f;

        f = ngx_chat_frame_new(op, len, &payload);
        if (f == NULL) {
            ngx_chat_session_destroy(s, "out of memory");
            return;
        }

        if (len) {
            ngx_memcpy(payload, data, len);
        }

        (void) ngx_chat_write(s, f);
        ngx_chat_frame_free(f);
        return;
    }
#endif

    ngx_chat_dispatch(s, data, len);
}
