/*
 * presence.h: the presence worker: who is online, and who is told.
 *
 * presence_role.c     reads the stream user.presence, acknowledges
 * presence_round.c    what was read at once, from its events to the news
 * presence_user.c     the users of a round, what the store knows of them
 * presence_route.c    which of them are connected, to edges that live
 * presence_watch.c    which edges are told of whom
 * presence_gone.c     who has gone for good: offline, last seen; dead edges
 * presence_publish.c  one batch an edge
 * presence_redis.c    commands in a pipeline
 *
 * An event says "look at these users"; what is true is read from the routes.
 * So any event may come twice, late, or in another order, and any number of
 * these processes share the stream. All they must remember is in Redis.
 */

#ifndef PRESENCE_H
#define PRESENCE_H

#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>
#include <uthash.h>

#include "chat_batch.h"
#include "chat_buf.h"
#include "chat_event.h"
#include "chat_keys.h"
#include "chat_proto.h"
#include "store_presence.h"
#include "worker.h"

#define PRESENCE_EVENTS   16        /* of a round                           */
#define PRESENCE_BODY     1024      /* users in an event, at most           */
#define PRESENCE_GONE     500       /* users looked at in one go            */

/* one user of one event that is no WATCH */
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
    uint8_t    asked;               /* CHAT_EV_F_REQUESTED                      */
    size_t     pairs;               /* the first of its pairs               */
    size_t     npairs;
} presence_ask_t;

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
    int64_t         left;           /* gone: when, ms                       */
    unsigned        online:1;       /* has a route to a living edge         */
    unsigned        leaving:1;      /* gone, but may be back in a moment    */
    unsigned        visible:1;      /* exists, and is not invisible         */
    unsigned        known:1;        /* the store has been asked             */
    unsigned        news:1;         /* who watches is to be told            */
    UT_hash_handle  hh;
} presence_user_t;

/* an edge, known for a minute after it was last needed */
typedef struct {
    uint64_t        id;
    int64_t         looked;         /* monotonic ms: `alive` was true then  */
    unsigned        alive:1;
    unsigned        ask:1;          /* is being asked for                   */
    chat_buf_t      batch;          /* to be published                      */
    chat_buf_t      news;           /* packed chat_presence_t               */
    UT_hash_handle  hh;
} presence_edge_t;

typedef struct {
    const worker_conf_t  *conf;
    redisContext         *redis;    /* NULL while away                      */
    int                   redis_failures;
    size_t                queued;   /* replies that are due                 */
    store_presence_t     *store;
    int                   store_failures;
    int64_t               store_next;   /* not before this, monotonic       */

    int64_t               claimed;  /* monotonic                            */
    int64_t               swept;    /* monotonic: dead edges                */

    presence_edge_t      *edges;    /* hash by id                           */

    /* of a round */
    presence_change_t      *notes;
    size_t                nnotes, notes_max;
    presence_ask_t       *asks;
    size_t                nasks, asks_max;
    store_pair_t         *pairs;
    uint8_t              *shared;   /* of each pair                         */
    size_t                npairs, pairs_max, shared_max;
    presence_user_t      *users;    /* hash by user                         */
    presence_route_t     *routes;
    size_t                nroutes, routes_max;
    int64_t               as_of;    /* us, Redis' clock, before the routes
                                       were read                            */
} presence_t;

#define PRESENCE_GROW(array, n, max)                                         \
    if ((n) == (max)) {                                                      \
        (max) = (max) ? (max) * 2 : 64;                                      \
        (array) = worker_realloc((array), (max) * sizeof(*(array)));         \
    }

/* Where a call talks to Redis or the store: STORE_OK; STORE_UNAVAILABLE, with
 * p->redis NULL when it was Redis that was lost; STORE_CONFLICT, STORE_FAILED. */

/* round */
int presence_take(presence_t *p, const uint8_t *data, size_t len,
    int64_t now);                   /* -1: no event of ours                 */
store_e presence_round(presence_t *p);
void presence_reset(presence_t *p);

/* user */
presence_user_t *presence_user(presence_t *p, uint64_t user);
presence_user_t *presence_user_find(presence_t *p, uint64_t user);
void presence_users_clear(presence_t *p);
/* What others may know of all users of the round. */
store_e presence_users_load(presence_t *p);
/* As it is shown to who may know: flags and last seen. */
void presence_user_show(const presence_user_t *u, chat_presence_t *shown_r);
store_presence_t *presence_store(presence_t *p);    /* NULL while away      */

/* route */
store_e presence_routes_load(presence_t *p);
int presence_route_on(presence_t *p, const presence_user_t *u,
    uint64_t edge);
int presence_route_parse(const char *text, size_t len, uint64_t *edge_r,
    uint64_t *session_r);
presence_edge_t *presence_edge(presence_t *p, uint64_t id);
void presence_edge_want(presence_edge_t *e);
store_e presence_edges_look(presence_t *p);
void presence_edges_trim(presence_t *p);
void presence_edges_clear(presence_t *p);

/* watch */
store_e presence_watch_add(presence_t *p);
void presence_watch_remove(presence_t *p, const presence_change_t *note);
/* For each user with `news`, an item to each edge that watches. */
store_e presence_watch_updates(presence_t *p, int64_t now);

/* gone */
store_e presence_gone(presence_t *p, size_t *n_r);
store_e presence_sweep(presence_t *p);

/* publish */
void presence_answer(presence_t *p, const presence_ask_t *ask);
store_e presence_publish(presence_t *p);
void presence_unpublish(presence_t *p);     /* what a failed round has left */

/* redis */
void presence_queue(presence_t *p, const char *fmt, ...);
redisReply *presence_reply(presence_t *p);  /* NULL: lost                   */
store_e presence_drain(presence_t *p);
void presence_lost(presence_t *p, const char *why);

#endif
