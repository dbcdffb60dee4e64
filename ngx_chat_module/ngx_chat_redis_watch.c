/*
 * ngx_chat_redis_watch.c: what the edge asks Redis once a second.
 *
 * Called from the tick and when a connection has come up; hands to auth
 * (revocations), route and sync (Redis was emptied). A connection that does not
 * answer for three seconds is given up.
 */

#include "ngx_chat_redis.h"


#define NGX_CHAT_REDIS_TIMEOUT  3000     /* ms without an answer to PING     */


static void ngx_chat_redis_revoked(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_chat_redis_pong(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_chat_redis_heartbeat(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_chat_redis_length(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_chat_redis_workers(redisAsyncContext *ac, void *reply,
    void *data);


/* Once a second: both connections answer, the edge's key lives, streams are
 * not too long, revocations are known. */

void
ngx_chat_redis_tick(void)
{
    u_char              key[64];
    ngx_time_t         *tp;
    ngx_uint_t          i;
    ngx_chat_edge_t    *edge;
    ngx_chat_redis_t   *rd[2];
    redisAsyncContext  *ac;

    edge = ngx_chat_edge;
    rd[0] = &edge->command;
    rd[1] = &edge->subscription;

    for (i = 0; i < 2; i++) {

        if (rd[i]->context == NULL) {
            continue;
        }

        if (rd[i]->ping_at) {
            if (ngx_current_msec - rd[i]->ping_at > NGX_CHAT_REDIS_TIMEOUT) {
                ngx_chat_redis_lost(rd[i], "no answer for 3 s");
            }

            continue;
        }

        if (rd[i]->up) {
            rd[i]->ping_at = ngx_current_msec;

            if (rd[i]->subscriber) {
                (void) ngx_chat_redis_barrier();
            } else {
                redisAsyncCommand(rd[i]->context, ngx_chat_redis_pong, NULL,
                                  "PING");
            }
        }
    }

    if (!edge->command.up) {
        return;
    }

    ac = edge->command.context;

    /* GET of the old value tells an emptied Redis */
    ngx_sprintf(key, "edge:%016xL%Z", edge->id);
    redisAsyncCommand(ac, ngx_chat_redis_heartbeat, NULL,
                      "SET %s %d EX %d GET", key, (int) ngx_pid,
                      CHAT_EDGE_TTL);

    if (!edge->revoked_loaded && edge->subscription.up) {
        redisAsyncCommand(ac, ngx_chat_redis_revoked,
                          (void *) (uintptr_t) edge->generation,
                          "ZRANGE " CHAT_KEY_REVOKED " 0 -1 WITHSCORES");
    }

    /* a worker beats only while it has its database */
    tp = ngx_timeofday();
    redisAsyncCommand(ac, ngx_chat_redis_workers, NULL,
                      "ZCOUNT workers:message %lld +inf",
                      (long long) tp->sec * 1000 + tp->msec
                      - NGX_CHAT_REDIS_TIMEOUT);

    for (i = 0; i < CHAT_SHARDS; i++) {
        redisAsyncCommand(ac, ngx_chat_redis_length, (void *) (uintptr_t) i,
                          "XLEN " CHAT_KEY_SENT, (unsigned) i);
    }
}


static void
ngx_chat_redis_pong(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_chat_redis_t  *rd;

    rd = ac->data;

    if (rd != NULL && reply != NULL) {
        rd->ping_at = 0;
    }
}


static void
ngx_chat_redis_heartbeat(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply       *r = reply;
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;

    if (r == NULL || r->type == REDIS_REPLY_ERROR) {
        return;
    }

    if (r->type == REDIS_REPLY_NIL && edge->announced) {
        ngx_log_error(NGX_LOG_WARN, edge->log, 0,
                      "chat: Redis was emptied: writing %ui routes anew",
                      edge->by_id.n);
        edge->revoked_loaded = 0;
        ngx_chat_route_all();
        ngx_chat_sync_all();
    }

    edge->announced = 1;
}


static void
ngx_chat_redis_revoked(redisAsyncContext *ac, void *reply, void *data)
{
    u_char      *p, *colon;
    size_t       i, len;
    uint64_t     user, device;
    redisReply  *r = reply;

    if (r == NULL || r->type != REDIS_REPLY_ARRAY) {
        return;
    }

    /* "0:0" is always there: without it the API worker has not filled the set
     * yet. An answer from before the subscription was lost does not know what
     * was revoked meanwhile. */
    for (i = 0; i + 1 < r->elements; i += 2) {
        p = (u_char *) r->element[i]->str;
        len = r->element[i]->len;

        if (len == 3 && ngx_memcmp(p, "0:0", 3) == 0) {
            if ((uintptr_t) data == ngx_chat_edge->generation) {
                ngx_chat_edge->revoked_loaded = 1;
                ngx_chat_edge->revoked_known = 1;
            }

            continue;
        }

        colon = ngx_strlchr(p, p + len, ':');

        if (colon == NULL
            || chat_num_parse((char *) p, colon - p, &user) != 0
            || chat_num_parse((char *) colon + 1, p + len - colon - 1,
                              &device)
               != 0)
        {
            continue;
        }

        ngx_chat_auth_revoke(user, device,
                             strtoll(r->element[i + 1]->str, NULL, 10));
        ngx_chat_session_kick(user, device, 0, CHAT_CLOSE_REVOKED);
    }
}


static void
ngx_chat_redis_length(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply  *r = reply;
    ngx_uint_t   shard;
    ngx_uint_t   full;

    if (r == NULL || r->type != REDIS_REPLY_INTEGER) {
        return;
    }

    shard = (uintptr_t) data;
    full = (ngx_uint_t) r->integer > ngx_chat_edge->conf->stream_limit;

    if (full && !ngx_chat_edge->full[shard]) {
        ngx_log_error(NGX_LOG_WARN, ngx_chat_edge->log, 0,
                      "chat: stream of shard %ui holds %L entries: sends are "
                      "refused until workers catch up",
                      shard, (int64_t) r->integer);
    }

    ngx_chat_edge->full[shard] = full;
}


static void
ngx_chat_redis_workers(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply  *r = reply;

    if (r != NULL && r->type == REDIS_REPLY_INTEGER) {
        ngx_chat_edge->workers_alive = r->integer;
    }
}
