/*
 * ngx_chat_write.c: the send queue of a session.
 *
 * Called from: every file that answers or delivers. Hands to: the socket. A
 * frame is built once and shared; the queue of a session holds references.
 * Frames are not written immediately: the session is put into the dirty queue
 * and written at the end of the loop iteration, with one send() for all its
 * frames. The queue is bounded by chat_send_buffer: a client that does not
 * read is closed with 4008.
 */

#include "ngx_chat_session.h"
#include "ngx_chat_delivery.h"


#define NGX_CHAT_FREE_OUT    1024       /* queue cells kept for reuse */
#define NGX_CHAT_TLS_RECORD  16384      /* max bytes of a TLS record  */


/* A new frame with one reference, owned by the caller, who fills the len bytes
 * at *payload_r. NULL out of memory. */

ngx_chat_frame_t *
ngx_chat_frame_new(ngx_uint_t op, size_t len, u_char **payload_r)
{
    u_char             head[WS_HEAD_MAX];
    size_t             n;
    ngx_chat_frame_t  *f;

    n = ws_head(head, op, len);

    f = ngx_alloc(offsetof(ngx_chat_frame_t, data) + n + len,
                  ngx_cycle->log);
    if (f == NULL) {
        return NULL;
    }

    ngx_memcpy(f->data, head, n);
    f->refs = 1;
    f->len = n + len;
    *payload_r = f->data + n;

    return f;
}


/* As above, a text frame with a copy of data. */

ngx_chat_frame_t *
ngx_chat_frame_text(const u_char *data, size_t len)
{
    u_char            *payload;
    ngx_chat_frame_t  *f;

    f = ngx_chat_frame_new(WS_OP_TEXT, len, &payload);
    if (f != NULL) {
        ngx_memcpy(payload, data, len);
    }

    return f;
}


/* Drops a reference; the last one frees the frame. */

ngx_chat_frame_t *
ngx_chat_frame_raw(const u_char *data, size_t len)
{
    ngx_chat_frame_t  *f;

    f = ngx_alloc(offsetof(ngx_chat_frame_t, data) + len, ngx_cycle->log);
    if (f != NULL) {
        ngx_memcpy(f->data, data, len);
        f->refs = 1;
        f->len = len;
    }

    return f;
}


void
ngx_chat_frame_free(ngx_chat_frame_t *f)
{
    if (--f->refs == 0) {
        ngx_free(f);
    }
}


/* A queue cell with a reference to f. NULL out of memory. */

ngx_chat_out_t *
ngx_chat_out_new(ngx_chat_frame_t *f)
{
    ngx_chat_out_t   *out;
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;
    out = edge->free_out;

    if (out != NULL) {
        edge->free_out = out->next;
        edge->nfree_out--;

    } else {
        out = ngx_alloc(sizeof(ngx_chat_out_t), edge->log);
        if (out == NULL) {
            return NULL;
        }
    }

    out->next = NULL;
    out->frame = f;
    f->refs++;

    return out;
}


void
ngx_chat_out_free(ngx_chat_out_t *out)
{
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;
    ngx_chat_frame_free(out->frame);

    if (edge->nfree_out == NGX_CHAT_FREE_OUT) {
        ngx_free(out);
        return;
    }

    out->next = edge->free_out;
    edge->free_out = out;
    edge->nfree_out++;
}


/* Queues a reference to f. NGX_ERROR out of memory. A session that is closing
 * accepts no frames; that is NGX_OK, since the client expects none. The session
 * may be closed when this returns: too slow, or found disconnected. */

