/*
 * store_shards.h: the current owners of the shards, for display.
 *
 * Called from ctl_status.c. Hands to the
 * implementation that `chat_store` names.
 */

#ifndef STORE_SHARDS_H
#define STORE_SHARDS_H

#include <stdint.h>

#include "chat_proto.h"
#include "store_read.h"

typedef struct {
    uint64_t  epoch;                /* 0: never acquired                    */
    int64_t   since;                /* ms since 1970                        */
    int       held;                 /* its lock is held now                 */
    char      worker[64];
} store_shard_t;

store_e store_shards_read(store_reader_t *reader,
    store_shard_t list_r[CHAT_SHARDS]);

#endif
