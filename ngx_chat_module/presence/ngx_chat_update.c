/*
 * ngx_chat_update.c: sends presence updates to the sessions that follow.
 *
 * Called from: presence. Hands to: write. Each follow keeps the current state
 * and the state last sent to the client. Changes are collected for up to
 * 200 ms, longer while the socket is behind, and sent as one frame. A change
 * that has been reverted by then is not sent.
 */

#include "ngx_chat_session.h"
#include "ngx_chat_presence.h"


#define NGX_CHAT_UPDATE_STEP  60000000  /* us, see ngx_chat_update_set()    */
#define NGX_CHAT_UPDATE_TEXT  96        /* max bytes of one user in a frame */


static ngx_uint_t ngx_chat_update_unsent(ngx_chat_follow_t *f);
static u_char *ngx_chat_update_text(u_char *p, ngx_chat_follow_t *f);


/* Stores a state. as_of: Redis' time in us, read before the routes the state is
 * derived from. Two workers may publish about one user in the wrong order, so
 * an older state is dropped, unless it is older by more than a minute: then
 * Redis' clock was set back. */

void
ngx_chat_update_set(ngx_chat_follow_t *f, chat_presence_t *presence,
    int64_t as_of)
{
    ngx_chat_follows_t  *fs;

    if (as_of >= f->as_of || f->as_of - as_of > NGX_CHAT_UPDATE_STEP) {
        f->as_of = as_of;
        f->online = (presence->flags & CHAT_PRESENCE_ONLINE) != 0;
        f->last_seen = presence->last_seen;
    }

    fs = f->session->follows;

    if (!fs->in_updates && ngx_chat_update_unsent(f)) {
        fs->in_updates = 1;
        ngx_queue_insert_tail(&ngx_chat_edge->updates, &fs->updates);
    }
}


/* 1 when the client has to be sent the current state. Before the answer to its
 * subscription nothing is due: the answer carries the state. */

static ngx_uint_t
ngx_chat_update_unsent(ngx_chat_follow_t *f)
{
    ngx_uint_t  online;

    if (!f->sent) {
        return 0;
    }

    online = f->shown && f->online;

    return f->sent_online != online
           || (!online
               && f->sent_last_seen != (f->shown ? f->last_seen : 0));
}


/* Writes the updates that are due. Called every 200 ms. */

void
ngx_chat_update_flush(void)
{
    ngx_uint_t           i, n;
    ngx_queue_t         *q, *next;
    ngx_chat_edge_t     *edge;
    ngx_chat_follow_t   *list[CHAT_PRESENCE_FOLLOWED];
    ngx_chat_session_t  *s;
    ngx_chat_follows_t  *fs;

    edge = ngx_chat_edge;

    for (q = ngx_queue_head(&edge->updates);
         q != ngx_queue_sentinel(&edge->updates);
         q = next)
    {
        next = ngx_queue_next(q);
        fs = ngx_queue_data(q, ngx_chat_follows_t, updates);
        s = fs->session;

        /* The socket is behind: send the latest state once it is not. */
        if (s->out_bytes > s->conf->send_buffer / 2) {
            continue;
        }

        ngx_queue_remove(q);
        fs->in_updates = 0;

        for (i = 0, n = 0; i < fs->n; i++) {
            if (ngx_chat_update_unsent(fs->list[i])) {
                list[n++] = fs->list[i];
            }
        }

        if (n) {
            ngx_chat_update_write(s, list, n);
        }
    }
}


/* Writes one presence frame with these n users; n may be 0. */

void
ngx_chat_update_write(ngx_chat_session_t *s, ngx_chat_follow_t **list,
    ngx_uint_t n)
{
    u_char            *text, *p;
    ngx_uint_t         i;
    ngx_chat_frame_t  *f;

    f = NULL;

    text = ngx_alloc(64 + n * NGX_CHAT_UPDATE_TEXT, s->connection->log);

    if (text != NULL) {
        p = ngx_cpymem(text, "{\"type\":\"presence\",\"users\":[",
                       sizeof("{\"type\":\"presence\",\"users\":[") - 1);

        for (i = 0; i < n; i++) {
            if (i) {
                *p++ = ',';
            }

            p = ngx_chat_update_text(p, list[i]);
        }

        *p++ = ']';
        *p++ = '}';

        f = ngx_chat_frame_text(text, p - text);
        ngx_free(text);
    }

    ngx_chat_edge->counters.presence += f != NULL;
    (void) ngx_chat_write_owned(s, f);
}


/* Writes one user, at most NGX_CHAT_UPDATE_TEXT bytes, and records the state as
 * sent. Returns the end. */

static u_char *
ngx_chat_update_text(u_char *p, ngx_chat_follow_t *f)
{
    f->sent = 1;
    f->sent_online = f->shown && f->online;
    f->sent_last_seen = f->shown ? f->last_seen : 0;

    p = ngx_cpymem(p, "{\"userId\":\"", sizeof("{\"userId\":\"") - 1);
    p = chat_json_u64(p, f->followed->user);

    if (f->sent_online) {
        return ngx_cpymem(p, "\",\"status\":\"online\"}",
                          sizeof("\",\"status\":\"online\"}") - 1);
    }

    p = ngx_cpymem(p, "\",\"status\":\"offline\"",
                   sizeof("\",\"status\":\"offline\"") - 1);

    if (f->sent_last_seen) {
        p = ngx_cpymem(p, ",\"lastSeen\":\"",
                       sizeof(",\"lastSeen\":\"") - 1);
        p = chat_json_time(p, f->sent_last_seen);
        *p++ = '"';
    }

    *p++ = '}';

    return p;
}
