/*
 * fanout_publish.c: one PUBLISH per edge and batch.
 *
 * Called from message_batch.c after the commit; hands to workers/redis/. The
 * records are built in fanout_build.c.
 */

#include <string.h>

#include "chat_keys.h"
#include "fanout_private.h"

#define FANOUT_ROUNDS  50

static int fanout_send(fanout_t *f);
static void fanout_send_edge(fanout_t *f, fanout_edge_t *edge);
static int fanout_read_replies(fanout_t *f);
static int fanout_needs_routes(const fanout_t *f);


int
fanout_publish(fanout_t *f)
{
    f->republishing = 0;

    if (fanout_route_drain(f) != 0) {
        return -1;
    }

    f->stale = 0;

    return fanout_send(f);
}


int
fanout_confirm(fanout_t *f)
{
    int       rc;
    unsigned  round;

    rc = fanout_read_replies(f);

    /* a route does not change that often within milliseconds: the limit bounds
     * unknown causes */
    for (round = 0; rc == 0 && round < FANOUT_ROUNDS; round++) {

        if (fanout_needs_routes(f)) {
            rc = fanout_route_drain(f);
        }

        fanout_marker_end(f);

        if (rc != 0 || !f->stale) {
            break;
        }

        f->stale = 0;
        f->republishing = 1;
        rc = fanout_send(f) != 0 || fanout_read_replies(f) != 0 ? -1 : 0;
    }

    if (round == FANOUT_ROUNDS) {
        worker_log(WORKER_WARN, "routes are still stale after %u rounds", round);
        rc = -1;
    }

    f->stale = 0;

    if (rc == 0) {
        f->pending = 0;
        fanout_reset(f);
        fanout_route_trim(f);
    }

    return rc;
}


void
fanout_set_pending(fanout_t *f)
{
    f->pending = 1;
}


int
fanout_flush(fanout_t *f)
{
    size_t  i;

    if (!f->pending) {
        return 0;
    }

    for (i = 0; i < f->nouts; i++) {
        if (f->outs[i].rec.type == CHAT_REC_ENTRY) {
            f->outs[i].rec.flags |= CHAT_REC_F_REDO;
        }
    }

    return fanout_publish(f) != 0 || fanout_confirm(f) != 0 ? -1 : 0;
}


static int
fanout_send(fanout_t *f)
{
    fanout_edge_t  *edge, *next;

    fanout_request_routes(f);

    if (fanout_route_fetch(f) != 0) {
        return -1;
    }

    fanout_build(f);

    HASH_ITER(hh, f->edges, edge, next) {
        if (edge->buf.len != 0) {
            fanout_send_edge(f, edge);
        }
    }

    fanout_marker_send(f);

    return f->nsent + f->nremoved == 0 ? 0 : redis_flush(f->redis);
}


static void
fanout_send_edge(fanout_t *f, fanout_edge_t *edge)
{
    char         channel[REDIS_KEY_SIZE];
    size_t       lengths[3];
    const char  *argv[3];

    if (edge->buf.failed) {
        worker_die("out of memory");
    }

    argv[0] = "PUBLISH";
    lengths[0] = 7;
    argv[1] = redis_key(channel, CHAT_CHANNEL_EDGE, edge->id);
    lengths[1] = strlen(channel);
    argv[2] = (const char *) edge->buf.data;
    lengths[2] = edge->buf.len;

    redis_append_argv(f->redis, channel, 3, argv, lengths);

    WORKER_GROW(f->sent, f->nsent, f->sent_max);
    f->sent[f->nsent++] = edge->id;

    chat_buf_reset(&edge->buf);
}


static int
fanout_read_replies(fanout_t *f)
{
    size_t          i;
    int64_t         receivers;
    redis_reply_t  *reply;

    for (i = 0; i < f->nsent; i++) {
        reply = redis_read(f->redis);

        if (reply == NULL) {
            return -1;
        }

        if (redis_reply_integer(reply, &receivers) == 0 && receivers == 0) {
            WORKER_GROW(f->dead, f->ndead, f->dead_max);
            f->dead[f->ndead++] = f->sent[i];
        }

        redis_reply_free(reply);
    }

    f->nsent = 0;

    return fanout_marker_read_replies(f);
}


static int
fanout_needs_routes(const fanout_t *f)
{
    size_t  i;

    for (i = 0; i < f->nouts; i++) {
        if (f->outs[i].who != FANOUT_ONE) {
            return 1;
        }
    }

    return 0;
}