static ngx_int_t
ngx_chat_write_queue(ngx_chat_session_t *s, ngx_chat_frame_t *f)
{
    size_t            limit;
    ngx_chat_out_t   *out;
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;

    if (s->state != NGX_CHAT_OPEN) {
        return NGX_OK;
    }

    limit = s->echo ? s->conf->echo * 2 : s->conf->send_buffer;

    if (s->out_bytes + f->len > limit && s->out_bytes && s->detached) {
        ngx_chat_write_flush(s);

        if (s->state != NGX_CHAT_OPEN) {
            return NGX_OK;      /* the client has disconnected */
        }

        if (s->out_bytes + f->len > limit && s->out_bytes
            && s->close_code == 0)
        {
            ngx_chat_session_close(s, CHAT_CLOSE_TOO_SLOW,
                                   "too slow: reconnect and resume");
            return NGX_OK;
        }
    }

    out = ngx_chat_out_new(f);
    if (out == NULL) {
        return NGX_ERROR;
    }

    *s->out_last = out;
    s->out_last = &out->next;
    s->out_bytes += f->len;
    edge->counters.frames_out++;

    if (!s->in_dirty) {
        s->in_dirty = 1;
        ngx_queue_insert_tail(&edge->dirty, &s->dirty);
        ngx_post_event(&edge->flush, &ngx_posted_events);
    }

    return NGX_OK;
}


/* Queues a reference to f. When memory is short, or f is NULL because it could
 * not be allocated, the session ends: without this frame the client would see
 * a gap. NGX_OK while the session is open, else NGX_ERROR. */

ngx_int_t
ngx_chat_write_shared(ngx_chat_session_t *s, ngx_chat_frame_t *f)
{
    if (f == NULL || ngx_chat_write_queue(s, f) != NGX_OK) {
        ngx_chat_session_destroy(s, "out of memory");
    }

    return s->state == NGX_CHAT_OPEN ? NGX_OK : NGX_ERROR;
}


/* The same for a frame of this session alone: f is taken. */

ngx_int_t
ngx_chat_write_owned(ngx_chat_session_t *s, ngx_chat_frame_t *f)
{
    ngx_int_t  rc;

    rc = ngx_chat_write_shared(s, f);

    if (f != NULL) {
        ngx_chat_frame_free(f);
    }

    return rc;
}


/* Builds a text frame for this session alone and writes it; data is copied. */

ngx_int_t
ngx_chat_write_text(ngx_chat_session_t *s, const u_char *data, size_t len)
{
    return ngx_chat_write_owned(s, ngx_chat_frame_text(data, len));
}


/* Removes n written bytes from the queue. */

static void
ngx_chat_write_advance(ngx_chat_session_t *s, size_t n)
{
    size_t           left;
    ngx_chat_out_t  *out;

    s->out_bytes -= n;
    ngx_chat_edge->counters.bytes_out += n;

    while (n) {
        out = s->out;
        left = out->frame->len - s->out_pos;

        if (n < left) {
            s->out_pos += n;
            return;
        }

        n -= left;
        s->out_pos = 0;
        s->out = out->next;
        ngx_chat_out_free(out);
    }

    if (s->out == NULL) {
        s->out_last = &s->out;
    }
}


/* Joins small frames for one send(); with TLS at most one record. Returns the
 * length of *data, which is valid until the scratch buffer is used again. */

static size_t
ngx_chat_write_join(ngx_chat_session_t *s, u_char **data)
{
    u_char          *p, *end;
    size_t           pos, n;
    ngx_chat_out_t  *out;

    out = s->out;

    if (out->next == NULL || out->frame->len - s->out_pos > 16384) {
        *data = out->frame->data + s->out_pos;
        return out->frame->len - s->out_pos;
    }

    p = ngx_chat_edge->scratch;
    end = p + NGX_CHAT_SCRATCH;
#if (NGX_HTTP_SSL)
    if (s->connection->ssl) {
        end = p + NGX_CHAT_TLS_RECORD;
    }
#endif
    pos = s->out_pos;
    *data = p;

    for ( /* void */ ; out != NULL && p < end; out = out->next) {
        n = ngx_min(out->frame->len - pos, (size_t) (end - p));
        p = ngx_cpymem(p, out->frame->data + pos, n);
        pos = 0;
    }

    return p - *data;
}


/* Writes as much of the queue as the socket takes. May destroy the session. */

