/*
 * presence_offline.c: users who have departed: offline, last seen.
 *
 * Called from presence_role.c between rounds; hands to route, user, watch,
 * publish and the store. A user who has lost a device waits in a sorted set
 * for the offline delay of three seconds. A user who has no route then is
 * offline: last seen is written, and the watching edges are notified. The
 * entry is removed only after that, and only if it was not added again: a
 * worker that dies in between leaves the entry to the next, and two workers
 * that process the same entry do no harm.
 *
 * An edge that dies sends nothing. Its key expires after CHAT_EDGE_TTL seconds;
 * then all its users are moved into the same set, some hundred at a time.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "presence.h"

#define PRESENCE_SWEEP_USERS  "500"

static const char  presence_remove_due_script[] =
    "for i=1,#ARGV,2 do "
    "local s=redis.call('ZSCORE',KEYS[1],ARGV[i]) "
    "if s and tonumber(s)==tonumber(ARGV[i+1]) then "
    "redis.call('ZREM',KEYS[1],ARGV[i]) end end return 0";

static redis_reply_t *presence_offline_due(presence_t *p);
static store_e presence_offline_users(presence_t *p, const redis_reply_t *due);
static store_e presence_offline_seen(presence_t *p);
static store_e presence_offline_done(presence_t *p, const redis_reply_t *due);
static store_e presence_sweep_edge(presence_t *p, const char *hex);


store_e
presence_offline(presence_t *p, size_t *n_r)
{
    store_e         rc, done;
    redis_reply_t  *due;

    *n_r = 0;

    due = presence_offline_due(p);
    if (due == NULL) {
        return STORE_UNAVAILABLE;
    }

    rc = STORE_OK;

    if (redis_reply_count(due) != 0) {
        *n_r = redis_reply_count(due) / 2;

        rc = presence_offline_users(p, due);

        /* a statement that failed would fail again */
        if (rc == STORE_OK || rc == STORE_FAILED) {
            done = presence_offline_done(p, due);
            rc = rc == STORE_OK ? done : rc;
        }
    }

    redis_reply_free(due);
    presence_reset(p);

    return rc;
}


/* Reads the due users: [user, due time, user, due time ...]. */

static redis_reply_t *
presence_offline_due(presence_t *p)
{
    presence_append(p, CHAT_KEY_LEAVING,
                    "ZRANGEBYSCORE " CHAT_KEY_LEAVING " -inf %lld"
                    " WITHSCORES LIMIT 0 %d", (long long) worker_ms(),
                    PRESENCE_OFFLINE_MAX);

    return presence_read(p);
}


static store_e
presence_offline_users(presence_t *p, const redis_reply_t *due)
{
    size_t            i;
    store_e           rc;
    const char       *user, *time;
    presence_user_t  *u, *next;

    for (i = 0; i + 1 < redis_reply_count(due); i += 2) {
        user = redis_reply_text(redis_reply_at(due, i));
        time = redis_reply_text(redis_reply_at(due, i + 1));

        u = presence_user(p, strtoull(user, NULL, 10));
        u->offline_at = strtoll(time, NULL, 10) - CHAT_PRESENCE_DELAY;
    }

    rc = presence_routes_load(p);
    if (rc != STORE_OK) {
        return rc;
    }

    HASH_ITER(hh, p->users, u, next) {
        u->notify = !u->online;
    }

    rc = presence_offline_seen(p);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = presence_users_load(p);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = presence_watch_updates(p, worker_ms());
    if (rc != STORE_OK) {
        return rc;
    }

    return presence_publish(p);
}


static store_e
presence_offline_seen(presence_t *p)
{
    size_t             n;
    store_e            rc;
    int64_t           *seen;
    uint64_t          *users;
    presence_user_t   *u, *next;
    store_presence_t  *store;

    n = 0;
    users = worker_calloc(HASH_COUNT(p->users), sizeof(*users));
    seen = worker_calloc(HASH_COUNT(p->users), sizeof(*seen));

    HASH_ITER(hh, p->users, u, next) {
        if (u->notify) {
            users[n] = u->user;
            seen[n] = u->offline_at;
            n++;
        }
    }

    rc = STORE_OK;

    if (n != 0) {
        store = presence_store(p);
        rc = store ? store_presence_left(store, users, seen, n)
                   : STORE_UNAVAILABLE;
    }

    free(users);
    free(seen);

    return rc;
}


