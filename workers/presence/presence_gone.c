/*
 * presence_gone.c: who has gone for good.
 *
 * Called from presence_role.c between rounds; hands to route, user, watch,
 * publish and the store. A user who has lost a device waits in a sorted set
 * until three seconds are over; who has no route then is offline: last seen is
 * written, and who watches is told. An entry is taken out only after that, and
 * only if it was not put in anew: a worker that dies in between leaves it to
 * the next, and two that do the same do no harm.
 *
 * An edge that dies tells nothing. Its key expires after CHAT_EDGE_TTL seconds;
 * then all its users are put into the same set, some hundred at a time.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "presence.h"

#define PRESENCE_SWEEP_USERS  "500"

static const char  presence_done_script[] =
    "for i=1,#ARGV,2 do "
    "local s=redis.call('ZSCORE',KEYS[1],ARGV[i]) "
    "if s and tonumber(s)==tonumber(ARGV[i+1]) then "
    "redis.call('ZREM',KEYS[1],ARGV[i]) end end return 0";

static redisReply *presence_gone_due(presence_t *p);
static store_e presence_gone_users(presence_t *p, const redisReply *due);
static store_e presence_gone_seen(presence_t *p);
static store_e presence_gone_done(presence_t *p, const redisReply *due);
static store_e presence_sweep_edge(presence_t *p, const char *hex);


/* *n_r: how many were looked at; as many as PRESENCE_GONE, and there may be
 * more. */

store_e
presence_gone(presence_t *p, size_t *n_r)
{
    store_e      rc, done;
    redisReply  *due;

    *n_r = 0;

    due = presence_gone_due(p);
    if (due == NULL) {
        return STORE_UNAVAILABLE;
    }

    rc = STORE_OK;

    if (due->elements != 0) {
        *n_r = due->elements / 2;

        rc = presence_gone_users(p, due);

        /* a statement that was wrong would be so again */
        if (rc == STORE_OK || rc == STORE_FAILED) {
            done = presence_gone_done(p, due);
            rc = rc == STORE_OK ? done : rc;
        }
    }

    freeReplyObject(due);
    presence_reset(p);

    return rc;
}


/* Users and when they are due, in turns. */

static redisReply *
presence_gone_due(presence_t *p)
{
    presence_queue(p, "ZRANGEBYSCORE " CHAT_KEY_LEAVING " -inf %lld"
                   " WITHSCORES LIMIT 0 %d", (long long) worker_ms(),
                   PRESENCE_GONE);

    return presence_reply(p);
}


static store_e
presence_gone_users(presence_t *p, const redisReply *due)
{
    size_t            i;
    store_e           rc;
    presence_user_t  *u, *next;

    for (i = 0; i + 1 < due->elements; i += 2) {
        u = presence_user(p, strtoull(due->element[i]->str, NULL, 10));
        u->left = strtoll(due->element[i + 1]->str, NULL, 10)
                  - CHAT_PRESENCE_DELAY;
    }

    rc = presence_routes_load(p);
    if (rc != STORE_OK) {
        return rc;
    }

    HASH_ITER(hh, p->users, u, next) {
        u->news = !u->online;
    }

    rc = presence_gone_seen(p);
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
presence_gone_seen(presence_t *p)
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
        if (u->news) {
            users[n] = u->user;
            seen[n] = u->left;
            n++;
        }
    }

    rc = STORE_OK;

    if (n != 0) {
        store = presence_store(p);
        rc = store ? store_presence_left(store, users, seen, n) : STORE_UNAVAILABLE;
    }

    free(users);
    free(seen);

    return rc;
}


static store_e
presence_gone_done(presence_t *p, const redisReply *due)
{
    size_t        i, n, *lens;
    redisReply   *reply;
    const char  **argv;

    n = due->elements + 4;
    argv = worker_calloc(n, sizeof(*argv));
    lens = worker_calloc(n, sizeof(*lens));

    argv[0] = "EVAL";
    argv[1] = presence_done_script;
    argv[2] = "1";
    argv[3] = CHAT_KEY_LEAVING;

    for (i = 0; i < n; i++) {
        if (i >= 4) {
            argv[i] = due->element[i - 4]->str;
        }

        lens[i] = strlen(argv[i]);
    }

    if (redisAppendCommandArgv(p->redis, (int) n, argv, lens) != REDIS_OK) {
        worker_die("redis command: %s", p->redis->errstr);
    }

    p->queued++;
    free(argv);
    free(lens);

    reply = presence_reply(p);
    if (reply == NULL) {
        return STORE_UNAVAILABLE;
    }

    freeReplyObject(reply);

    return STORE_OK;
}


/* Edges that have died. */

store_e
presence_sweep(presence_t *p)
{
    size_t       i;
    store_e      rc;
    redisReply  *edges, *reply, *dead;

    presence_queue(p, "SMEMBERS " CHAT_KEY_EDGES);

    edges = presence_reply(p);
    if (edges == NULL) {
        return STORE_UNAVAILABLE;
    }

    rc = STORE_OK;

    for (i = 0; i < edges->elements; i++) {
        presence_queue(p, "EXISTS edge:%s", edges->element[i]->str);
    }

    for (i = 0; i < edges->elements; i++) {
        reply = presence_reply(p);
        if (reply == NULL) {
            rc = STORE_UNAVAILABLE;
            break;
        }

        dead = reply->integer == 0 ? edges->element[i] : NULL;
        edges->element[i]->integer = dead != NULL;
        freeReplyObject(reply);
    }

    for (i = 0; rc == STORE_OK && i < edges->elements; i++) {
        if (edges->element[i]->integer) {
            rc = presence_sweep_edge(p, edges->element[i]->str);
        }
    }

    freeReplyObject(edges);

    return rc;
}


/* Into the set first, out of the edge's users then: what is done half is done
 * again. Who is waiting already keeps the time it has. */

static store_e
presence_sweep_edge(presence_t *p, const char *hex)
{
    size_t       i;
    int64_t      due;
    store_e      rc;
    redisReply  *users;

    presence_queue(p, "SRANDMEMBER presence.edge:%s " PRESENCE_SWEEP_USERS,
                   hex);

    users = presence_reply(p);
    if (users == NULL) {
        return STORE_UNAVAILABLE;
    }

    if (users->elements == 0) {
        worker_log(WORKER_INFO, "edge=%s dead: its users are looked at", hex);
        presence_queue(p, "SREM " CHAT_KEY_EDGES " %s", hex);
    }

    /* it was alive for the last time when its key was written */
    due = worker_ms() - CHAT_EDGE_TTL * 1000 + CHAT_PRESENCE_DELAY;

    for (i = 0; i < users->elements; i++) {
        presence_queue(p, "ZADD " CHAT_KEY_LEAVING " NX %lld %s",
                       (long long) due, users->element[i]->str);
        presence_queue(p, "SREM presence.edge:%s %s", hex,
                       users->element[i]->str);
    }

    rc = presence_drain(p);
    freeReplyObject(users);

    return rc;
}
