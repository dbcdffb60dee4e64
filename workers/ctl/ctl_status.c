/*
 * ctl_status.c: chatctl status: streams, owners, workers, at one look.
 *
 * Called from ctl_main.c; hands to store_shards.h and Redis. Changes nothing.
 * Half of it still shows when Redis or the database is away; the exit code
 * says so.
 */

#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "chat_keys.h"
#include "ctl.h"
#include "store_pg.h"
#include "store_shards.h"

#define CTL_REDIS_MS  5000

typedef struct {
    long long  waiting[CHAT_SHARDS];    /* entries in the stream            */
    long long  sync;                    /* over all sync streams            */
    long long  dead;
} ctl_streams_t;

static int ctl_status(const worker_conf_t *conf, int argc, char **argv);
static int ctl_status_streams(redisContext *c, ctl_streams_t *s_r);
static int ctl_status_number(redisContext *c, long long *n_r);
static int ctl_status_shards(const worker_conf_t *conf, store_shard_t *shards);
static void ctl_status_print(const ctl_streams_t *s,
    const store_shard_t *shards);
static int ctl_status_workers(redisContext *c);

const ctl_command_t  ctl_command_status = {
    "status", "",
    "Prints for each shard how many events wait in its stream, how many of\n"
    "these were read and not yet acknowledged, and which worker owns it (in\n"
    "parentheses when it does not hold the lock now); then the other streams,\n"
    "and the workers with the age of their last heartbeat.\n",
    ctl_status
};


static int
ctl_status(const worker_conf_t *conf, int argc, char **argv)
{
    int             bad;
    redisContext   *c;
    ctl_streams_t   streams;
    store_shard_t   shards[CHAT_SHARDS];

    if (argc != 1) {
        return -1;
    }

    bad = 0;
    memset(&streams, 0xff, sizeof(streams));        /* all -1: unknown */

    c = worker_redis_connect(conf, CTL_REDIS_MS);

    if (c == NULL || ctl_status_streams(c, &streams) != 0) {
        bad |= ctl_fail("Redis cannot be read");
    }

    bad |= ctl_status_shards(conf, shards);

    ctl_status_print(&streams, shards);

    if (c != NULL) {
        bad |= ctl_status_workers(c);
        redisFree(c);
    }

    return bad;
}


static int
ctl_status_streams(redisContext *c, ctl_streams_t *s_r)
{
    unsigned   i;
    long long  n;

    for (i = 0; i < CHAT_SHARDS; i++) {
        redisAppendCommand(c, "XLEN " CHAT_KEY_SENT, i);
    }

    for (i = 0; i < CHAT_SYNC_SHARDS; i++) {
        redisAppendCommand(c, "XLEN " CHAT_KEY_SYNC, i);
    }

    redisAppendCommand(c, "XLEN " CHAT_KEY_SENT_DEAD);

    for (i = 0; i < CHAT_SHARDS; i++) {
        if (ctl_status_number(c, &s_r->waiting[i]) != 0) {
            return -1;
        }
    }

    s_r->sync = 0;

    for (i = 0; i < CHAT_SYNC_SHARDS; i++) {
        if (ctl_status_number(c, &n) != 0) {
            return -1;
        }
        s_r->sync += n;
    }

    return ctl_status_number(c, &s_r->dead);
}


/* An error, of a key that is no stream, counts as nothing. */

static int
ctl_status_number(redisContext *c, long long *n_r)
{
    redisReply  *reply;

    if (redisGetReply(c, (void **) &reply) != REDIS_OK) {
        return -1;
    }

    *n_r = 0;

    if (reply->type == REDIS_REPLY_INTEGER) {
        *n_r = reply->integer;
    }

    freeReplyObject(reply);

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
    unsigned   i, held;
    long long  waiting;

    held = 0;
    waiting = 0;

    printf("shard  waiting  epoch  owner\n");

    for (i = 0; i < CHAT_SHARDS; i++) {
        printf("%5u  %7lld  %5llu  %s%s%s\n", i, s->waiting[i],
               (unsigned long long) shards[i].epoch,
               shards[i].held ? "" : "(",
               shards[i].epoch ? shards[i].worker : "none",
               shards[i].held ? "" : ")");

        held += shards[i].held ? 1 : 0;
        waiting += s->waiting[i];
    }

    printf("\nshards owned %u of %u\n", held, CHAT_SHARDS);

    if (s->dead >= 0) {
        printf("waiting %lld\nsync %lld\ndead %lld\n", waiting, s->sync,
               s->dead);
    }
}


static int
ctl_status_workers(redisContext *c)
{
    size_t       i;
    redisReply  *reply;

    reply = redisCommand(c, "ZRANGE " CHAT_KEY_WORKERS " 0 -1 WITHSCORES",
                         worker_role_message.name);
    if (reply == NULL) {
        return 1;                   /* told before */
    }

    for (i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements;
         i += 2)
    {
        printf("worker %s heard %lld ms ago\n", reply->element[i]->str,
               (long long) worker_ms()
               - strtoll(reply->element[i + 1]->str, NULL, 10));
    }

    freeReplyObject(reply);

    return 0;
}
