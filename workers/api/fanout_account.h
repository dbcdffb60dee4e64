/*
 * fanout_account.h: what the API worker has in Redis.
 *
 * Called from api_limit.c, api_revoke.c, api_upkeep.c; hands to hiredis. Rate
 * counters, the set of revoked devices with its marker, and the news of a
 * revocation to every edge. One connection for all threads: these calls are
 * few, and each ends within FANOUT_ACCOUNT_MS. Every call: 0, or -1 when Redis
 * is away; after a failure the next attempt waits, and calls fail at once.
 */

#ifndef FANOUT_ACCOUNT_H
#define FANOUT_ACCOUNT_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "worker.h"

#define FANOUT_ACCOUNT_MS  1000     /* longest wait for a reply */

typedef struct {
    const worker_conf_t  *conf;         /* borrowed                         */
    pthread_mutex_t       lock;         /* of what is below                 */
    struct redisContext  *redis;        /* NULL while not connected         */
    int64_t               next_try;     /* monotonic ms                     */
    int                   failures;     /* in a row                         */
} fanout_account_t;

typedef struct {
    uint64_t  user;
    uint64_t  device;
    int64_t   until;            /* s since 1970: its last token has expired */
} fanout_revoked_t;

void fanout_account_init(fanout_account_t *f, const worker_conf_t *conf);
void fanout_account_close(fanout_account_t *f);

/* Counts one more in the window that began with the first. */
int fanout_account_count(fanout_account_t *f, const char *policy,
    const char *subject, int window, long long *count_r, long long *left_r);

/* Into the set first, then to the edges: one that subscribes in between reads
 * it there. With `marker` the set is whole from now on. */
int fanout_account_revoke(fanout_account_t *f, const fanout_revoked_t *list,
    size_t n, int marker);

/* Whether the set has its marker: without it Redis was emptied. */
int fanout_account_marked(fanout_account_t *f, int *marked_r);

/* Takes out whose tokens have all expired by now (s since 1970). */
int fanout_account_trim(fanout_account_t *f, int64_t now);

/* How the user is to others may have changed: who follows it is told. Lost
 * with Redis; the edges ask again by themselves within minutes. */
int fanout_account_refresh(fanout_account_t *f, uint64_t user);

int fanout_account_ping(fanout_account_t *f);

#endif
