/*
 * presence.h: the presence worker: who is online, and which edges are notified.
 *
 * presence_role.c     reads the stream user.presence, acknowledges
 * presence_round.c    processes one read, from its events to the updates
 * presence_user.c     the users of a round, what the store knows of them
 * presence_route.c    which of them are connected, to edges that are alive
 * presence_watch.c    which edges are notified about which users
 * presence_offline.c  departed users: offline, last seen; dead edges
 * presence_publish.c  one batch per edge
 * presence_redis.c    pipelined commands
 *
 * An event means "check these users"; their state is read from the routes. So
 * an event may arrive twice, late or out of order, and any number of these
 * processes share the stream. All lasting state is in Redis.
 */

#ifndef PRESENCE_H
#define PRESENCE_H

#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "chat_batch.h"
#include "chat_buf.h"
#include "chat_event.h"
#include "chat_keys.h"
#include "chat_proto.h"
#include "redis.h"
#include "store_presence.h"
#include "worker.h"

#define PRESENCE_EVENTS       16    /* of a round                           */
#define PRESENCE_BODY         1024  /* users in an event, at most           */
#define PRESENCE_OFFLINE_MAX  500   /* departed users checked at once       */

/* one user of one event other than WATCH */
typedef struct {
    uint8_t    type;                /* chat_event_e                         */
    uint64_t   edge;
    uint64_t   user;
    int64_t    received;            /* ms, the edge's clock                 */
} presence_change_t;

/* one WATCH */
typedef struct {
    uint64_t   edge;
    uint64_t   session;
    int64_t    received;
    uint8_t    requested;           /* CHAT_EV_F_REQUESTED                  */
    size_t     pairs;               /* the first of its pairs               */
    size_t     npairs;
} presence_request_t;

typedef struct {
    uint64_t   device;
    uint64_t   edge;
    uint64_t   session;
} presence_route_t;

typedef struct {
    uint64_t        user;
    size_t          routes;         /* the first of its routes              */
    size_t          nroutes;        /* also those of dead edges             */
    int64_t         last_seen;      /* ms, 0 when others may not know       */
    int64_t         offline_at;     /* departed: when, ms                   */
    unsigned        online:1;       /* has a route to an edge that is alive */
    unsigned        leaving:1;      /* departed, still in the offline delay */
    unsigned        visible:1;      /* exists, and is not invisible         */
    unsigned        loaded:1;       /* the store was queried                */
    unsigned        notify:1;       /* the watching edges get an update     */
    UT_hash_handle  hh;
} presence_user_t;

/* an edge, cached until a minute after its last check; one that was never
 * checked is removed by the next trim */
typedef struct {
    uint64_t        id;
    int64_t         checked_at;     /* monotonic ms, when `alive` was read  */
    unsigned        alive:1;
    unsigned        check:1;        /* `alive` is to be read                */
    unsigned        purged:1;       /* its routes are being deleted         */
    chat_buf_t      batch;          /* to be published                      */
    chat_buf_t      updates;        /* packed chat_presence_t               */
    UT_hash_handle  hh;
} presence_edge_t;

typedef struct {
    const worker_conf_t  *conf;
    redis_t              *redis;    /* NULL while disconnected              */
    int                   redis_failures;
    size_t                outstanding;  /* replies not yet read             */
    store_presence_t     *store;
    int                   store_failures;
    int64_t               store_next;   /* earliest connect, monotonic ms   */

    int64_t               claimed_at;   /* monotonic ms: last XAUTOCLAIM    */
    int64_t               swept_at;     /* monotonic ms: last sweep         */

    presence_edge_t      *edges;    /* hash by id                           */

    /* of a round */
    presence_change_t    *changes;
    size_t                nchanges, changes_max;
    presence_request_t   *requests;
    size_t                nrequests, requests_max;
    store_pair_t         *pairs;
    uint8_t              *shared;   /* of each pair: has a common chat      */
    size_t                npairs, pairs_max, shared_max;
    presence_user_t      *users;    /* hash by user                         */
    presence_route_t     *routes;
    size_t                nroutes, routes_max;
    int64_t               as_of;    /* us, Redis' clock, before the routes
                                       were read                            */
} presence_t;

/* Calls that use Redis or the store return STORE_OK; STORE_UNAVAILABLE, with
 * p->redis NULL when the connection to Redis was lost; STORE_CONFLICT or
 * STORE_FAILED. */

/* round */

/* Adds an event to the round; `now` is in ms. -1 when the bytes are not an
 * event of this stream. */
int presence_add_event(presence_t *p, const uint8_t *data, size_t len,
    int64_t now);
store_e presence_round(presence_t *p);
void presence_reset(presence_t *p);

/* user */

/* Finds or adds a user of the round. */
presence_user_t *presence_user(presence_t *p, uint64_t user);
presence_user_t *presence_user_find(presence_t *p, uint64_t user);
void presence_users_clear(presence_t *p);
/* Reads from the store what others may know of all users of the round. */
store_e presence_users_load(presence_t *p);
/* The user as a permitted session sees it: flags and last seen. */
void presence_user_item(const presence_user_t *u, chat_presence_t *item_r);
/* The connected store, or NULL. */
store_presence_t *presence_store(presence_t *p);

/* route */
store_e presence_routes_load(presence_t *p);
/* 1 when the user has a route to this edge. */
int presence_route_on(presence_t *p, const presence_user_t *u,
    uint64_t edge);
/* Finds or adds an edge. A new one is not alive before presence_edge_require()
 * and presence_edges_check(). Valid until presence_edges_trim(). */
presence_edge_t *presence_edge_get(presence_t *p, uint64_t id);
/* The next presence_edges_check() reads `alive`, unless it is recent. */
void presence_edge_require(presence_edge_t *e);
store_e presence_edges_check(presence_t *p);
void presence_edges_trim(presence_t *p);
void presence_edges_clear(presence_t *p);

/* watch */
store_e presence_watch_add(presence_t *p);
void presence_watch_remove(presence_t *p, const presence_change_t *change);
/* For each user with `notify`, an update for each edge that watches. */
store_e presence_watch_updates(presence_t *p, int64_t now);

/* offline */

/* Handles departed users whose delay is over; *n_r is how many were due, with
 * PRESENCE_OFFLINE_MAX there may be more. */
store_e presence_offline(presence_t *p, size_t *n_r);
/* Moves users of dead edges to the departed ones. */
store_e presence_sweep(presence_t *p);

/* publish */
void presence_answer(presence_t *p, const presence_request_t *request);
store_e presence_publish(presence_t *p);
/* Discards what a failed round has left unpublished. */
void presence_discard(presence_t *p);

/* redis */

/* redis_append(), counted. */
#define presence_append(p, key, ...)                                         \
    do {                                                                     \
        redis_append((p)->redis, key, __VA_ARGS__);                          \
        (p)->outstanding++;                                                  \
    } while (0)

/* NULL: disconnected; an error reply disconnects too. */
redis_reply_t *presence_read(presence_t *p);
/* Reads and drops all outstanding replies. */
store_e presence_drain(presence_t *p);
void presence_disconnect(presence_t *p, const char *why);

#endif
