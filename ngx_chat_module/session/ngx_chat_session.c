/*
 * ngx_chat_session.c: the life cycle of a session.
 *
 * Called from: upgrade (open), everything that closes a session, the tick.
 * Hands to: route, receipt, sync, follow. Sessions can be found by user and by id. One
 * function opens (_open), one starts the closing handshake (_close), one ends
 * the session (_destroy). Memory is freed at the end of the event loop
 * iteration, so a caller up the stack may still read the state.
 */

#include "ngx_chat_session.h"
#include "ngx_chat_delivery.h"
#include "ngx_chat_presence.h"


static ngx_msec_t ngx_chat_session_linger(void);
static void ngx_chat_session_expire(ngx_chat_session_t *s);
static void ngx_chat_session_expired(time_t now);


#define BY_USER  offsetof(ngx_chat_session_t, user),                          \
                 offsetof(ngx_chat_session_t, next_user)
#define BY_ID    offsetof(ngx_chat_session_t, id),                            \
                 offsetof(ngx_chat_session_t, next_id)


ngx_chat_session_t *
ngx_chat_session_open(ngx_http_request_t *r, ngx_chat_loc_conf_t *conf,
    chat_token_t *token)
{
    ngx_chat_ctx_t      *ctx;
    ngx_chat_edge_t     *edge;
    ngx_chat_session_t  *s;

    edge = ngx_chat_edge;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_chat_ctx_t));
    s = ngx_pcalloc(r->connection->pool, sizeof(ngx_chat_session_t));

    if (ctx == NULL || s == NULL) {
        return NULL;
    }

    s->connection = r->connection;
    s->conf = conf;
    s->id = ++edge->last_id;
    s->user = token->user;
    s->device = token->device;
    s->expires = token->expires;
    s->out_last = &s->out;
    s->last_activity = ngx_current_msec;
    s->echo = (token->user == 0);

    ws_parser_init(&s->parser, s->echo ? conf->echo : conf->max_frame);

    if (ngx_chat_hash_add(&edge->by_id, s, BY_ID) != NGX_OK) {
        return NULL;
    }

    if (ngx_chat_hash_add(&edge->by_user, s, BY_USER) != NGX_OK) {
        ngx_chat_hash_remove(&edge->by_id, s, BY_ID);
        return NULL;
    }

    ngx_queue_insert_tail(&edge->activity, &s->activity);
    ngx_chat_session_expire(s);
    edge->counters.connects++;

    if (edge->min_heartbeat == 0 || conf->heartbeat < edge->min_heartbeat) {
        edge->min_heartbeat = conf->heartbeat;
    }

    ctx->session = s->id;
    ctx->token = *token;
    ctx->verified = (token->user != 0);
    ngx_http_set_ctx(r, ctx, ngx_http_chat_module);

    return s;
}


ngx_int_t
ngx_chat_session_welcome(ngx_chat_session_t *s)
{
    u_char       time[CHAT_TIME_TEXT], text[768], *p;
    ngx_time_t  *tp;

    tp = ngx_timeofday();
    chat_json_time(time, (int64_t) tp->sec * 1000 + tp->msec);

    p = ngx_snprintf(text, sizeof(text),
                     "{\"type\":\"welcome\",\"userId\":\"%uL\","
                     "\"deviceId\":\"%uL\",\"sessionId\":\"%016xL-%uL\","
                     "\"serverTime\":\"%*s\",\"heartbeat\":%M,\"limits\":{"
                     "\"frame\":%uz,\"content\":%d,\"messageId\":%d,"
                     "\"unacknowledged\":%d,\"presence\":%d}}",
                     s->user, s->device, ngx_chat_edge->id, s->id,
                     (size_t) CHAT_TIME_TEXT, time, s->conf->heartbeat / 1000,
                     s->conf->max_frame, CHAT_CONTENT_MAX,
                     CHAT_MESSAGE_ID_MAX, CHAT_SYNC_WINDOW,
                     CHAT_PRESENCE_MAX);

    return ngx_chat_write_text(s, text, p - text);
}


ngx_chat_session_t *
ngx_chat_session_find(uint64_t id)
{
    return ngx_chat_hash_find(&ngx_chat_edge->by_id, id, BY_ID);
}


