/*
 * ngx_chat_link.c: what the state of Redis means for the edge.
 *
 * Called from: redis (a connection comes up or goes down, a message, a passed
 * barrier), the tick. Hands to: batch, route, leave, sync, presence, auth,
 * session. Once a second the edge renews its key, and reads which devices are
 * revoked, how many workers are alive and how long the streams are.
 */

#include "ngx_chat_redis.h"
#include "ngx_chat_session.h"
#include "ngx_chat_delivery.h"
#include "ngx_chat_presence.h"
#include "ngx_chat_http.h"


#define NGX_CHAT_LINK_ALIVE  3000       /* ms a worker's heartbeat is valid */


static void ngx_chat_link_up(ngx_chat_redis_t *rd);
static void ngx_chat_link_down(ngx_chat_redis_t *rd);
static void ngx_chat_link_refresh(void);
static void ngx_chat_link_announce(void);
static void ngx_chat_link_announced(ngx_chat_reply_t *reply, void *data);
static void ngx_chat_link_revoked(ngx_chat_reply_t *reply, void *data);
static void ngx_chat_link_workers(ngx_chat_reply_t *reply, void *data);
static void ngx_chat_link_length(ngx_chat_reply_t *reply, void *data);


static const ngx_chat_redis_events_t  ngx_chat_link_events = {
    ngx_chat_link_up,
    ngx_chat_link_down,
    ngx_chat_batch,
    ngx_chat_leave_passed
};


ngx_int_t
ngx_chat_link_start(void)
{
    return ngx_chat_redis_start(&ngx_chat_link_events);
}


void
ngx_chat_link_stop(void)
{
    ngx_chat_redis_stop();
}


/* Routes are written again after either connection was lost: without the
 * command connection Redis may have been replaced, without the subscription a
 * KICK may have been missed. */

static void
ngx_chat_link_up(ngx_chat_redis_t *rd)
{
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;

    if (rd->subscriber) {
        edge->revoked_loaded = 0;

        if (!edge->command.up) {
            return;
        }
    }

    ngx_chat_link_tick();
    ngx_chat_route_renew_all();

    if (edge->subscription.up) {
        ngx_chat_link_refresh();
    }
}


static void
ngx_chat_link_down(ngx_chat_redis_t *rd)
{
    ngx_chat_leave_lost();

    if (rd->subscriber) {
        /* Entries published from now on do not arrive here: every session
         * must refresh its list before it trusts a live entry. */
        ngx_chat_edge->generation++;
        ngx_chat_link_refresh();
    }
}


/* Entries and presence updates may have been lost: every session refreshes
 * both, spread over time. */

static void
ngx_chat_link_refresh(void)
{
    ngx_chat_sync_resync_all();
    ngx_chat_presence_refresh_all();
}


/* Once a second, and when a connection has come up. */

void
ngx_chat_link_tick(void)
{
    size_t            lens[5];
    u_char            key[64], from[NGX_INT64_LEN];
    ngx_str_t         name;
    ngx_uint_t        i;
    ngx_time_t       *tp;
    const char       *args[5];
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;

    ngx_chat_redis_check();

    if (!edge->command.up) {
        return;
    }

    ngx_chat_link_announce();

    if (!edge->revoked_loaded && edge->subscription.up) {
        ngx_str_set(&name, CHAT_KEY_REVOKED);

        args[0] = "ZRANGE";
        lens[0] = 6;
        args[1] = CHAT_KEY_REVOKED;
        lens[1] = name.len;
        args[2] = "0";
        lens[2] = 1;
        args[3] = "-1";
        lens[3] = 2;
        args[4] = "WITHSCORES";
        lens[4] = 10;

        (void) ngx_chat_redis_command(&name, ngx_chat_link_revoked,
                                      (void *) (uintptr_t) edge->generation,
                                      5, args, lens);
    }

    /* a worker sends heartbeats only while it has its database */
    ngx_str_set(&name, "workers:message");
    tp = ngx_timeofday();

    args[0] = "ZCOUNT";
    lens[0] = 6;
    args[1] = (char *) name.data;
    lens[1] = name.len;
    args[2] = (char *) from;
    lens[2] = ngx_sprintf(from, "%L", (int64_t) tp->sec * 1000 + tp->msec
                                      - NGX_CHAT_LINK_ALIVE)
              - from;
    args[3] = "+inf";
    lens[3] = 4;

    (void) ngx_chat_redis_command(&name, ngx_chat_link_workers, NULL, 4, args,
                                  lens);

    args[0] = "XLEN";
    lens[0] = 4;
    args[1] = (char *) key;
    name.data = key;

    for (i = 0; i < CHAT_SHARDS; i++) {
        name.len = ngx_sprintf(key, "message.sent:{%ui}", i) - key;
        lens[1] = name.len;

        (void) ngx_chat_redis_command(&name, ngx_chat_link_length,
                                      (void *) (uintptr_t) i, 2, args, lens);
    }
}


