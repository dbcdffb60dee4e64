/*
 * feed_private.h: what the feed_*.c share.
 */

#ifndef FEED_PRIVATE_H
#define FEED_PRIVATE_H

#include "chat_keys.h"
#include "chat_proto.h"
#include "feed.h"

#define FEED_HEARTBEAT_MS  1000
#define FEED_CLAIM_MS      2000     /* between looks for what others left   */
#define FEED_IDLE_MS       "10000"  /* pending that long: its consumer died */

/* A read of 64 streams costs Redis as much as a dozen records, so that a
 * consumer under load reads at most once in so many ms. When idle, a record is
 * delivered immediately. */
#define FEED_LINGER_MS     100

struct feed_s {
    const worker_conf_t  *conf;     /* borrowed                             */
    redis_t              *redis;    /* NULL while unavailable               */
    char                  role[CHAT_FEED_ROLE_MAX + 1];
    char                  consumer[64];
    char                  keys[CHAT_SHARDS][REDIS_KEY_SIZE];
    int64_t               heartbeat_at, claim_at;   /* monotonic ms         */
    int64_t               read_at;  /* last read that brought something     */
    uint8_t               full;     /* and there was more                   */
    size_t                pending;  /* stream entries without feed_ack()    */
    int                   failures; /* connects, for the backoff            */
};

struct feed_id_s {
    const char           *id;       /* borrowed from a reply                */
    unsigned              shard;
};

/* feed.c. All: 0, or -1 when Redis is unavailable. */
int feed_connect(feed_t *feed);
int feed_lost(feed_t *feed, const char *what);
/* Registers the role and creates its groups; harmless when they exist. */
int feed_register(feed_t *feed);
int feed_heartbeat(feed_t *feed);

/* feed_batch.c: takes `reply`, of XREADGROUP; entries of one stream, borrowed
 * from a reply that the batch holds. How many stream entries there were in the
 * stream with most. */
size_t feed_batch_streams(feed_batch_t *batch, redis_reply_t *reply);
size_t feed_batch_entries(feed_batch_t *batch, unsigned shard,
    const redis_reply_t *entries);
void feed_batch_hold(feed_batch_t *batch, redis_reply_t *reply);

#endif
