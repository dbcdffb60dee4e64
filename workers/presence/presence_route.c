/*
 * presence_route.c: who is connected, to edges that live.
 *
 * Called from presence_round.c, presence_watch.c and presence_gone.c; hands to
 * Redis. A route whose edge has let its key expire is of a process that died:
 * it counts for nothing and is deleted on sight, if it is still that one.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chat_id.h"
#include "presence.h"

#define PRESENCE_EDGE_MS    1000    /* a look at an edge is true so long    */
#define PRESENCE_EDGE_KEEP  60000

/* In the same step as the look at the edge: a key may be gone for a moment
 * although its edge lives (Redis emptied, its clock set). The edge writes its
 * routes anew when it finds that out, so what is deleted before that comes
 * back, and after that nothing may be. */
static const char  presence_purge_script[] =
    "if redis.call('EXISTS',KEYS[2])==0 "
    "and redis.call('HGET',KEYS[1],ARGV[1])==ARGV[2] then "
    "redis.call('HDEL',KEYS[1],ARGV[1]) " CHAT_ROUTE_LUA_END " end return 0";

static store_e presence_routes_read(presence_t *p);
static void presence_routes_add(presence_t *p, presence_user_t *u,
    const redisReply *reply);
static int64_t presence_time(const redisReply *reply);


/* `online` of all users of the round. */

store_e
presence_routes_load(presence_t *p)
{
    size_t             i;
    store_e            rc;
    presence_user_t   *u, *next;
    presence_route_t  *route;

    if (p->users == NULL) {
        return STORE_OK;
    }

    rc = presence_routes_read(p);
    if (rc != STORE_OK) {
        return rc;
    }

    for (i = 0; i < p->nroutes; i++) {
        presence_edge_want(presence_edge(p, p->routes[i].edge));
    }

    rc = presence_edges_look(p);
    if (rc != STORE_OK) {
        return rc;
    }

    HASH_ITER(hh, p->users, u, next) {

        for (i = 0; i < u->nroutes; i++) {
            route = &p->routes[u->routes + i];

            if (presence_edge(p, route->edge)->alive) {
                u->online = 1;
                continue;
            }

            presence_queue(p, "EVAL %s 2 " CHAT_KEY_ROUTE " " CHAT_KEY_EDGE
                           " %" PRIu64 " %016" PRIx64 ":%" PRIu64,
                           presence_purge_script, u->user, route->edge,
                           route->device, route->edge, route->session);
        }
    }

    return presence_drain(p);
}


/* 1 when the user has a route to this edge. */

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


/* "<edge, 16 hex digits>:<session>" */

int
presence_route_parse(const char *text, size_t len, uint64_t *edge_r,
    uint64_t *session_r)
{
    char   hex[17];
    char  *end;

    if (len < 18 || text[16] != ':'
        || chat_num_parse(text + 17, len - 17, session_r) != 0)
    {
        return -1;
    }

    memcpy(hex, text, 16);
    hex[16] = '\0';

    if (strspn(hex, "0123456789abcdef") != 16) {
        return -1;
    }

    *edge_r = strtoull(hex, &end, 16);

    return 0;
}


presence_edge_t *
presence_edge(presence_t *p, uint64_t id)
{
    presence_edge_t  *e;

    HASH_FIND(hh, p->edges, &id, sizeof(id), e);

    if (e == NULL) {
        e = worker_calloc(1, sizeof(*e));
        e->id = id;
        e->looked = -PRESENCE_EDGE_MS;
        HASH_ADD(hh, p->edges, id, sizeof(e->id), e);
    }

    return e;
}


/* presence_edges_look() will know whether it lives. */

void
presence_edge_want(presence_edge_t *e)
{
    if (worker_mono_ms() - e->looked >= PRESENCE_EDGE_MS) {
        e->ask = 1;
    }
}


store_e
presence_edges_look(presence_t *p)
{
    redisReply       *reply;
    presence_edge_t  *e, *next;

    HASH_ITER(hh, p->edges, e, next) {
        if (e->ask) {
            presence_queue(p, "EXISTS " CHAT_KEY_EDGE, e->id);
        }
    }

    HASH_ITER(hh, p->edges, e, next) {

        if (!e->ask) {
            continue;
        }

        reply = presence_reply(p);
        if (reply == NULL) {
            return STORE_UNAVAILABLE;
        }

        e->ask = 0;
        e->alive = reply->integer != 0;
        e->looked = worker_mono_ms();
        freeReplyObject(reply);
    }

    return STORE_OK;
}


void
presence_edges_trim(presence_t *p)
{
    presence_edge_t  *e, *next;

    HASH_ITER(hh, p->edges, e, next) {

        if (worker_mono_ms() - e->looked > PRESENCE_EDGE_KEEP) {
            HASH_DELETE(hh, p->edges, e);
            chat_buf_free(&e->batch);
            chat_buf_free(&e->news);
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
        chat_buf_free(&e->news);
        free(e);
    }
}


/* The time is asked for first: what is read after it is not older. */

static store_e
presence_routes_read(presence_t *p)
{
    redisReply       *reply;
    presence_user_t  *u, *next;

    presence_queue(p, "TIME");

    HASH_ITER(hh, p->users, u, next) {
        presence_queue(p, "HGETALL " CHAT_KEY_ROUTE, u->user);
    }

    reply = presence_reply(p);
    if (reply == NULL) {
        return STORE_UNAVAILABLE;
    }

    p->as_of = presence_time(reply);
    freeReplyObject(reply);

    HASH_ITER(hh, p->users, u, next) {
        reply = presence_reply(p);
        if (reply == NULL) {
            return STORE_UNAVAILABLE;
        }

        presence_routes_add(p, u, reply);
        freeReplyObject(reply);
    }

    return STORE_OK;
}


static void
presence_routes_add(presence_t *p, presence_user_t *u,
    const redisReply *reply)
{
    size_t             i;
    presence_route_t   route;
    const redisReply  *key, *value;

    u->routes = p->nroutes;
    u->nroutes = 0;
    u->online = 0;

    for (i = 0; i + 1 < reply->elements; i += 2) {
        key = reply->element[i];
        value = reply->element[i + 1];

        if (chat_num_parse(key->str, (size_t) key->len, &route.device) != 0
            || presence_route_parse(value->str, (size_t) value->len,
                                    &route.edge, &route.session) != 0)
        {
            continue;
        }

        PRESENCE_GROW(p->routes, p->nroutes, p->routes_max)
        p->routes[p->nroutes++] = route;
        u->nroutes++;
    }
}


/* [seconds, microseconds] */

static int64_t
presence_time(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        return 0;
    }

    return strtoll(reply->element[0]->str, NULL, 10) * 1000000
           + strtoll(reply->element[1]->str, NULL, 10);
}