ngx_chat_session_t *
ngx_chat_session_first(uint64_t user)
{
    return ngx_chat_hash_find(&ngx_chat_edge->by_user, user, BY_USER);
}


ngx_chat_session_t *
ngx_chat_session_next(ngx_chat_session_t *s)
{
    uint64_t  user;

    user = s->user;

    do {
        s = s->next_user;
    } while (s != NULL && s->user != user);

    return s;
}


/* Bytes of the client have arrived; part of a frame is enough. Moving the
 * session to the tail keeps the queue ordered by last_activity:
 * ngx_chat_session_tick() stops at the first session that is recent. */

void
ngx_chat_session_touch(ngx_chat_session_t *s)
{
    s->last_activity = ngx_current_msec;
    ngx_queue_remove(&s->activity);
    ngx_queue_insert_tail(&ngx_chat_edge->activity, &s->activity);
}


void
ngx_chat_session_close(ngx_chat_session_t *s, ngx_uint_t code,
    const char *reason)
{
    u_char  frame[127];
    size_t  len;

    if (s->state != NGX_CHAT_OPEN) {
        return;
    }

    if (!s->detached) {
        ngx_chat_session_destroy(s, reason);
        return;
    }

    ngx_log_error(NGX_LOG_INFO, s->connection->log, 0,
                  "chat session %uL user %uL device %uL closes with %ui: %s",
                  s->id, s->user, s->device, code, reason);

    s->close_code = code;

    /* The client loses nothing: its next session resumes from the delivered
     * receipt. */
    if (code == CHAT_CLOSE_TOO_SLOW) {
        ngx_chat_edge->counters.too_slow++;
        ngx_chat_write_drop(s);
    }

    ngx_chat_receipt_flush(s);
    ngx_chat_route_clear(s);
    ngx_chat_sync_end(s);
    ngx_chat_follow_drop(s);

    len = ws_close_frame(frame, code, reason);

    if (ngx_chat_write_owned(s, ngx_chat_frame_raw(frame, len)) != NGX_OK) {
        return;
    }

    s->state = NGX_CHAT_CLOSING;

    /* close-handshake timeout */
    ngx_add_timer(s->connection->write, ngx_chat_session_linger());
    ngx_chat_write_flush(s);
}


/* The close-handshake timeout in ms; it never exceeds the end of the drain. */

static ngx_msec_t
ngx_chat_session_linger(void)
{
    ngx_msec_int_t    left;
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;

    if (edge->drain_until == 0) {
        return NGX_CHAT_CLOSE_TIMEOUT;
    }

    left = edge->drain_until - ngx_current_msec;

    return ngx_max(ngx_min(left, NGX_CHAT_CLOSE_TIMEOUT), 1);
}


void
ngx_chat_session_destroy(ngx_chat_session_t *s, const char *reason)
{
    ngx_chat_edge_t  *edge;

    if (s->state == NGX_CHAT_CLOSED) {
        return;
    }

    edge = ngx_chat_edge;

    if (reason != NULL) {
        ngx_log_error(NGX_LOG_INFO, s->connection->log, 0,
                      "chat session %uL user %uL device %uL ends: %s",
                      s->id, s->user, s->device, reason);
    }

    if (s->state == NGX_CHAT_OPEN) {
        ngx_chat_receipt_flush(s);
        ngx_chat_route_clear(s);
        ngx_chat_sync_end(s);
        ngx_chat_follow_drop(s);
    }

    s->state = NGX_CHAT_CLOSED;

    ngx_chat_hash_remove(&edge->by_id, s, BY_ID);
    ngx_chat_hash_remove(&edge->by_user, s, BY_USER);
    ngx_queue_remove(&s->activity);
    ngx_queue_remove(&s->expiry);

    if (s->in_work) {
        ngx_queue_remove(&s->work);
        s->in_work = 0;
    }

    if (s->in_dirty) {
        ngx_queue_remove(&s->dirty);
        s->in_dirty = 0;
    }

    ngx_chat_write_drop(s);
    edge->counters.closes++;

    if (!s->detached) {
        /* The connection is still HTTP's, which closes it. */
        ngx_chat_session_free(s);
        return;
    }

    s->connection->idle = 0;

    ngx_queue_insert_tail(&edge->dead, &s->dirty);
    ngx_post_event(&edge->flush, &ngx_posted_events);
}


