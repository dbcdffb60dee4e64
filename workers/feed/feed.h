/*
 * feed.h: the feed of committed entries, as a consumer reads it.
 *
 * Called from roles that act on what was committed (push, search, webhooks)
 * and from chatctl. Hands to workers/redis/. Contract and limits: docs/feed.md.
 *
 * Delivery is at least once: a record may come again, after a crash or a claim
 * also behind later ones. A consumer is idempotent by (chat, seq). What the
 * feed has lost, because Redis was emptied or feed_limit was reached, shows as
 * a gap in the seqs of a chat and is read from the store.
 *
 * feed.c        connects, registers, unregisters, acknowledges
 * feed_read.c   reads what is new, claims what a dead consumer left
 * feed_batch.c  replies of Redis as records
 */

#ifndef FEED_H
#define FEED_H

#include <stddef.h>
#include <stdint.h>

#include "chat_committed.h"
#include "redis.h"
#include "worker.h"

typedef struct feed_s  feed_t;

typedef struct {
    chat_committed_t   rec;
    unsigned           shard;
} feed_record_t;

/* What one feed_read() has returned. A stream entry holds the records of one
 * transaction and is acknowledged as a whole. */
typedef struct {
    feed_record_t     *records;     /* borrowed from the batch              */
    size_t             n;
    /* private */
    size_t             max;
    struct feed_id_s  *ids;         /* stream entries                       */
    size_t             nids, ids_max;
    redis_reply_t    **replies;
    size_t             nreplies;
} feed_batch_t;

/* 1 when `role` may be the name of a role: 1 to CHAT_FEED_ROLE_MAX of a-z 0-9
 * . _ - */
int feed_role_valid(const char *role);

/* A consumer of `role`; `consumer` is a name that no other process has, such as
 * worker_t.id. All consumers of a role share its records, each role gets every
 * record. Both are copied, `conf` is borrowed. Connects and registers on the
 * first feed_read(). New, freed by feed_close(). */
feed_t *feed_open(const worker_conf_t *conf, const char *role,
    const char *consumer);

/* Reads records of all shards, at most FEED_COUNT stream entries of each, and
 * waits up to block_ms (1 to FEED_BLOCK_MAX) for the first. Renews the role's
 * heartbeat, so it is to be called at least every CHAT_FEED_DEAD_MS. 0: OK,
 * also without a record; the caller frees *batch_r by feed_batch_free() in any
 * case. -1: Redis is unavailable; the function has slept for a backoff. */
int feed_read(feed_t *feed, int block_ms, feed_batch_t *batch_r);

#define FEED_COUNT      64
#define FEED_BLOCK_MAX  1000

/* Acknowledges everything in the batch. 0, or -1: Redis is unavailable, and
 * the records will come again. */
int feed_ack(feed_t *feed, const feed_batch_t *batch);

void feed_batch_free(feed_batch_t *batch);

/* Leaves the role registered: it keeps what is not acknowledged. */
void feed_close(feed_t **feed);

/* The role is switched off: removes it and its groups, so that it holds nothing
 * back. To be called before feed_close(); no other consumer of the role may be
 * running, for its next heartbeat registers the role again. 0, or -1: Redis is
 * unavailable. */
int feed_unregister(feed_t *feed);

/* The same for a role by its name, on a connection without an outstanding
 * reply. *existed_r: whether it was registered. */
int feed_drop(redis_t *redis, const char *role, int *existed_r);

#endif
