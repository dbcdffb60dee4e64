/*
 * feed_read.c: what is new, and what a dead consumer has left.
 *
 * Called from roles. Hands to workers/redis/ and feed_batch.c.
 */

#include <stdio.h>
#include <string.h>

#include "feed_private.h"

static int feed_claim(feed_t *feed, feed_batch_t *batch);
static void feed_linger(feed_t *feed);
static int feed_new(feed_t *feed, int block_ms, feed_batch_t *batch);
static int feed_no_group(const redis_reply_t *reply);


int
feed_read(feed_t *feed, int block_ms, feed_batch_t *batch_r)
{
    memset(batch_r, 0, sizeof(*batch_r));

    if (feed_connect(feed) != 0 || feed_heartbeat(feed) != 0
        || feed_claim(feed, batch_r) != 0)
    {
        return -1;
    }

    if (batch_r->nids == 0) {
        feed_linger(feed);

        if (feed_new(feed, block_ms, batch_r) != 0) {
            return -1;
        }
    }

    feed->pending += batch_r->nids;

    return 0;
}


/* Entries of this role that are pending for long, whoever read them: the
 * consumer has died, or is so slow that another tries. */

static int
feed_claim(feed_t *feed, feed_batch_t *batch)
{
    int             lost;
    int64_t         now;
    unsigned        i;
    redis_reply_t  *reply;

    now = worker_mono_ms();

    if (now < feed->claim_at) {
        return 0;
    }

    feed->claim_at = now + FEED_CLAIM_MS;

    for (i = 0; i < CHAT_SHARDS; i++) {
        redis_append(feed->redis, feed->keys[i],
                     "XAUTOCLAIM %s %s %s " FEED_IDLE_MS " 0-0 COUNT %d",
                     feed->keys[i], feed->role, feed->consumer, FEED_COUNT);
    }

    lost = 0;

    for (i = 0; i < CHAT_SHARDS; i++) {
        reply = redis_read(feed->redis);

        if (reply == NULL) {
            return feed_lost(feed, "XAUTOCLAIM");
        }

        lost |= feed_no_group(reply);

        (void) feed_batch_entries(batch, i, redis_reply_at(reply, 1));
        feed_batch_hold(batch, reply);
    }

    if (batch->nids > 0) {
        worker_log(WORKER_INFO, "feed: role=%s claimed=%zu", feed->role,
                   batch->nids);
        feed->claim_at = now;       /* there may be more */
    }

    return lost ? feed_register(feed) : 0;
}


static void
feed_linger(feed_t *feed)
{
    int64_t  passed;

    passed = worker_mono_ms() - feed->read_at;

    if (!feed->full && feed->read_at != 0 && passed < FEED_LINGER_MS) {
        worker_sleep((int) (FEED_LINGER_MS - passed));
    }
}


static int
feed_new(feed_t *feed, int block_ms, feed_batch_t *batch)
{
    size_t                most;
    unsigned              i;
    redis_reply_t        *reply;
    redis_stream_t        streams[CHAT_SHARDS];
    redis_read_streams_t  read;

    for (i = 0; i < CHAT_SHARDS; i++) {
        streams[i].key = feed->keys[i];
        streams[i].after = ">";
    }

    memset(&read, 0, sizeof(read));
    read.streams = streams;
    read.n = CHAT_SHARDS;
    read.count = FEED_COUNT;
    read.block_ms = block_ms < 1 ? 1
                    : block_ms > FEED_BLOCK_MAX ? FEED_BLOCK_MAX : block_ms;
    read.group = feed->role;
    read.consumer = feed->consumer;

    reply = redis_streams_read(feed->redis, &read);
    if (reply == NULL) {
        return feed_lost(feed, "XREADGROUP");
    }

    if (redis_reply_error(reply) != NULL) {
        worker_log(WORKER_WARN, "feed: redis refuses XREADGROUP: %s",
                   redis_reply_error(reply));

        /* Redis was emptied, or somebody has dropped the role */
        if (feed_no_group(reply)) {
            redis_reply_free(reply);
            return feed_register(feed);
        }

        redis_reply_free(reply);
        worker_sleep(200);

        return 0;
    }

    most = feed_batch_streams(batch, reply);

    if (most > 0) {
        feed->read_at = worker_mono_ms();
        feed->full = most >= FEED_COUNT;
    }

    return 0;
}


static int
feed_no_group(const redis_reply_t *reply)
{
    const char  *error;

    error = redis_reply_error(reply);

    return error != NULL && strncmp(error, "NOGROUP", 7) == 0;
}