/* Frees the memory that is not in the connection's pool. */

void
ngx_chat_session_free(ngx_chat_session_t *s)
{
    ngx_chat_table_free(&s->table);
    ngx_chat_duplicate_free(s);

    if (s->inflight_pool) {
        ngx_destroy_pool(s->inflight_pool);
    }

    if (s->msg_pool) {
        ngx_destroy_pool(s->msg_pool);
    }
}


/* When the device of a draining session has reconnected, that session is closed
 * by the drain, with 1012. */

void
ngx_chat_session_kick(uint64_t user, uint64_t device, uint64_t id,
    ngx_uint_t code)
{
    ngx_chat_session_t  *s, *next;

    for (s = ngx_chat_session_first(user); s; s = next) {
        next = ngx_chat_session_next(s);

        if (s->device != device || (id != 0 && s->id != id)) {
            continue;
        }

        if (code == CHAT_CLOSE_REPLACED && s->draining) {
            s->superseded = 1;
            s->routed = 0;
            continue;
        }

        if (code == CHAT_CLOSE_REPLACED) {
            s->routed = 0;      /* the route is the new session's */
        }

        ngx_chat_session_close(s, code,
                               code == CHAT_CLOSE_REVOKED
                               ? "device revoked: log in again"
                               : "the same device connected elsewhere");
    }
}


/* Closes sessions without activity for two heartbeats and sessions whose token
 * has expired. */

void
ngx_chat_session_tick(void)
{
    ngx_queue_t         *q, *next;
    ngx_chat_edge_t     *edge;
    ngx_chat_session_t  *s;

    edge = ngx_chat_edge;

    for (q = ngx_queue_head(&edge->activity);
         q != ngx_queue_sentinel(&edge->activity);
         q = next)
    {
        next = ngx_queue_next(q);
        s = ngx_queue_data(q, ngx_chat_session_t, activity);

        /* Locations may have different heartbeats: all later sessions are
         * within the shortest one. */
        if (ngx_current_msec - s->last_activity < 2 * edge->min_heartbeat) {
            break;
        }

        if (s->state == NGX_CHAT_OPEN
            && ngx_current_msec - s->last_activity > 2 * s->conf->heartbeat)
        {
            ngx_chat_session_close(s, CHAT_CLOSE_NO_HEARTBEAT,
                                   "no heartbeat");
        }
    }

    ngx_chat_session_expired(ngx_time());
}


/*
 * Timer wheel, one slot per second: an idle session is not visited until its
 * token expires. A slot also holds sessions of later rounds. A slot that has
 * been checked is visited again only after a whole round, so an expiry that has
 * already passed goes into the next slot.
 */

static void
ngx_chat_session_expire(ngx_chat_session_t *s)
{
    time_t            at;
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;

    if (s->expires == 0) {
        ngx_queue_init(&s->expiry);     /* test build: no token */
        return;
    }

    at = ngx_max(s->expires, edge->expired + 1);
    ngx_queue_insert_tail(&edge->expiry[at % NGX_CHAT_EXPIRY], &s->expiry);
}


static void
ngx_chat_session_expired(time_t now)
{
    time_t               at;
    ngx_queue_t         *q, *next, *list;
    ngx_chat_edge_t     *edge;
    ngx_chat_session_t  *s;

    edge = ngx_chat_edge;

    if (now == edge->expired) {
        return;
    }

    /* After a gap of a whole round, or when the clock was set back, check every
     * slot once. */
    at = edge->expired + 1;

    if (now < at || now - at >= NGX_CHAT_EXPIRY) {
        at = now - NGX_CHAT_EXPIRY + 1;
    }

    for ( /* void */ ; at <= now; at++) {
        list = &edge->expiry[at % NGX_CHAT_EXPIRY];

        for (q = ngx_queue_head(list);
             q != ngx_queue_sentinel(list);
             q = next)
        {
            next = ngx_queue_next(q);
            s = ngx_queue_data(q, ngx_chat_session_t, expiry);

            if (s->state == NGX_CHAT_OPEN && s->expires <= now) {
                ngx_chat_session_close(s, CHAT_CLOSE_TOKEN_EXPIRED,
                                       "token expired: refresh it");
            }
        }
    }

    edge->expired = now;
}
