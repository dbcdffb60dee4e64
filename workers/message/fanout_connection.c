/*
 * fanout_connection.c: a fanout from its creation to its end, and the two
 * connections to Redis that it uses.
 *
 * Called from message_worker.c and message_redis.c; hands to fanout_route.c
 * and fanout_marker.c.
 */

#include <stdlib.h>

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
fanout_open(fanout_t *f, const worker_conf_t *conf, redis_t *redis)
{
    redis_tracking_handler_t  handler;

    fanout_close(f);

    handler.invalid = fanout_route_invalid;
    handler.flushed = fanout_route_flushed;
    handler.data = f;

    f->tracking = redis_tracking_open(redis, conf, &handler);

    if (f->tracking == NULL) {
        return -1;
    }

    f->redis = redis;

    return 0;
}


void
fanout_close(fanout_t *f)
{
    redis_tracking_close(&f->tracking);
    f->redis = NULL;
    f->nsent = 0;
    f->ndead = 0;
    fanout_marker_end(f);
    fanout_route_clear(f);

    if (!f->pending) {
        fanout_reset(f);
    }
}
