/*
 * message_redis.c: the worker's connection to Redis.
 *
 * Called from message_*.c; hands to workers/redis/ and fanout_connection.c.
 * Streams and publishing share one connection, so that the XDEL of a batch
 * follows its PUBLISH whatever happens to the connection in between.
 */

#include <string.h>

#include "message_feed.h"

#define MESSAGE_REDIS_MS  5000      /* limit of one reply                   */


int
message_redis_open(message_t *m)
{
    unsigned  i;

    if (m->redis != NULL) {
        return 0;
    }

    m->redis = redis_connect(m->worker->conf, MESSAGE_REDIS_MS);

    if (m->redis == NULL
        || fanout_open(m->out, m->worker->conf, m->redis) != 0)
    {
        message_redis_close(m);
        worker_sleep(worker_backoff(m->redis_n++, 50, 1000));
        return -1;
    }

    m->redis_n = 0;
    m->heartbeat_at = 0;

    /* what was in progress when the connection broke is still in its stream */
    for (i = 0; i < CHAT_SHARDS; i++) {
        m->shards[i].reclaim = 1;
    }

    return 0;
}


void
message_redis_close(message_t *m)
{
    fanout_close(m->out);

    redis_close(&m->redis);
    m->acks = 0;
}


int
message_redis_lost(message_t *m, const char *what)
{
    worker_log(WORKER_WARN, "redis lost: %s: %s", what,
               m->redis ? redis_error(m->redis) : "not connected");
    message_redis_close(m);

    return -1;
}


int
message_redis_drain(message_t *m)
{
    const char     *error;
    redis_reply_t  *reply;

    for ( /* void */ ; m->acks > 0; m->acks--) {
        reply = redis_read(m->redis);

        if (reply == NULL) {
            return message_redis_lost(m, "XDEL");
        }

        error = redis_reply_error(reply);

        if (error != NULL) {
            message_feed_refused(m, error);
        }

        redis_reply_free(reply);
    }

    return 0;
}
