/*
 * presence_route.c: which users have a route to a living edge.
 *
 * Called from presence_round.c, presence_watch.c and presence_offline.c; hands
 * to workers/redis/. An edge is an nginx worker process. A route to an edge
 * whose key has expired is ignored. It is deleted, unless the device has
 * written a newer route in its place.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chat_id.h"
#include "presence.h"

#define PRESENCE_EDGE_MS    1000    /* how long `alive` stays valid         */
#define PRESENCE_EDGE_KEEP  60000   /* ms an unused edge stays cached       */

static store_e presence_routes_read(presence_t *p);
static void presence_routes_add(presence_t *p, presence_user_t *u,
    const redis_reply_t *reply);
static int64_t presence_redis_time(const redis_reply_t *reply);


/* Sets `online` of all users of the round. */

store_e
presence_routes_load(presence_t *p)
{
    char               key[REDIS_KEY_SIZE];
    size_t             i;
    store_e            rc;
    presence_user_t   *u, *next;
    presence_edge_t   *edge, *other;
    presence_route_t  *route;

    if (p->users == NULL) {
        return STORE_OK;
    }

    rc = presence_routes_read(p);
    if (rc != STORE_OK) {
        return rc;
    }

    for (i = 0; i < p->nroutes; i++) {
        presence_edge_require(presence_edge_get(p, p->routes[i].edge));
    }

    rc = presence_edges_check(p);
    if (rc != STORE_OK) {
        return rc;
    }

    HASH_ITER(hh, p->users, u, next) {

        for (i = 0; i < u->nroutes; i++) {
            route = &p->routes[u->routes + i];

            if (presence_edge_get(p, route->edge)->alive) {
                u->online = 1;
                continue;
            }

            redis_key(key, CHAT_KEY_ROUTE, u->user);
            presence_append(p, key, "EVAL %s 1 %s %" PRIu64 " %016" PRIx64
                            ":%" PRIu64, CHAT_ROUTE_LUA_PURGE, key,
                            route->device, route->edge, route->session);
            presence_edge_get(p, route->edge)->purged = 1;
        }
    }

    /* after the deletions, see CHAT_ROUTE_LUA_PURGE */
    HASH_ITER(hh, p->edges, edge, other) {

        if (edge->purged) {
            edge->purged = 0;
            redis_key(key, CHAT_KEY_EDGE, edge->id);
            presence_append(p, key, "DEL %s", key);
        }
    }

    return presence_drain(p);
}


int
presence_route_on(presence_t *p, const presence_user_t *u, uint64_t edge)
{
    size_t  i;

    for (i = 0; i < u->nroutes; i++) {
        if (p->routes[u->routes + i].edge == edge) {
            return 1;
        }
    }

    return 0;
}


presence_edge_t *
presence_edge_get(presence_t *p, uint64_t id)
{
    presence_edge_t  *e;

    HASH_FIND(hh, p->edges, &id, sizeof(id), e);

    if (e == NULL) {
        e = worker_calloc(1, sizeof(*e));
        e->id = id;
        /* due for its first check even right after boot */
        e->checked_at = -PRESENCE_EDGE_MS;
        HASH_ADD(hh, p->edges, id, sizeof(e->id), e);
    }

    return e;
}


void
presence_edge_require(presence_edge_t *e)
{
    if (worker_mono_ms() - e->checked_at >= PRESENCE_EDGE_MS) {
        e->check = 1;
    }
}


store_e
presence_edges_check(presence_t *p)
{
    char              key[REDIS_KEY_SIZE];
    int64_t           exists;
    redis_reply_t    *reply;
    presence_edge_t  *e, *next;

    HASH_ITER(hh, p->edges, e, next) {
        if (e->check) {
            redis_key(key, CHAT_KEY_EDGE, e->id);
            presence_append(p, key, "EXISTS %s", key);
        }
    }

    HASH_ITER(hh, p->edges, e, next) {

        if (!e->check) {
            continue;
        }

        reply = presence_read(p);
        if (reply == NULL) {
            return STORE_UNAVAILABLE;
        }

        e->check = 0;
        (void) redis_reply_integer(reply, &exists);
        e->alive = exists != 0;
        e->checked_at = worker_mono_ms();
        redis_reply_free(reply);
    }

    return STORE_OK;
}


void
presence_edges_trim(presence_t *p)
{
    presence_edge_t  *e, *next;

    HASH_ITER(hh, p->edges, e, next) {

        if (worker_mono_ms() - e->checked_at > PRESENCE_EDGE_KEEP) {
            HASH_DELETE(hh, p->edges, e);
            chat_buf_free(&e->batch);
            chat_buf_free(&e->updates);
            free(e);
        }
    }
}


void
presence_edges_clear(presence_t *p)
{
    presence_edge_t  *e, *next;

    HASH_ITER(hh, p->edges, e, next) {
        HASH_DELETE(hh, p->edges, e);
        chat_buf_free(&e->batch);
        chat_buf_free(&e->updates);
        free(e);
    }
}


/* TIME is read first, so as_of is not later than any of the routes. */

static store_e
presence_routes_read(presence_t *p)
{
    char              key[REDIS_KEY_SIZE];
    redis_reply_t    *reply;
    presence_user_t  *u, *next;

    presence_append(p, REDIS_ANY_NODE, "TIME");

    HASH_ITER(hh, p->users, u, next) {
        redis_key(key, CHAT_KEY_ROUTE, u->user);
        presence_append(p, key, "HGETALL %s", key);
    }

    reply = presence_read(p);
    if (reply == NULL) {
        return STORE_UNAVAILABLE;
    }

    p->as_of = presence_redis_time(reply);
    redis_reply_free(reply);

    HASH_ITER(hh, p->users, u, next) {
        reply = presence_read(p);
        if (reply == NULL) {
            return STORE_UNAVAILABLE;
        }

        presence_routes_add(p, u, reply);
        redis_reply_free(reply);
    }

    return STORE_OK;
}


static void
presence_routes_add(presence_t *p, presence_user_t *u,
    const redis_reply_t *reply)
{
    size_t            i;
    chat_str_t        device, text;
    presence_route_t  route;

    u->routes = p->nroutes;
    u->nroutes = 0;
    u->online = 0;

    for (i = 0; i + 1 < redis_reply_count(reply); i += 2) {

        if (redis_reply_str(redis_reply_at(reply, i), &device) != 0
            || redis_reply_str(redis_reply_at(reply, i + 1), &text) != 0
            || chat_num_parse(device.data, device.len, &route.device) != 0
            || chat_route_parse(text.data, text.len, &route.edge,
                                    &route.session) != 0)
        {
            continue;
        }

        WORKER_GROW(p->routes, p->nroutes, p->routes_max);
        p->routes[p->nroutes++] = route;
        u->nroutes++;
    }
}


/* [seconds, microseconds] */

static int64_t
presence_redis_time(const redis_reply_t *reply)
{
    const char  *s, *us;

    s = redis_reply_text(redis_reply_at(reply, 0));
    us = redis_reply_text(redis_reply_at(reply, 1));

    if (s == NULL || us == NULL) {
        return 0;
    }

    return strtoll(s, NULL, 10) * 1000000 + strtoll(us, NULL, 10);
}
