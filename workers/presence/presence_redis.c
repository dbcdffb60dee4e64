/*
 * presence_redis.c: commands in a pipeline.
 *
 * Called from presence_*.c; hands to hiredis. What is queued goes out with the
 * first reply that is asked for, and every reply is taken, in order. An error
 * among them (out of memory, read only) ends the connection: the events of the
 * round stay pending and are done again.
 */

#include "presence.h"


void
presence_queue(presence_t *p, const char *fmt, ...)
{
    int      rc;
    va_list  args;

    va_start(args, fmt);
    rc = redisvAppendCommand(p->redis, fmt, args);
    va_end(args);

    if (rc != REDIS_OK) {
        worker_die("redis command: %s", p->redis->errstr);
    }

    p->queued++;
}


redisReply *
presence_reply(presence_t *p)
{
    redisReply  *reply;

    if (redisGetReply(p->redis, (void **) &reply) != REDIS_OK) {
        presence_lost(p, p->redis->errstr);
        return NULL;
    }

    p->queued--;

    if (reply->type == REDIS_REPLY_ERROR) {
        presence_lost(p, reply->str);
        freeReplyObject(reply);
        return NULL;
    }

    return reply;
}


/* Replies that say nothing but that it was done. */

store_e
presence_drain(presence_t *p)
{
    redisReply  *reply;

    while (p->queued > 0) {
        reply = presence_reply(p);

        if (reply == NULL) {
            return STORE_UNAVAILABLE;
        }

        freeReplyObject(reply);
    }

    return STORE_OK;
}


void
presence_lost(presence_t *p, const char *why)
{
    worker_log(WORKER_WARN, "redis lost: %s", why);

    redisFree(p->redis);
    p->redis = NULL;
    p->queued = 0;
}