/* SET with GET returns the old value: none means that Redis was emptied. */

static void
ngx_chat_link_announce(void)
{
    size_t       lens[6];
    u_char       key[64], pid[NGX_INT64_LEN], ttl[NGX_INT64_LEN];
    ngx_str_t    name;
    const char  *args[6];

    name.data = key;
    name.len = ngx_sprintf(key, "edge:%016xL", ngx_chat_edge->id) - key;

    args[0] = "SET";
    lens[0] = 3;
    args[1] = (char *) key;
    lens[1] = name.len;
    args[2] = (char *) pid;
    lens[2] = ngx_sprintf(pid, "%P", ngx_pid) - pid;
    args[3] = "EX";
    lens[3] = 2;
    args[4] = (char *) ttl;
    lens[4] = ngx_sprintf(ttl, "%d", CHAT_EDGE_TTL) - ttl;
    args[5] = "GET";
    lens[5] = 3;

    (void) ngx_chat_redis_command(&name, ngx_chat_link_announced, NULL, 6,
                                  args, lens);
}


static void
ngx_chat_link_announced(ngx_chat_reply_t *reply, void *data)
{
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;

    if (ngx_chat_reply_failed(reply)) {
        return;
    }

    if (reply->kind == NGX_CHAT_REPLY_NIL && edge->announced) {
        ngx_log_error(NGX_LOG_WARN, edge->log, 0,
                      "chat: the edge's key was missing (Redis emptied, or "
                      "this edge taken for dead): writing %ui routes again",
                      edge->by_id.n);
        edge->revoked_loaded = 0;
        ngx_chat_route_renew_all();
        ngx_chat_link_refresh();
    }

    edge->announced = 1;
}


static void
ngx_chat_link_revoked(ngx_chat_reply_t *reply, void *data)
{
    u_char            *p, *colon, *end;
    uint64_t           user, device;
    ngx_uint_t         i;
    ngx_chat_reply_t   member, score;

    if (reply->kind != NGX_CHAT_REPLY_ARRAY) {
        return;
    }

    /* "0:0" is always there: without it the API worker has not filled the set
     * yet. A reply from before the subscription was lost does not include what
     * was revoked meanwhile. */
    for (i = 0; i + 1 < reply->n; i += 2) {
        ngx_chat_reply_element(reply, i, &member);
        ngx_chat_reply_element(reply, i + 1, &score);

        if (member.kind != NGX_CHAT_REPLY_STRING
            || score.kind != NGX_CHAT_REPLY_STRING)
        {
            continue;
        }

        p = member.text.data;
        end = p + member.text.len;

        if (member.text.len == 3 && ngx_memcmp(p, "0:0", 3) == 0) {
            if ((uintptr_t) data == ngx_chat_edge->generation) {
                ngx_chat_edge->revoked_loaded = 1;
                ngx_chat_edge->revoked_known = 1;
            }

            continue;
        }

        colon = ngx_strlchr(p, end, ':');

        if (colon == NULL
            || chat_num_parse((char *) p, colon - p, &user) != 0
            || chat_num_parse((char *) colon + 1, end - colon - 1, &device)
               != 0)
        {
            continue;
        }

        ngx_chat_auth_revoke(user, device,
                             strtoll((char *) score.text.data, NULL, 10));
        ngx_chat_session_kick(user, device, 0, CHAT_CLOSE_REVOKED);
    }
}


static void
ngx_chat_link_workers(ngx_chat_reply_t *reply, void *data)
{
    if (reply->kind == NGX_CHAT_REPLY_INTEGER) {
        ngx_chat_edge->workers_alive = reply->integer;
    }
}


static void
ngx_chat_link_length(ngx_chat_reply_t *reply, void *data)
{
    ngx_uint_t  shard, full;

    if (reply->kind != NGX_CHAT_REPLY_INTEGER) {
        return;
    }

    shard = (uintptr_t) data;
    full = (ngx_uint_t) reply->integer > ngx_chat_edge->conf->stream_limit;

    if (full && !ngx_chat_edge->full[shard]) {
        ngx_log_error(NGX_LOG_WARN, ngx_chat_edge->log, 0,
                      "chat: stream of shard %ui holds %L entries: sends are "
                      "refused until workers catch up",
                      shard, reply->integer);
    }

    ngx_chat_edge->full[shard] = full;
}
