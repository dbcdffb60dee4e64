/*
 * ngx_chat_read.c: reads bytes and assembles WebSocket messages.
 *
 * Called from: nginx, as the read handler of a session's connection; upgrade,
 * for bytes that came with the handshake. Hands to: dispatch, with whole text
 * messages. Control frames are answered here. All sessions share one read
 * buffer, so an idle session has none. A message that arrives in several
 * pieces is assembled in a small pool of its own.
 */

#include "ngx_chat_session.h"


#define NGX_CHAT_READ       65536       /* bytes of the read buffer         */
#define NGX_CHAT_READ_MAX   4           /* buffers per session and loop
                                           iteration                        */


static u_char  ngx_chat_read_buffer[NGX_CHAT_READ];


static void ngx_chat_read_control(ngx_chat_session_t *s, ws_event_t *ev);
static void ngx_chat_read_piece(ngx_chat_session_t *s, ws_event_t *ev);
static void ngx_chat_read_message(ngx_chat_session_t *s, ngx_uint_t op,
    u_char *data, size_t len);


void
ngx_chat_read_handler(ngx_event_t *rev)
{
    ssize_t              n;
    ngx_uint_t           i;
    ngx_connection_t    *c;
    ngx_chat_session_t  *s;

    c = rev->data;
    s = c->data;

    if (s->state == NGX_CHAT_CLOSED) {
        return;
    }

    if (c->close) {
        /* On reload nginx calls the read handlers of idle connections, and
         * again, with c->error, when worker_shutdown_timeout has expired. */
        c->close = 0;

        if (c->error) {
            ngx_chat_session_close(s, CHAT_CLOSE_RESTART, "restart");
        } else {
            ngx_chat_drain_session(s);
        }

        return;
    }

    for (i = 0; i < NGX_CHAT_READ_MAX; i++) {

        if (s->reads_paused && s->state == NGX_CHAT_OPEN) {
            break;
        }

        n = c->recv(c, ngx_chat_read_buffer, NGX_CHAT_READ);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_chat_session_destroy(s, n ? "connection error"
                                          : "client disconnected");
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

    if (i == NGX_CHAT_READ_MAX && rev->ready) {
        /* Let other sessions read first. */
        ngx_post_event(rev, &ngx_posted_next_events);
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_chat_session_destroy(s, "read event failed");
        return;
    }
}


/* Parses bytes of the client and handles the frames in them. They are unmasked
 * in place. The session may be closed when this returns. */

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

            /* Bytes after a protocol error are not frames: discard them and
             * expect no close frame. Keep the connection until ours is out. */
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

        if (f != NULL) {
            ngx_memcpy(payload, ev->data, ev->len);
        }

        (void) ngx_chat_write_owned(s, f);
        return;

    case WS_OP_CLOSE:
        s->peer_closed = 1;

        if (s->state == NGX_CHAT_CLOSING) {
            /* the peer's answer to our close frame */
            if (s->out == NULL) {
                ngx_chat_session_destroy(s, NULL);
            }

            return;
        }

        /* RFC 6455, section 5.5.1: echo the code. 1005 means that there was
         * none and is never sent (section 7.4.1). */
        ngx_chat_session_close(s, ev->code == 1005 ? 1000 : ev->code,
                               "");
        return;

    default: /* PONG: it has counted as activity; nothing else to do */
        return;
    }
}


/* A piece of a message: a fragment, or as much of one as has arrived. */

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

        if (f != NULL && len) {
            ngx_memcpy(payload, data, len);
        }

        (void) ngx_chat_write_owned(s, f);
        return;
    }
#endif

    ngx_chat_dispatch(s, data, len);
}
