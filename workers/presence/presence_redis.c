/*
 * presence_redis.c: pipelined commands.
 *
 * Called from presence_*.c; hands to workers/redis/. Appended commands are sent
 * with the first read, and every reply is read, in order. An error reply (out
 * of memory, read only) ends the connection: the events of the round stay
 * pending and are processed again.
 */

#include "presence.h"


redis_reply_t *
presence_read(presence_t *p)
{
    redis_reply_t  *reply;

    reply = redis_read(p->redis);
    if (reply == NULL) {
        presence_disconnect(p, redis_error(p->redis));
        return NULL;
    }

    p->outstanding--;

    if (redis_reply_error(reply) != NULL) {
        presence_disconnect(p, redis_reply_error(reply));
        redis_reply_free(reply);
        return NULL;
    }

    return reply;
}


store_e
presence_drain(presence_t *p)
{
    redis_reply_t  *reply;

    while (p->outstanding > 0) {
        reply = presence_read(p);

        if (reply == NULL) {
            return STORE_UNAVAILABLE;
        }

        redis_reply_free(reply);
    }

    return STORE_OK;
}


void
presence_disconnect(presence_t *p, const char *why)
{
    worker_log(WORKER_WARN, "redis lost: %s", why);

    redis_close(&p->redis);
    p->outstanding = 0;
}
