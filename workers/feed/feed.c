/*
 * feed.c: a consumer of the feed: registered, alive, gone.
 *
 * Called from roles and ctl_feed.c. Hands to workers/redis/.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed_private.h"

#define FEED_REDIS_MS  5000         /* limit of one reply                   */

static int feed_replies(feed_t *feed, unsigned n, const char *what);
static void feed_ack_shard(feed_t *feed, const feed_batch_t *batch,
    unsigned shard);


int
feed_role_valid(const char *role)
{
    size_t  n;

    n = strlen(role);

    return n >= 1 && n <= CHAT_FEED_ROLE_MAX
           && strspn(role, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}


feed_t *
feed_open(const worker_conf_t *conf, const char *role, const char *consumer)
{
    feed_t    *feed;
    unsigned   i;

    if (!feed_role_valid(role)) {
        worker_die("role \"%s\" is no name of a role", role);
    }

    feed = worker_calloc(1, sizeof(*feed));
    feed->conf = conf;
    (void) snprintf(feed->role, sizeof(feed->role), "%s", role);
    (void) snprintf(feed->consumer, sizeof(feed->consumer), "%s", consumer);

    for (i = 0; i < CHAT_SHARDS; i++) {
        (void) redis_key(feed->keys[i], CHAT_KEY_COMMITTED, i);
    }

    return feed;
}


/* A consumer that owes no acknowledgement leaves no name behind in the groups.
 * Otherwise the name stays: XGROUP DELCONSUMER would discard what is pending,
 * and another consumer could not claim it. */

void
feed_close(feed_t **fp)
{
    feed_t    *feed;
    unsigned   i;

    feed = *fp;

    if (feed == NULL) {
        return;
    }

    if (feed->redis != NULL && feed->pending == 0) {

        for (i = 0; i < CHAT_SHARDS; i++) {
            redis_append(feed->redis, feed->keys[i],
                         "XGROUP DELCONSUMER %s %s %s", feed->keys[i],
                         feed->role, feed->consumer);
        }

        (void) feed_replies(feed, CHAT_SHARDS, "XGROUP");
    }

    redis_close(&feed->redis);
    free(feed);
    *fp = NULL;
}


int
feed_connect(feed_t *feed)
{
    if (feed->redis != NULL) {
        return 0;
    }

    feed->redis = redis_connect(feed->conf, FEED_REDIS_MS);

    if (feed->redis == NULL || feed_register(feed) != 0) {
        redis_close(&feed->redis);
        worker_sleep(worker_backoff(feed->failures++, 50, 1000));
        return -1;
    }

    feed->failures = 0;

    return 0;
}


int
feed_lost(feed_t *feed, const char *what)
{
    worker_log(WORKER_WARN, "feed: redis lost: %s: %s", what,
               redis_error(feed->redis));
    redis_close(&feed->redis);

    return -1;
}


/* The role comes first: while it has no group the message worker trims nothing
 * (message_feed_trim.c). Groups begin at 0, so that what was written between
 * the two, or after Redis was emptied, is delivered. */

int
feed_register(feed_t *feed)
{
    unsigned  i;

    feed->heartbeat_at = 0;

    if (feed_heartbeat(feed) != 0) {
        return -1;
    }

    for (i = 0; i < CHAT_SHARDS; i++) {
        redis_append(feed->redis, feed->keys[i],
                     "XGROUP CREATE %s %s 0 MKSTREAM", feed->keys[i],
                     feed->role);
    }

    /* BUSYGROUP: it is there */
    return feed_replies(feed, CHAT_SHARDS, "XGROUP");
}


int
feed_heartbeat(feed_t *feed)
{
    int64_t         now;
    redis_reply_t  *reply;

    now = worker_mono_ms();

    if (now < feed->heartbeat_at) {
        return 0;
    }

    feed->heartbeat_at = now + FEED_HEARTBEAT_MS;

    reply = redis_call(feed->redis, CHAT_KEY_FEED_ROLES,
                       "ZADD " CHAT_KEY_FEED_ROLES " %lld %s",
                       (long long) worker_ms(), feed->role);
    if (reply == NULL) {
        return feed_lost(feed, "ZADD");
    }

    if (redis_reply_error(reply) != NULL) {
        worker_log(WORKER_ERROR, "feed: redis refuses ZADD: %s",
                   redis_reply_error(reply));
    }

    redis_reply_free(reply);

    return 0;
}


int
feed_ack(feed_t *feed, const feed_batch_t *batch)
{
    size_t    i;
    unsigned  n, shard;
    uint64_t  mask;

    if (batch->nids == 0) {
        return 0;
    }

    if (feed->redis == NULL) {
        return -1;
    }

    for (mask = 0, i = 0; i < batch->nids; i++) {
        mask |= UINT64_C(1) << batch->ids[i].shard;
    }

    for (n = 0, shard = 0; shard < CHAT_SHARDS; shard++) {
        if (mask >> shard & 1) {
            feed_ack_shard(feed, batch, shard);
            n++;
        }
    }

    if (feed_replies(feed, n, "XACK") != 0) {
        return -1;
    }

    feed->pending -= batch->nids < feed->pending ? batch->nids
                                                 : feed->pending;

    return 0;
}


static void
feed_ack_shard(feed_t *feed, const feed_batch_t *batch, unsigned shard)
{
    int           argc;
    size_t        i;
    const char  **argv;

    argv = worker_calloc(batch->nids + 3, sizeof(*argv));

    argc = 0;
    argv[argc++] = "XACK";
    argv[argc++] = feed->keys[shard];
    argv[argc++] = feed->role;

    for (i = 0; i < batch->nids; i++) {
        if (batch->ids[i].shard == shard) {
            argv[argc++] = batch->ids[i].id;
        }
    }

    redis_append_argv(feed->redis, feed->keys[shard], argc, argv, NULL);
    free(argv);
}


/* Reads n replies of which only the number counts. */

static int
feed_replies(feed_t *feed, unsigned n, const char *what)
{
    redis_reply_t  *reply;

    while (n-- > 0) {
        reply = redis_read(feed->redis);

        if (reply == NULL) {
            return feed_lost(feed, what);
        }

        redis_reply_free(reply);
    }

    return 0;
}


int
feed_unregister(feed_t *feed)
{
    int  existed;

    if (feed_connect(feed) != 0) {
        return -1;
    }

    feed->pending = 0;

    return feed_drop(feed->redis, feed->role, &existed) != 0
           ? feed_lost(feed, "XGROUP") : 0;
}


int
feed_drop(redis_t *redis, const char *role, int *existed_r)
{
    int             rc;
    char            key[REDIS_KEY_SIZE];
    int64_t         n;
    unsigned        i;
    redis_reply_t  *reply;

    redis_append(redis, CHAT_KEY_FEED_ROLES, "ZREM " CHAT_KEY_FEED_ROLES " %s",
                 role);

    for (i = 0; i < CHAT_SHARDS; i++) {
        (void) redis_key(key, CHAT_KEY_COMMITTED, i);
        redis_append(redis, key, "XGROUP DESTROY %s %s", key, role);
    }

    rc = 0;

    for (i = 0; i <= CHAT_SHARDS && rc == 0; i++) {
        reply = redis_read(redis);
        rc = reply == NULL ? -1 : 0;

        if (i == 0) {
            *existed_r = redis_reply_integer(reply, &n) == 0 && n > 0;
        }

        redis_reply_free(reply);
    }

    return rc;
}
