/*
 * fanout_account.h: what the API worker keeps in Redis.
 *
 * Called from api_limit.c, api_revoke.c, api_upkeep.c, api_users.c; hands to
 * workers/redis/. Rate counters, the set of revoked devices with its marker,
 * and revocations published to every edge. One connection for all threads:
 * these calls are few, and each ends within FANOUT_ACCOUNT_MS. Every call
 * returns 0, or -1 when Redis is unavailable; after a failed connect calls fail
 * at once until the backoff is over.
 */

#ifndef FANOUT_ACCOUNT_H
#define FANOUT_ACCOUNT_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "redis.h"
#include "worker.h"

#define FANOUT_ACCOUNT_MS  1000     /* longest wait for a reply */

typedef struct {
    const worker_conf_t  *conf;         /* borrowed                         */
    pthread_mutex_t       lock;         /* of what is below                 */
    redis_t              *redis;        /* NULL while not connected         */
    int64_t               next_try;     /* monotonic ms                     */
    int                   failures;     /* in a row                         */
} fanout_account_t;

typedef struct {
    uint64_t  user;
    uint64_t  device;
    int64_t   until;            /* s since 1970: expiry of its last token   */
} fanout_revoked_t;

void fanout_account_init(fanout_account_t *f, const worker_conf_t *conf);
void fanout_account_close(fanout_account_t *f);

/* Counts one use of `policy` by `subject` in a window of `window` seconds that
 * began with the first use; *left_r: seconds until it ends. */
int fanout_account_count(fanout_account_t *f, const char *policy,
    const char *subject, int window, long long *count_r, long long *left_r);

/* Adds the devices to the set, then publishes them: an edge that subscribes in
 * between reads the set. With `marker` the set is complete from now on. */
int fanout_account_revoke(fanout_account_t *f, const fanout_revoked_t *list,
    size_t n, int marker);

/* Whether the set has its marker; without the marker Redis was emptied. */
int fanout_account_marked(fanout_account_t *f, int *marked_r);

/* Removes devices whose tokens have all expired at `now` (s since 1970). */
int fanout_account_trim(fanout_account_t *f, int64_t now);

/* Requests a presence update for the user, whose visibility may have changed. A
 * request lost with Redis is harmless: edges refresh within minutes. */
int fanout_account_refresh(fanout_account_t *f, uint64_t user);

int fanout_account_ping(fanout_account_t *f);

#endif
