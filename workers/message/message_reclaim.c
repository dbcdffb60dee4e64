/*
 * message_reclaim.c: what a dead owner, or we, may have begun.
 *
 * Called from message_worker.c after shards were taken and after a connection
 * was lost. An event leaves its stream only when it is done, and an owner has
 * no more in hand than it reads of a stream at once: so what may have been
 * begun are the first MESSAGE_COUNT_MAX entries that are there. They are done, again
 * or at last, before anything else is read.
 *
 * An entry that kills its owners must not go on for ever: what is begun after
 * another owner's end is counted in Redis first. Our own reconnects do not
 * count, for them the entry is innocent.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "chat_keys.h"
#include "message.h"

static int message_reclaim_shard(message_t *m, unsigned shard);
static int message_reclaim_first(message_t *m, unsigned shard,
    redisReply **first_r);
static int message_reclaim_run(message_t *m, unsigned shard,
    message_item_t *items, size_t n);
static int message_reclaim_tried(message_t *m, unsigned shard,
    message_item_t *items, size_t n);
static int message_reclaim_try(message_t *m, unsigned shard,
    const message_item_t *items, size_t n);
static int message_reclaim_end(message_t *m, unsigned shard);


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
    int              rc;
    size_t           i, n;
    redisReply      *reply;
    message_item_t  *items;

    if (message_reclaim_first(m, shard, &reply) != 0) {
        return -1;
    }

    n = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
    items = worker_calloc(n + 1, sizeof(*items));

    for (i = 0; i < n; i++) {
        message_item_read(&items[i], shard, reply->element[i]);
        items[i].redo = 1;
    }

    rc = 0;

    if (n > 0) {
        worker_log(WORKER_INFO, "shard=%u begun=%zu others=%u", shard, n,
                   m->shards[shard].others);
        rc = message_reclaim_run(m, shard, items, n);
    }

    for (i = 0; i < n; i++) {
        message_item_free(&items[i]);
    }

    free(items);
    freeReplyObject(reply);

    return rc != 0 ? rc : message_reclaim_end(m, shard);
}


/* Says that the shard is ours, and sees whose it was; the first entries. */

static int
message_reclaim_first(message_t *m, unsigned shard, redisReply **first_r)
{
    redisReply  *owner;

    if (message_redis_drain(m) != 0) {
        return -1;
    }

    (void) redisAppendCommand(m->redis, "SET " CHAT_KEY_SENT_OWNER " %s GET",
                              shard, m->worker->id);
    (void) redisAppendCommand(m->redis, "XRANGE " CHAT_KEY_SENT
                              " - + COUNT %d", shard, MESSAGE_COUNT_MAX);

    if (redisGetReply(m->redis, (void **) &owner) != REDIS_OK) {
        return message_redis_lost(m, "SET");
    }

    m->shards[shard].others = owner->type != REDIS_REPLY_STRING
                              || strcmp(owner->str, m->worker->id) != 0;
    freeReplyObject(owner);

    if (redisGetReply(m->redis, (void **) first_r) != REDIS_OK) {
        return message_redis_lost(m, "XRANGE");
    }

    return 0;
}


/* Those that were begun by two owners go one at a time, so that a poisonous one
 * is found and takes nobody with it. */

static int
message_reclaim_run(message_t *m, unsigned shard, message_item_t *items,
    size_t n)
{
    size_t     i, k;
    message_e  e;

    if (message_reclaim_tried(m, shard, items, n) != 0) {
        return -1;
    }

    for (i = 0; i < n; i = k) {
        k = i + 1;

        while (items[i].failures < 2 && k < n && items[k].failures < 2) {
            k++;
        }

        if (message_reclaim_try(m, shard, &items[i], k - i) != 0) {
            return -1;
        }

        e = items[i].failures >= 2 ? message_process_single(m, &items[i])
                                   : message_process(m, &items[i], k - i);

        if (e != MESSAGE_DONE || message_heartbeat_renew(m) != 0) {
            return -1;
        }
    }

    return 0;
}


/* How often each was begun already. */

static int
message_reclaim_tried(message_t *m, unsigned shard, message_item_t *items,
    size_t n)
{
    size_t       i;
    redisReply  *reply;

    for (i = 0; i < n; i++) {
        (void) redisAppendCommand(m->redis, "HGET " CHAT_KEY_SENT_ATTEMPTS " %s",
                                  shard, items[i].id);
    }

    for (i = 0; i < n; i++) {

        if (redisGetReply(m->redis, (void **) &reply) != REDIS_OK) {
            return message_redis_lost(m, "HGET");
        }

        if (reply->type == REDIS_REPLY_STRING) {
            items[i].failures = (unsigned) strtoul(reply->str, NULL, 10);
        }

        freeReplyObject(reply);
    }

    return 0;
}


/* Settled before they are begun, so that it is there when they kill us. */

static int
message_reclaim_try(message_t *m, unsigned shard, const message_item_t *items,
    size_t n)
{
    size_t  i;

    if (!m->shards[shard].others) {
        return 0;
    }

    for (i = 0; i < n; i++) {
        (void) redisAppendCommand(m->redis, "HINCRBY " CHAT_KEY_SENT_ATTEMPTS
                                  " %s 1", shard, items[i].id);
        m->acks++;
    }

    return message_redis_drain(m);
}


static int
message_reclaim_end(message_t *m, unsigned shard)
{
    (void) redisAppendCommand(m->redis, "DEL " CHAT_KEY_SENT_ATTEMPTS, shard);
    m->acks++;

    if (message_redis_drain(m) != 0) {
        return -1;
    }

    m->shards[shard].reclaim = 0;

    return 0;
}
