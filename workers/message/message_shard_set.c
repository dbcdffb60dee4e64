/*
 * message_shard_set.c: the set of owned shards, as this process believes it.
 *
 * Called from message_worker.c, message_shard.c and message_unavailable.c;
 * memory only.
 */

#include "message.h"


void
message_shard_drop_all(message_t *m)
{
    unsigned  i;

    for (i = 0; i < CHAT_SHARDS; i++) {
        m->shards[i].epoch = 0;
        m->shards[i].reclaim = 1;
    }

    m->owned = 0;
    m->take_at = 0;

    message_cache_free(&m->cache);
    m->cache = message_cache_new(MESSAGE_CACHE_MAX);
}


uint64_t
message_shard_mask(const message_t *m)
{
    unsigned  i;
    uint64_t  mask;

    for (mask = 0, i = 0; i < CHAT_SHARDS; i++) {
        if (m->shards[i].epoch != 0) {
            mask |= UINT64_C(1) << i;
        }
    }

    return mask;
}
