/*
 * fanout_purge.c: deletes the routes of edges that died.
 *
 * Called from message_shard.c between batches; hands to workers/redis/. An edge
 * is a candidate when a PUBLISH to it had no receiver.
 */

#include <stdlib.h>

#include "chat_keys.h"
#include "fanout_private.h"

static int fanout_purge_edge(fanout_t *f, uint64_t id);
static int fanout_edge_exists(fanout_t *f, const char *key);
static size_t fanout_purge_route(fanout_t *f, fanout_route_t *route,
    uint64_t edge);
static void fanout_edge_remove(fanout_t *f, uint64_t id);


int
fanout_purge(fanout_t *f)
{
    size_t  i;

    for (i = 0; i < f->ndead; i++) {
        if (fanout_purge_edge(f, f->dead[i]) != 0) {
            return -1;
        }
    }

    f->ndead = 0;

    return 0;
}


/* An edge whose heartbeat key exists has only lost its subscription: it will
 * resync, and its routes are valid. */

static int
fanout_purge_edge(fanout_t *f, uint64_t id)
{
    int              exists;
    char             key[REDIS_KEY_SIZE];
    size_t           n, deleted;
    redis_reply_t   *reply;
    fanout_route_t  *route, *next;

    exists = fanout_edge_exists(f, redis_key(key, CHAT_KEY_EDGE, id));
    if (exists != 0) {
        return exists < 0 ? -1 : 0;
    }

    worker_log(WORKER_INFO, "edge=%016" PRIx64 " is dead: its routes are "
               "deleted", id);

    n = 0;

    HASH_ITER(hh, f->routes, route, next) {
        deleted = fanout_purge_route(f, route, id);

        if (deleted != 0) {
            n += deleted;
            fanout_route_evict(f, route->user);
        }
    }

    /* after the deletions, see CHAT_ROUTE_LUA_PURGE */
    redis_append(f->redis, key, "DEL %s", key);

    for (n++; n > 0; n--) {
        reply = redis_read(f->redis);

        if (reply == NULL) {
            return -1;
        }

        redis_reply_free(reply);
    }

    fanout_edge_remove(f, id);

    return 0;
}


/* 1, 0, or -1 when Redis was lost. An edge counts as existing unless Redis says
 * otherwise. */

static int
fanout_edge_exists(fanout_t *f, const char *key)
{
    int64_t         n;
    redis_reply_t  *reply;

    reply = redis_call(f->redis, key, "EXISTS %s", key);

    if (reply == NULL) {
        return -1;
    }

    if (redis_reply_integer(reply, &n) != 0) {
        n = 1;
    }

    redis_reply_free(reply);

    return n != 0;
}


/* Appends the deletion of the edge's sessions from a route; how many. */

static size_t
fanout_purge_route(fanout_t *f, fanout_route_t *route, uint64_t edge)
{
    char               key[REDIS_KEY_SIZE];
    size_t             i, n;
    fanout_session_t  *session;

    for (n = 0, i = 0; i < route->n; i++) {
        session = &route->sessions[i];

        if (session->edge == edge) {
            redis_key(key, CHAT_KEY_ROUTE, route->user);
            redis_append(f->redis, key, "EVAL %s 1 %s %" PRIu64 " %016" PRIx64
                         ":%" PRIu64, CHAT_ROUTE_LUA_PURGE, key,
                         session->device, edge, session->session);
            n++;
        }
    }

    return n;
}


static void
fanout_edge_remove(fanout_t *f, uint64_t id)
{
    fanout_edge_t  *edge;

    HASH_FIND(hh, f->edges, &id, sizeof(id), edge);

    if (edge != NULL) {
        HASH_DELETE(hh, f->edges, edge);
        chat_buf_free(&edge->buf);
        chat_buf_free(&edge->targets);
        free(edge);
    }
}
