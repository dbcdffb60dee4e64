/*
 * fanout_private.h: what the fanout_*.c of the message worker share.
 */

#ifndef FANOUT_PRIVATE_H
#define FANOUT_PRIVATE_H

#include <uthash.h>

#include "fanout.h"

#define FANOUT_ROUTES_MAX  262144   /* users in the cache                   */

/* one field of route:{user} */
typedef struct {
    uint64_t         device;
    uint64_t         edge;
    uint64_t         session;
} fanout_session_t;

typedef struct {
    uint64_t           user;
    fanout_session_t  *sessions;    /* n of them: none when offline         */
    uint64_t          *markers;     /* devices that left with everything    */
    uint16_t           n;
    uint16_t           nmarkers;
    uint64_t           batch;       /* the last one that needed it          */
    uint64_t           reread;      /* the one it was read again for        */
    UT_hash_handle     hh;
} fanout_route_t;

typedef struct {
    uint64_t         id;
    chat_buf_t       buf;           /* the batch, empty when untouched      */
    chat_buf_t       targets;       /* of the record being built            */
    uint8_t          touched;       /* the record goes to this edge         */
    UT_hash_handle   hh;
} fanout_edge_t;

typedef enum {
    FANOUT_ONE,                     /* the edge alone                       */
    FANOUT_VISIBLE,                 /* members who may see the entry        */
    FANOUT_OTHERS,                  /* members but one                      */
    FANOUT_USERS
} fanout_who_e;

/* a member of a chat with markers of absent devices */
typedef struct {
    fanout_route_t    *route;
    message_member_t  *member;
} fanout_marked_t;

typedef struct {
    uint64_t           user;
    uint64_t          *markers;     /* devices                              */
    uint16_t           n;
} fanout_removed_t;

/* a collected record; strings and users by offset, because both arrays grow */
typedef struct {
    chat_rec_t         rec;
    fanout_who_e       who;
    fanout_to_t        to;
    message_chat_t    *chat;
    uint64_t           user;        /* OTHERS: left out; VISIBLE: rejoined  */
    size_t             frame, nframe;
    size_t             id, nid;     /* message id                           */
    size_t             users, nusers;
} fanout_out_t;

/* a member of a chat on an edge */
typedef struct {
    fanout_edge_t     *edge;
    message_member_t  *member;
    uint64_t           reread;      /* of its route                         */
} fanout_online_t;

struct fanout_s {
    redis_t              *redis;    /* borrowed                             */
    redis_tracking_t     *tracking; /* invalidations of cached routes       */
    fanout_route_t       *routes;   /* hash by user, oldest first           */
    fanout_edge_t        *edges;    /* hash by id                           */

    chat_buf_t            text;     /* frames and ids collected             */
    fanout_out_t         *outs;
    size_t                nouts, outs_max;
    uint64_t             *users;
    size_t                nusers, users_max;

    uint64_t              batch;    /* counts publications                  */
    uint8_t               republishing; /* only to routes just read again   */
    uint8_t               stale;    /* a route of this batch is             */
    fanout_online_t      *online;
    size_t                nonline, online_max;
    fanout_marked_t       *marked;
    size_t                nmarked, marked_max;
    fanout_removed_t     *removed;  /* markers deleted by this publication  */
    size_t                nremoved, removed_max;
    uint8_t               pending;  /* committed and not yet published      */
    fanout_edge_t       **touched;  /* by the record being built            */
    size_t                ntouched, touched_max;
    fanout_route_t      **missing;
    size_t                nmissing, missing_max;
    uint64_t             *sent;     /* edges whose replies are outstanding  */
    size_t                nsent, sent_max;
    uint64_t             *dead;     /* edges whose PUBLISH had no receiver  */
    size_t                ndead, dead_max;
};

/* fanout_route.c */
int fanout_route_drain(fanout_t *f);
void fanout_route_invalid(void *data, const chat_str_t *key);
void fanout_route_flushed(void *data);
fanout_route_t *fanout_route_get(fanout_t *f, uint64_t user);
int fanout_route_fetch(fanout_t *f);
void fanout_route_add(fanout_route_t *route, uint64_t device, uint64_t edge,
    uint64_t session);
void fanout_route_evict(fanout_t *f, uint64_t user);
void fanout_route_clear(fanout_t *f);
void fanout_route_trim(fanout_t *f);

/* fanout_marker.c */
void fanout_marker_remove(fanout_t *f, fanout_route_t *route);
void fanout_marker_send(fanout_t *f);
int fanout_marker_read_replies(fanout_t *f);
void fanout_marker_end(fanout_t *f);

/* fanout_build.c: fills the edges' buffers from what was gathered; every
 * route that is needed must be known. */
void fanout_request_routes(fanout_t *f);
void fanout_build(fanout_t *f);

#endif
