/*
 * message_redis.c: the worker's connection to Redis.
 *
 * Called from message_*.c; hands to hiredis and fanout_route.c. One connection
 * for streams and publishing, so that XDEL of a batch is behind its PUBLISH
 * whatever happens to the connection in between.
 */

#include <string.h>

#include <hiredis/hiredis.h>

#include "message_feed.h"

#define MESSAGE_REDIS_MS  5000      /* limit of one reply                   */


int
message_redis_open(message_t *m)
{
    unsigned  i;

    if (m->redis != NULL) {
        return 0;
    }

    m->redis = worker_redis_connect(m->worker->conf, MESSAGE_REDIS_MS);

    if (m->redis == NULL
        || fanout_open(m->out, m->worker->conf, m->redis) != 0)
    {
        message_redis_close(m);
        worker_sleep(worker_backoff(m->redis_n++, 50, 1000));
        return -1;
    }

    m->redis_n = 0;
    m->heartbeat_at = 0;

    /* what was in hand when the connection broke is there */
    for (i = 0; i < CHAT_SHARDS; i++) {
        m->shards[i].reclaim = 1;
    }

    return 0;
}


void
message_redis_close(message_t *m)
{
    fanout_close(m->out);

    if (m->redis != NULL) {
        redisFree(m->redis);
    }

    m->redis = NULL;
    m->acks = 0;
}


int
message_redis_lost(message_t *m, const char *what)
{
    worker_log(WORKER_WARN, "redis lost: %s: %s", what,
               m->redis && m->redis->err ? m->redis->errstr : "no answer");
    message_redis_close(m);

    return -1;
}


int
message_redis_drain(message_t *m)
{
    redisReply  *reply;

    for ( /* void */ ; m->acks > 0; m->acks--) {

        if (redisGetReply(m->redis, (void **) &reply) != REDIS_OK) {
            return message_redis_lost(m, "XDEL");
        }

        if (reply->type == REDIS_REPLY_ERROR) {
            message_feed_refused(m, reply->str);
        }

        freeReplyObject(reply);
    }

    return 0;
}
