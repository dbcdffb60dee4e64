/*
 * fanout_purge.c: the routes of edges that died.
 *
 * Called from message_shard.c between batches; hands to Redis. A PUBLISH that
 * reached nobody named the edge.
 */

#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "chat_keys.h"
#include "fanout_private.h"

/* fields of a route, deleted only while they still say what we saw, and while
 * the edge is gone: one that is back has written its routes anew */
static const char  fanout_purge_script[] =
    "if redis.call('EXISTS', KEYS[2]) == 0 "
    "and redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then "
    "redis.call('HDEL', KEYS[1], ARGV[1]) " CHAT_ROUTE_LUA_END " end return 0";

static int fanout_purge_edge(fanout_t *f, uint64_t edge);


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


/* An edge whose heartbeat is there has only lost its subscription: it will
 * resync, and its routes are right. */

static int
fanout_purge_edge(fanout_t *f, uint64_t id)
{
    int              ours;
    size_t           i, n;
    redisReply      *reply;
    fanout_edge_t   *edge;
    fanout_route_t  *route, *next;

    reply = redisCommand(f->redis, "EXISTS " CHAT_KEY_EDGE, id);

    if (reply == NULL) {
        return -1;
    }

    n = reply->type == REDIS_REPLY_INTEGER ? (size_t) reply->integer : 1;
    freeReplyObject(reply);

    if (n != 0) {
        return 0;
    }

    worker_log(WORKER_INFO, "edge=%016" PRIx64 " dead: its routes go", id);

    HASH_ITER(hh, f->routes, route, next) {

        for (ours = 0, i = 0; i < route->n; i++) {

            if (route->sessions[i].edge == id) {
                (void) redisAppendCommand(f->redis, "EVAL %s 2 "
                                          CHAT_KEY_ROUTE " " CHAT_KEY_EDGE
                                          " %" PRIu64
                                          " %016" PRIx64 ":%" PRIu64,
                                          fanout_purge_script, route->user, id,
                                          route->sessions[i].device, id,
                                          route->sessions[i].session);
                ours = 1;
                n++;
            }
        }

        if (ours) {
            fanout_route_evict(f, route->user);
        }
    }

    for ( /* void */ ; n > 0; n--) {

        if (redisGetReply(f->redis, (void **) &reply) != REDIS_OK) {
            return -1;
        }

        freeReplyObject(reply);
    }

    HASH_FIND(hh, f->edges, &id, sizeof(id), edge);

    if (edge != NULL) {
        HASH_DELETE(hh, f->edges, edge);
        chat_buf_free(&edge->buf);
        chat_buf_free(&edge->targets);
        free(edge);
    }

    return 0;
}
