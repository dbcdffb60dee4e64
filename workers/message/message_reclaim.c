/*
 * message_reclaim.c: processes events that a previous owner may have begun.
 *
 * Called from message_worker.c after shards were taken and after a connection
 * was lost; hands to message_batch.c. An event leaves its stream only when it is
 * done, and an owner processes at most as many as it reads of a stream at once.
 * So only the first MESSAGE_COUNT_MAX entries may have been begun. They are
 * processed before anything else is read.
 *
 * An event that crashes its owners must not do so for ever: after a takeover
 * each attempt is counted in Redis before it begins. Reconnects of the same
 * owner do not count, because the event did not cause them.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_keys.h"
#include "message.h"

static int message_reclaim_shard(message_t *m, unsigned shard);
static int message_reclaim_first(message_t *m, unsigned shard,
    redis_reply_t **first_r);
static int message_reclaim_run(message_t *m, unsigned shard,
    message_item_t *items, size_t n);
static int message_reclaim_attempts(message_t *m, unsigned shard,
    message_item_t *items, size_t n);
static int message_reclaim_count(message_t *m, unsigned shard,
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
    redis_reply_t   *reply;
    message_item_t  *items;

    if (message_reclaim_first(m, shard, &reply) != 0) {
        return -1;
    }

    n = redis_reply_count(reply);
    items = worker_calloc(n + 1, sizeof(*items));

    for (i = 0; i < n; i++) {
        message_item_read(&items[i], shard, redis_reply_at(reply, i));
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
    redis_reply_free(reply);

    return rc != 0 ? rc : message_reclaim_end(m, shard);
}


/* Records this worker as the owner, learns who the previous one was, and reads
 * the first entries. */

static int
message_reclaim_first(message_t *m, unsigned shard, redis_reply_t **first_r)
{
    char            key[REDIS_KEY_SIZE];
    const char     *id;
    redis_reply_t  *owner;

    if (message_redis_drain(m) != 0) {
        return -1;
    }

    redis_key(key, CHAT_KEY_SENT_OWNER, shard);
    redis_append(m->redis, key, "SET %s %s GET", key, m->worker->id);

    redis_key(key, CHAT_KEY_SENT, shard);
    redis_append(m->redis, key, "XRANGE %s - + COUNT %d", key,
                 MESSAGE_COUNT_MAX);

    owner = redis_read(m->redis);

    if (owner == NULL) {
        return message_redis_lost(m, "SET");
    }

    id = redis_reply_text(owner);
    m->shards[shard].others = id == NULL || strcmp(id, m->worker->id) != 0;
    redis_reply_free(owner);

    *first_r = redis_read(m->redis);

    return *first_r != NULL ? 0 : message_redis_lost(m, "XRANGE");
}


/* Events that two owners have begun are processed one at a time, so that one that
 * fails is identified and does not affect the others. */

static int
message_reclaim_run(message_t *m, unsigned shard, message_item_t *items,
    size_t n)
{
    size_t     i, k;
    message_e  e;

    if (message_reclaim_attempts(m, shard, items, n) != 0) {
        return -1;
    }

    for (i = 0; i < n; i = k) {
        k = i + 1;

        while (items[i].failures < 2 && k < n && items[k].failures < 2) {
            k++;
        }

        if (message_reclaim_count(m, shard, &items[i], k - i) != 0) {
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


/* Reads how often each event was begun already. */

static int
message_reclaim_attempts(message_t *m, unsigned shard, message_item_t *items,
    size_t n)
{
    char            key[REDIS_KEY_SIZE];
    size_t          i;
    const char     *count;
    redis_reply_t  *reply;

    redis_key(key, CHAT_KEY_SENT_ATTEMPTS, shard);

    for (i = 0; i < n; i++) {
        redis_append(m->redis, key, "HGET %s %s", key, items[i].id);
    }

    for (i = 0; i < n; i++) {
        reply = redis_read(m->redis);

        if (reply == NULL) {
            return message_redis_lost(m, "HGET");
        }

        count = redis_reply_text(reply);

        if (count != NULL && redis_reply_error(reply) == NULL) {
            items[i].failures = (unsigned) strtoul(count, NULL, 10);
        }

        redis_reply_free(reply);
    }

    return 0;
}


/* Counts the attempt. Redis has confirmed it before the attempt begins, so that
 * the count exists when the event crashes this worker. */

static int
message_reclaim_count(message_t *m, unsigned shard,
    const message_item_t *items, size_t n)
{
    char    key[REDIS_KEY_SIZE];
    size_t  i;

    if (!m->shards[shard].others) {
        return 0;
    }

    redis_key(key, CHAT_KEY_SENT_ATTEMPTS, shard);

    for (i = 0; i < n; i++) {
        redis_append(m->redis, key, "HINCRBY %s %s 1", key, items[i].id);
        m->acks++;
    }

    return message_redis_drain(m);
}


static int
message_reclaim_end(message_t *m, unsigned shard)
{
    char  key[REDIS_KEY_SIZE];

    redis_key(key, CHAT_KEY_SENT_ATTEMPTS, shard);
    redis_append(m->redis, key, "DEL %s", key);
    m->acks++;

    if (message_redis_drain(m) != 0) {
        return -1;
    }

    m->shards[shard].reclaim = 0;

    return 0;
}