void
ngx_chat_write_flush(ngx_chat_session_t *s)
{
    u_char            *data;
    size_t             len;
    ssize_t            n;
    ngx_connection_t  *c;

    c = s->connection;

    if (!s->detached || s->state == NGX_CHAT_CLOSED) {
        return;
    }

    while (s->out != NULL && c->write->ready) {

        len = ngx_chat_write_join(s, &data);
        n = c->send(c, data, len);

        if (n == NGX_AGAIN) {
#if (NGX_HTTP_SSL)
            /* OpenSSL has put these bytes into a record already. */
            s->out_pinned = c->ssl ? ngx_min(len, NGX_CHAT_TLS_RECORD) : 0;
#endif
            break;
        }

        s->out_pinned = 0;

        if (n == NGX_ERROR) {
            ngx_chat_session_destroy(s, "client disconnected");
            return;
        }

        ngx_chat_write_advance(s, n);
    }

    if (s->out != NULL) {
        if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
            ngx_chat_session_destroy(s, "write event failed");
        }

        return;
    }

    if (s->state == NGX_CHAT_CLOSING && s->peer_closed) {
        ngx_chat_session_destroy(s, NULL);
    }
}


/* Drops the queued frames, with two exceptions: the remainder of a partly
 * written frame, without which the client would read the close frame as its
 * payload; and the frames of a TLS record that OpenSSL has built but not
 * written, since SSL_write() must be retried with the same bytes. */

void
ngx_chat_write_drop(ngx_chat_session_t *s)
{
    size_t           begun, kept;
    ngx_chat_out_t  *out, *next, **last;

    begun = (s->state == NGX_CHAT_CLOSED) ? 0 : s->out_pos + s->out_pinned;
    kept = 0;
    last = &s->out;

    while (kept < begun) {
        kept += (*last)->frame->len;
        last = &(*last)->next;
    }

    for (out = *last; out != NULL; out = next) {
        next = out->next;
        ngx_chat_out_free(out);
    }

    *last = NULL;
    s->out_last = last;

    if (kept == 0) {
        s->out_pos = 0;
        s->out_pinned = 0;
    }

    s->out_bytes = kept - s->out_pos;
}


/* nginx's write handler: the socket is writable, or the close handshake timed
 * out. */

void
ngx_chat_write_handler(ngx_event_t *wev)
{
    ngx_connection_t    *c;
    ngx_chat_session_t  *s;

    c = wev->data;
    s = c->data;

    if (s->state == NGX_CHAT_CLOSED) {
        return;
    }

    if (wev->timedout) {
        c->timedout = 1;        /* skip the TLS shutdown, too */
        ngx_chat_session_destroy(s, NULL);
        return;
    }

    ngx_chat_write_flush(s);

    if (s->state == NGX_CHAT_OPEN && s->out == NULL) {
        ngx_chat_sync_more(s);
    }
}


/* Runs at the end of a loop iteration: writes the dirty sessions, then frees
 * the sessions that were destroyed. */

void
ngx_chat_write_all(ngx_event_t *ev)
{
    ngx_queue_t         *q;
    ngx_chat_edge_t     *edge;
    ngx_connection_t    *c;
    ngx_chat_session_t  *s;

    edge = ngx_chat_edge;

    while (!ngx_queue_empty(&edge->dirty)) {
        q = ngx_queue_head(&edge->dirty);
        ngx_queue_remove(q);

        s = ngx_queue_data(q, ngx_chat_session_t, dirty);
        s->in_dirty = 0;
        ngx_chat_write_flush(s);
    }

    while (!ngx_queue_empty(&edge->dead)) {
        q = ngx_queue_head(&edge->dead);
        ngx_queue_remove(q);

        s = ngx_queue_data(q, ngx_chat_session_t, dirty);
        c = s->connection;

        if (c->read->posted) {
            ngx_delete_posted_event(c->read);
        }

        if (c->write->posted) {
            ngx_delete_posted_event(c->write);
        }

        ngx_chat_session_free(s);
        ngx_http_close_connection(c);
    }
}
