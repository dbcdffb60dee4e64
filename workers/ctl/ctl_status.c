/*
 * ctl_status.c: chatctl status: streams, shard owners and workers.
 *
 * Called from ctl_main.c; hands to store_shards.c and workers/redis/. Changes
 * nothing. When Redis or the database is unavailable, the other half is still
 * shown; the exit code reports the failure.
 */

#include <stdlib.h>
#include <string.h>

#include "chat_keys.h"
#include "ctl.h"
#include "redis.h"
#include "store_pg.h"
#include "store_shards.h"

#define CTL_REDIS_MS  5000

typedef struct {
    int64_t  waiting[CHAT_SHARDS];      /* entries in the stream            */
    int64_t  sync;                      /* over all sync streams            */
    int64_t  dead;
} ctl_streams_t;

static int ctl_status(const worker_conf_t *conf, int argc, char **argv);
static int ctl_status_streams(redis_t *r, ctl_streams_t *s_r);
static int ctl_status_number(redis_t *r, int64_t *n_r);
static int ctl_status_shards(const worker_conf_t *conf, store_shard_t *shards);
static void ctl_status_print(const ctl_streams_t *s,
    const store_shard_t *shards);
static int ctl_status_workers(redis_t *r);

const ctl_command_t  ctl_command_status = {
    "status", "",
    "Prints for each shard the number of events waiting in its stream, its\n"
    "epoch, and the worker that owns it (in parentheses when the worker does\n"
    "not hold the lock now); then the other streams, and the message workers\n"
    "with the age of their last heartbeat.\n",
    ctl_status
};


static int
ctl_status(const worker_conf_t *conf, int argc, char **argv)
{
    int             bad;
    redis_t        *r;
    ctl_streams_t   streams;
    store_shard_t   shards[CHAT_SHARDS];

    if (argc != 1) {
        return -1;
    }

    bad = 0;
    memset(&streams, 0xff, sizeof(streams));        /* all -1: unknown */

    r = redis_connect(conf, CTL_REDIS_MS);

    if (r == NULL || ctl_status_streams(r, &streams) != 0) {
        bad |= ctl_fail("Redis cannot be read");
    }

    bad |= ctl_status_shards(conf, shards);

    ctl_status_print(&streams, shards);

    if (r != NULL) {
        bad |= ctl_status_workers(r);
        redis_close(&r);
    }

    return bad;
}


static int
ctl_status_streams(redis_t *r, ctl_streams_t *s_r)
{
    char      key[REDIS_KEY_SIZE];
    unsigned  i;
    int64_t   n;

    for (i = 0; i < CHAT_SHARDS; i++) {
        redis_key(key, CHAT_KEY_SENT, i);
        redis_append(r, key, "XLEN %s", key);
    }

    for (i = 0; i < CHAT_SYNC_SHARDS; i++) {
        redis_key(key, CHAT_KEY_SYNC, i);
        redis_append(r, key, "XLEN %s", key);
    }

    redis_append(r, CHAT_KEY_SENT_DEAD, "XLEN " CHAT_KEY_SENT_DEAD);

    for (i = 0; i < CHAT_SHARDS; i++) {
        if (ctl_status_number(r, &s_r->waiting[i]) != 0) {
            return -1;
        }
    }

    s_r->sync = 0;

    for (i = 0; i < CHAT_SYNC_SHARDS; i++) {
        if (ctl_status_number(r, &n) != 0) {
            return -1;
        }
        s_r->sync += n;
    }

    return ctl_status_number(r, &s_r->dead);
}


/* An error reply, for a key that is not a stream, counts as 0. */

static int
ctl_status_number(redis_t *r, int64_t *n_r)
{
    redis_reply_t  *reply;

    reply = redis_read(r);
    if (reply == NULL) {
        return -1;
    }

    (void) redis_reply_integer(reply, n_r);
    redis_reply_free(reply);

    return 0;
}


static int
ctl_status_shards(const worker_conf_t *conf, store_shard_t *shards)
{
    store_e          rc;
    store_pg_t       pg;
    store_reader_t  *reader;

    memset(shards, 0, CHAT_SHARDS * sizeof(shards[0]));
    memset(&pg, 0, sizeof(pg));
    pg.dsn = conf->pg;
    pg.name = "chatctl";
    reader = store_reader_open(conf, &pg);

    rc = store_pg_connect(&pg);
    if (rc == STORE_OK) {
        rc = store_reader_connect(reader);
    }

    if (rc == STORE_OK) {
        rc = store_shards_read(reader, shards);
    }

    store_reader_free(&reader);
    store_pg_free(&pg);

    return rc == STORE_OK ? 0 : ctl_fail("the database cannot be read");
}


static void
ctl_status_print(const ctl_streams_t *s, const store_shard_t *shards)
{
    unsigned  i, held;
    int64_t   waiting;

    held = 0;
    waiting = 0;

    printf("shard  waiting  epoch  owner\n");

    for (i = 0; i < CHAT_SHARDS; i++) {
        printf("%5u  %7lld  %5llu  %s%s%s\n", i,
               (long long) s->waiting[i],
               (unsigned long long) shards[i].epoch,
               shards[i].held ? "" : "(",
               shards[i].epoch ? shards[i].worker : "none",
               shards[i].held ? "" : ")");

        held += shards[i].held ? 1 : 0;
        waiting += s->waiting[i];
    }

    printf("\nshards owned %u of %u\n", held, CHAT_SHARDS);

    if (s->dead >= 0) {
        printf("waiting %lld\nsync %lld\ndead %lld\n", (long long) waiting,
               (long long) s->sync, (long long) s->dead);
    }
}


static int
ctl_status_workers(redis_t *r)
{
    char            key[REDIS_KEY_SIZE];
    size_t          i;
    const char     *worker, *time;
    redis_reply_t  *reply;

    redis_key(key, CHAT_KEY_WORKERS, "message");

    reply = redis_call(r, key, "ZRANGE %s 0 -1 WITHSCORES", key);
    if (reply == NULL) {
        return 1;                   /* already reported */
    }

    for (i = 0; i + 1 < redis_reply_count(reply); i += 2) {
        worker = redis_reply_text(redis_reply_at(reply, i));
        time = redis_reply_text(redis_reply_at(reply, i + 1));

        if (worker != NULL && time != NULL) {
            printf("worker %s last heartbeat %lld ms ago\n", worker,
                   (long long) worker_ms() - strtoll(time, NULL, 10));
        }
    }

    redis_reply_free(reply);

    return 0;
}
