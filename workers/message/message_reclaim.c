/*
 * message_reclaim.c: what a dead owner, or we, left unfinished.
 *
 * Called from message_worker.c after shards were taken, after a connection was
 * lost, and when strays were seen. We are the only owner, so every pending
 * entry of the shard is ours to finish, in order, before new ones are read.
 *
 * The number of deliveries is kept right by hand: it counts owners that died
 * with the entry, and not our own reconnects, for whom the entry is innocent.
 */

#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "chat_keys.h"
#include "message.h"

#define MESSAGE_PENDING_PAGE  128

static int message_reclaim_shard(message_t *m, unsigned shard);
static int message_reclaim_page(message_t *m, unsigned shard,
    const redisReply *pending);
static void message_reclaim_send(message_t *m, unsigned shard,
    const redisReply *p, int ours);
static int message_reclaim_run(message_t *m, message_item_t *items, size_t n);


int
message_reclaim(message_t *m)
{
    unsigned  i;

    for (i = 0; i < CHAT_SHARDS && !worker_stopping; i++) {

        if (m->shards[i].epoch == 0 || !m->shards[i].reclaim) {
            continue;
        }

        if (message_reclaim_shard(m, i) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
message_reclaim_shard(message_t *m, unsigned shard)
{
    int          rc;
    redisReply  *reply;

    while (!worker_stopping) {

        if (message_stream_groups(m, UINT64_C(1) << shard) != 0
            || message_redis_settle(m) != 0)
        {
            return -1;
        }

        reply = redisCommand(m->redis, "XPENDING " CHAT_KEY_SENT " "
                             CHAT_GROUP_SENT " - + %d", shard,
                             MESSAGE_PENDING_PAGE);
        if (reply == NULL) {
            return message_redis_lost(m, "XPENDING");
        }

        if (reply->type == REDIS_REPLY_ERROR) {
            m->shards[shard].group = 0;
            freeReplyObject(reply);
            return 0;
        }

        if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
            freeReplyObject(reply);
            m->shards[shard].reclaim = 0;
            return 0;
        }

        worker_log(WORKER_INFO, "shard=%u pending=%zu", shard,
                   reply->elements);

        rc = message_reclaim_page(m, shard, reply);
        freeReplyObject(reply);

        if (rc != 0 || message_beat_again(m) != 0) {
            return -1;
        }
    }

    return 0;
}


/* Each element of `pending` is [id, consumer, idle, deliveries]. */

static int
message_reclaim_page(message_t *m, unsigned shard, const redisReply *pending)
{
    int                rc, ours;
    size_t             i, n;
    redisReply       **replies;
    message_item_t    *items, *item;
    const redisReply  *p, *r;

    replies = worker_calloc(pending->elements, sizeof(*replies));
    items = worker_calloc(pending->elements, sizeof(*items));

    for (i = 0; i < pending->elements; i++) {
        p = pending->element[i];
        ours = strcmp(p->element[1]->str, m->worker->id) == 0;
        message_reclaim_send(m, shard, p, ours);
    }

    rc = 0;
    n = 0;

    for (i = 0; i < pending->elements; i++) {

        if (redisGetReply(m->redis, (void **) &replies[i]) != REDIS_OK) {
            rc = message_redis_lost(m, "XCLAIM");
            break;
        }

        p = pending->element[i];
        r = replies[i];
        item = &items[n];

        if (r->type != REDIS_REPLY_ARRAY || r->elements == 0
            || message_item_read(item, shard, r->element[0]) != 0)
        {
            /* deleted from the stream: nobody waits for it any more */
            memset(item, 0, sizeof(*item));
            item->shard = shard;
            (void) strncpy(item->id, p->element[0]->str,
                           sizeof(item->id) - 1);
            message_stream_ack(m, item, 1);
            continue;
        }

        ours = strcmp(p->element[1]->str, m->worker->id) == 0;
        item->redo = 1;
        item->failures = (unsigned) p->element[3]->integer
                         - (ours && p->element[3]->integer > 0);
        n++;
    }

    if (rc == 0) {
        rc = message_reclaim_run(m, items, n);
    }

    for (i = 0; i < n; i++) {
        message_item_free(&items[i]);
    }

    for (i = 0; i < pending->elements; i++) {
        freeReplyObject(replies[i]);
    }

    free(items);
    free(replies);

    return rc;
}


static void
message_reclaim_send(message_t *m, unsigned shard, const redisReply *p,
    int ours)
{
    (void) redisAppendCommand(m->redis, "XCLAIM " CHAT_KEY_SENT " "
                              CHAT_GROUP_SENT " %s 0 %s RETRYCOUNT %lld",
                              shard, m->worker->id, p->element[0]->str,
                              (long long) p->element[3]->integer + !ours);
}


/* Those that failed with two owners go one at a time, so that a poisonous one
 * is found and takes nobody with it. */

static int
message_reclaim_run(message_t *m, message_item_t *items, size_t n)
{
    size_t     i, k;
    message_e  e;

    for (i = 0; i < n; i = k) {
        k = i + 1;

        if (items[i].failures >= 2) {
            e = message_process_single(m, &items[i]);

        } else {
            while (k < n && items[k].failures < 2) {
                k++;
            }

            e = message_process(m, &items[i], k - i);
        }

        if (e != MESSAGE_DONE) {
            return -1;
        }

        if (message_beat_again(m) != 0) {
            return -1;
        }
    }

    return message_redis_settle(m);
}