/* Removes what was due, unless it was added again meanwhile. */

static store_e
presence_offline_done(presence_t *p, const redis_reply_t *due)
{
    size_t          i, n;
    redis_reply_t  *reply;
    const char    **argv;

    n = redis_reply_count(due);
    argv = worker_calloc(n + 4, sizeof(*argv));

    argv[0] = "EVAL";
    argv[1] = presence_remove_due_script;
    argv[2] = "1";
    argv[3] = CHAT_KEY_LEAVING;

    for (i = 0; i < n; i++) {
        argv[i + 4] = redis_reply_text(redis_reply_at(due, i));
    }

    redis_append_argv(p->redis, CHAT_KEY_LEAVING, (int) n + 4, argv, NULL);
    p->outstanding++;
    free(argv);

    reply = presence_read(p);
    if (reply == NULL) {
        return STORE_UNAVAILABLE;
    }

    redis_reply_free(reply);

    return STORE_OK;
}


/* Looks for edges that have died. */

store_e
presence_sweep(presence_t *p)
{
    char            key[REDIS_KEY_SIZE];
    size_t          i, n;
    store_e         rc;
    int64_t         exists;
    uint8_t        *dead;
    redis_reply_t  *edges, *reply;

    presence_append(p, CHAT_KEY_EDGES, "SMEMBERS " CHAT_KEY_EDGES);

    edges = presence_read(p);
    if (edges == NULL) {
        return STORE_UNAVAILABLE;
    }

    rc = STORE_OK;
    n = redis_reply_count(edges);
    dead = worker_calloc(n, 1);

    for (i = 0; i < n; i++) {
        redis_key(key, "edge:%s", redis_reply_text(redis_reply_at(edges, i)));
        presence_append(p, key, "EXISTS %s", key);
    }

    for (i = 0; i < n; i++) {
        reply = presence_read(p);
        if (reply == NULL) {
            rc = STORE_UNAVAILABLE;
            break;
        }

        (void) redis_reply_integer(reply, &exists);
        dead[i] = exists == 0;
        redis_reply_free(reply);
    }

    for (i = 0; rc == STORE_OK && i < n; i++) {
        if (dead[i]) {
            rc = presence_sweep_edge(p,
                                     redis_reply_text(redis_reply_at(edges,
                                                                     i)));
        }
    }

    free(dead);
    redis_reply_free(edges);

    return rc;
}


/* Each user is added to the departed ones before it is removed from the edge's
 * users, so an interrupted sweep is repeated. NX: a user who is already there
 * keeps the earlier time. */

static store_e
presence_sweep_edge(presence_t *p, const char *hex)
{
    char            key[REDIS_KEY_SIZE];
    size_t          i;
    int64_t         due;
    store_e         rc;
    const char     *user;
    redis_reply_t  *users;

    redis_key(key, "presence.edge:%s", hex);
    presence_append(p, key, "SRANDMEMBER %s " PRESENCE_SWEEP_USERS, key);

    users = presence_read(p);
    if (users == NULL) {
        return STORE_UNAVAILABLE;
    }

    if (redis_reply_count(users) == 0) {
        worker_log(WORKER_INFO, "edge=%s dead: its users are checked", hex);
        presence_append(p, CHAT_KEY_EDGES, "SREM " CHAT_KEY_EDGES " %s", hex);
    }

    /* the edge was last alive when it wrote its key */
    due = worker_ms() - CHAT_EDGE_TTL * 1000 + CHAT_PRESENCE_DELAY;

    for (i = 0; i < redis_reply_count(users); i++) {
        user = redis_reply_text(redis_reply_at(users, i));
        presence_append(p, CHAT_KEY_LEAVING,
                        "ZADD " CHAT_KEY_LEAVING " NX %lld %s",
                        (long long) due, user);
        presence_append(p, key, "SREM %s %s", key, user);
    }

    rc = presence_drain(p);
    redis_reply_free(users);

    return rc;
}
