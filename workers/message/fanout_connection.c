/*
 * fanout_connection.c: a fanout from its creation to its end, and the two
 * connections to Redis that it uses.
 *
 * Called from message_worker.c and message_redis.c; hands to fanout_route.c
 * and fanout_marker.c.
 */

#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "fanout_private.h"


fanout_t *
fanout_new(void)
{
    return worker_calloc(1, sizeof(fanout_t));
}


void
fanout_free(fanout_t **fp)
{
    fanout_t       *f;
    fanout_edge_t  *edge, *next;

    f = *fp;

    if (f == NULL) {
        return;
    }

    fanout_close(f);

    HASH_ITER(hh, f->edges, edge, next) {
        HASH_DELETE(hh, f->edges, edge);
        chat_buf_free(&edge->buf);
        chat_buf_free(&edge->targets);
        free(edge);
    }

    chat_buf_free(&f->text);
    free(f->outs);
    free(f->users);
    free(f->online);
    free(f->marked);
    free(f->removed);
    free(f->touched);
    free(f->missing);
    free(f->sent);
    free(f->dead);
    free(f);
    *fp = NULL;
}


int
fanout_open(fanout_t *f, const worker_conf_t *conf, redisContext *redis)
{
    long long    id;
    redisReply  *reply;

    fanout_close(f);

    f->inval = worker_redis_connect(conf, 2000);

    if (f->inval == NULL) {
        return -1;
    }

    reply = redisCommand(f->inval, "CLIENT ID");
    if (reply == NULL || reply->type != REDIS_REPLY_INTEGER) {
        goto failed;
    }

    id = reply->integer;
    freeReplyObject(reply);

    reply = redisCommand(f->inval, "SUBSCRIBE __redis__:invalidate");
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
        goto failed;
    }

    freeReplyObject(reply);

    reply = redisCommand(redis, "CLIENT TRACKING ON REDIRECT %lld OPTIN NOLOOP",
                         id);
    if (reply == NULL || reply->type != REDIS_REPLY_STATUS) {
        goto failed;
    }

    freeReplyObject(reply);
    f->redis = redis;

    return 0;

failed:

    worker_log(WORKER_WARN, "redis: tracking cannot be turned on%s%s",
               reply && reply->type == REDIS_REPLY_ERROR ? ": " : "",
               reply && reply->type == REDIS_REPLY_ERROR ? reply->str : "");
    freeReplyObject(reply);
    fanout_close(f);

    return -1;
}


void
fanout_close(fanout_t *f)
{
    if (f->inval != NULL) {
        redisFree(f->inval);
    }

    f->inval = NULL;
    f->redis = NULL;
    f->nsent = 0;
    f->ndead = 0;
    fanout_marker_end(f);
    fanout_route_clear(f);

    if (!f->pending) {
        fanout_reset(f);
    }
}
