/*
 * message_shard.c: which shards this worker owns.
 *
 * Called from message_worker.c; hands to the chat store and
 * message_heartbeat.c. To own a shard is to hold its lock in the store, by the
 * connection that commits. Redis only knows which workers are alive, to share
 * shards evenly and to fence a worker that holds locks and makes no progress: a
 * stopped process keeps its connection and thus its locks.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_keys.h"
#include "message.h"

#define MESSAGE_TAKE_MS    200      /* between attempts to take free shards */
#define MESSAGE_CHECK_MS   1000
#define MESSAGE_STALL_MS   1000     /* after a longer iteration the locks are
                                       checked: the process was stopped?    */

static int message_shard_balance(message_t *m, int64_t now);
static int message_shard_share(const message_t *m);
static int message_shard_take(message_t *m, unsigned share);
static int message_shard_release(message_t *m, unsigned share);
static int message_shard_fence(message_t *m);


int
message_shard_tick(message_t *m)
{
    int64_t  now;

    now = worker_mono_ms();

    /* a process that was stopped may have been fenced meanwhile: it must not
     * begin events that another worker owns now */
    if (now - m->iterated_at > MESSAGE_STALL_MS && m->iterated_at != 0
        && store_chat_check(m->store) != STORE_OK)
    {
        message_store_lost(m);
        return -1;
    }

    m->iterated_at = now;

    if (now < m->heartbeat_at && now < m->peers_at && now < m->take_at
        && now < m->check_at)
    {
        return 0;
    }

    if (message_redis_drain(m) != 0) {
        return -1;
    }

    if (fanout_purge(m->out) != 0) {
        return message_redis_lost(m, "EVAL");
    }

    if ((now >= m->heartbeat_at || now >= m->peers_at)
        && message_heartbeat(m, 1) != 0)
    {
        return -1;
    }

    if (now >= m->take_at && message_shard_balance(m, now) != 0) {
        return -1;
    }

    if (now >= m->check_at) {
        m->check_at = now + MESSAGE_CHECK_MS;

        /* also when idle: a lost connection is detected before the next
         * message has to wait for it */
        if (store_chat_check(m->store) != STORE_OK) {
            message_store_lost(m);
            return -1;
        }
    }

    return 0;
}


/* Releases shards above the fair share, takes free ones up to it. */

static int
message_shard_balance(message_t *m, int64_t now)
{
    unsigned  share;

    m->take_at = now + MESSAGE_TAKE_MS;
    share = (unsigned) message_shard_share(m);

    if (m->owned > share) {
        return message_shard_release(m, share);
    }

    if (m->owned < share && message_shard_take(m, share) != 0) {
        return -1;
    }

    return m->owned < share ? message_shard_fence(m) : 0;
}


/* Shutdown: outstanding replies are read, then the locks end with the
 * connection, then the heartbeat is removed. */

void
message_shard_leave(message_t *m)
{
    if (m->redis != NULL) {
        (void) message_redis_drain(m);
    }

    store_chat_close(m->store);
    message_shard_drop_all(m);

    message_heartbeat_end(m);
    message_heartbeat_free(m);
}


static int
message_shard_share(const message_t *m)
{
    unsigned  alive;

    alive = m->alive ? m->alive : 1;

    return (int) ((CHAT_SHARDS + alive - 1) / alive);
}


static int
message_shard_take(message_t *m, unsigned share)
{
    size_t    n;
    unsigned  i, from, shard, shards[CHAT_SHARDS];
    uint64_t  epochs[CHAT_SHARDS];

    memset(epochs, 0, sizeof(epochs));

    /* each worker starts at another shard, so that two rarely compete */
    from = (unsigned) (worker_mono_ms() ^ (int64_t) (uintptr_t) m >> 4
                       ^ m->worker->id[strlen(m->worker->id) - 1]);

    for (n = 0, i = 0; i < CHAT_SHARDS; i++) {
        shard = (from + i) % CHAT_SHARDS;

        if (m->shards[shard].epoch == 0) {
            shards[n++] = shard;
        }
    }

    if (store_shard_take(m->store, shards, n, share - m->owned, m->worker->id,
                         epochs) != STORE_OK)
    {
        message_store_lost(m);
        return -1;
    }

    for (n = 0, i = 0; i < CHAT_SHARDS; i++) {

        if (epochs[i] != 0) {
            m->shards[i].epoch = epochs[i];
            m->shards[i].reclaim = 1;
            m->owned++;
            n++;
        }
    }

    if (n > 0) {
        worker_log(WORKER_INFO, "shards taken=%zu owned=%u alive=%u", n,
                   m->owned, m->alive);
    }

    return 0;
}


static int
message_shard_release(message_t *m, unsigned share)
{
    size_t    n;
    unsigned  i, shards[CHAT_SHARDS];

    for (n = 0, i = CHAT_SHARDS; i > 0 && m->owned > share; i--) {

        if (m->shards[i - 1].epoch != 0) {
            m->shards[i - 1].epoch = 0;
            m->owned--;
            message_cache_drop_shard(m->cache, i - 1);
            shards[n++] = i - 1;
        }
    }

    if (store_shard_release(m->store, shards, n) != STORE_OK) {
        message_store_lost(m);
        return -1;
    }

    worker_log(WORKER_INFO, "shards released=%zu owned=%u alive=%u", n,
               m->owned, m->alive);

    return 0;
}


/* Fences a worker that holds locks and whose heartbeat has expired. */

static int
message_shard_fence(message_t *m)
{
    size_t                i, n;
    store_shard_holder_t  holders[CHAT_SHARDS];

    if (store_shard_holders(m->store, holders, &n) != STORE_OK) {
        message_store_lost(m);
        return -1;
    }

    for (i = 0; i < n; i++) {

        if (strcmp(holders[i].worker, m->worker->id) == 0
            || !message_heartbeat_expired(m, holders[i].worker))
        {
            continue;
        }

        worker_log(WORKER_WARN, "shard=%u worker=%s has no heartbeat: fenced",
                   holders[i].shard, holders[i].worker);

        if (store_shard_cut(m->store, &holders[i]) != STORE_OK) {
            message_store_lost(m);
            return -1;
        }

        /* one connection holds all locks of a worker; the next check shows
         * whether they are free */
        break;
    }

    return 0;
}
