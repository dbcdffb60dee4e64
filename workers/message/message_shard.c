/*
 * message_shard.c: which shards are ours.
 *
 * Called from message_worker.c; hands to store_chat_shard.c and Redis. Owning
 * a shard is holding its lock on the connection that commits. Redis only says
 * who is alive, to share fairly and to cut off who holds locks and does
 * nothing: a stopped process keeps its connection and so its locks.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "chat_keys.h"
#include "message.h"

#define MESSAGE_TAKE_MS    200      /* between looks for free shards        */
#define MESSAGE_CHECK_MS   1000
#define MESSAGE_LINGER_MS   1000     /* a longer turn: were we stopped?      */

static int message_shard_share(const message_t *m);
static int message_shard_take(message_t *m, unsigned share);
static int message_shard_release(message_t *m, unsigned share);
static int message_shard_fence(message_t *m);


int
message_shard_tick(message_t *m)
{
    int64_t   now;
    unsigned  share;

    now = worker_mono_ms();

    /* who was stopped may have been cut off meanwhile: what is another's now
     * need not be begun */
    if (now - m->iterated_at > MESSAGE_LINGER_MS && m->iterated_at != 0
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

    if ((now >= m->heartbeat_at || now >= m->peers_at) && message_heartbeat(m, 1) != 0) {
        return -1;
    }

    if (now >= m->take_at) {
        m->take_at = now + MESSAGE_TAKE_MS;
        share = (unsigned) message_shard_share(m);

        if (m->owned > share && message_shard_release(m, share) != 0) {
            return -1;
        }

        if (m->owned < share && (message_shard_take(m, share) != 0
            || (m->owned < share && message_shard_fence(m) != 0)))
        {
            return -1;
        }
    }

    if (now >= m->check_at) {
        m->check_at = now + MESSAGE_CHECK_MS;

        /* also when there is nothing to write: who waits for us must not
         * learn with the next message that we are away */
        if (store_chat_check(m->store) != STORE_OK) {
            message_store_lost(m);
            return -1;
        }
    }

    return 0;
}


/* The end: what is in flight is settled, then the locks go with the
 * connection, then nobody waits for our heartbeat. */

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

    /* each begins elsewhere, so that two who start together meet late */
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


/* Cuts off who holds locks and has been silent for three seconds. */

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

        worker_log(WORKER_WARN, "shard=%u worker=%s silent: cut off",
                   holders[i].shard, holders[i].worker);

        if (store_shard_cut(m->store, &holders[i]) != STORE_OK) {
            message_store_lost(m);
            return -1;
        }

        /* one connection holds all its locks, and the next look will tell
         * whether it is gone */
        break;
    }

    return 0;
}
