/*
 * fanout_route.c: which user is connected to which edge: a cache.
 *
 * Called from fanout_publish.c and, for invalidations, from workers/redis/;
 * hands to workers/redis/. Redis keeps the cache valid (client-side caching,
 * redis_tracking.c): it sends an invalidation for each route that was read on
 * the worker's connection and has changed since.
 *
 * The order matters. A session whose list was read before the commit had
 * written its route into Redis before that, so the invalidation exists. It may
 * still be in transit; but a reply to a command that was sent after the commit
 * arrives after it. The PUBLISH is that command: it is sent at once, by what
 * the cache holds, and when it is answered the invalidations that have arrived
 * name the routes that were stale, see fanout_confirm(). A check before the
 * PUBLISH would cost each batch one more round trip.
 */

#include <stdlib.h>
#include <string.h>

#include "chat_id.h"
#include "chat_keys.h"
#include "fanout_private.h"

#define FANOUT_FETCH  1000          /* HGETALLs in one pipeline             */

static int fanout_route_query(fanout_t *f, fanout_route_t **routes, size_t n);
static int fanout_route_refused(const redis_reply_t *reply);
static void fanout_route_read(fanout_route_t *route,
    const redis_reply_t *reply);
static void fanout_route_add_marker(fanout_route_t *route, uint64_t device);
static void fanout_route_stale(fanout_t *f, fanout_route_t *route);
static void fanout_route_drop(fanout_t *f, fanout_route_t *route);


/* The user's route. A route that is not cached is read by the next
 * fanout_route_fetch() and has no sessions until then. */

fanout_route_t *
fanout_route_get(fanout_t *f, uint64_t user)
{
    fanout_route_t  *route;

    HASH_FIND(hh, f->routes, &user, sizeof(user), route);

    if (route == NULL) {
        route = worker_calloc(1, sizeof(*route));
        route->user = user;
        HASH_ADD(hh, f->routes, user, sizeof(route->user), route);

        WORKER_GROW(f->missing, f->nmissing, f->missing_max);
        f->missing[f->nmissing++] = route;
        route->reread = f->republishing ? f->batch : 0;
    }

    route->batch = f->batch;

    return route;
}


int
fanout_route_fetch(fanout_t *f)
{
    size_t  i, n;

    for (i = 0; i < f->nmissing; i += n) {
        n = f->nmissing - i;

        if (n > FANOUT_FETCH) {
            n = FANOUT_FETCH;
        }

        if (fanout_route_query(f, f->missing + i, n) != 0) {
            return -1;
        }
    }

    f->nmissing = 0;

    return 0;
}


void
fanout_route_add(fanout_route_t *route, uint64_t device, uint64_t edge,
    uint64_t session)
{
    route->sessions = worker_realloc(route->sessions, (route->n + 1u)
                                     * sizeof(*route->sessions));

    route->sessions[route->n].device = device;
    route->sessions[route->n].edge = edge;
    route->sessions[route->n].session = session;
    route->n++;
}


/* A route that we have changed ourselves: NOLOOP. */

void
fanout_route_evict(fanout_t *f, uint64_t user)
{
    fanout_route_t  *route;

    HASH_FIND(hh, f->routes, &user, sizeof(user), route);

    if (route != NULL) {
        fanout_route_drop(f, route);
    }
}


void
fanout_route_clear(fanout_t *f)
{
    fanout_route_t  *route, *next;

    HASH_ITER(hh, f->routes, route, next) {
        fanout_route_stale(f, route);
    }
}


/* The oldest go first, between batches. */

void
fanout_route_trim(fanout_t *f)
{
    while (HASH_COUNT(f->routes) > FANOUT_ROUTES_MAX) {
        fanout_route_drop(f, f->routes);
    }
}


/* Handles the invalidations that have arrived; never waits. */

int
fanout_route_drain(fanout_t *f)
{
    return redis_tracking_drain(f->tracking);
}


static int
fanout_route_query(fanout_t *f, fanout_route_t **routes, size_t n)
{
    int             refused;
    char            key[REDIS_KEY_SIZE];
    size_t          i;
    redis_reply_t  *reply;

    for (i = 0; i < n; i++) {
        redis_key(key, CHAT_KEY_ROUTE, routes[i]->user);
        redis_tracking_append(f->tracking, key, "HGETALL %s", key);
    }

    for (i = 0; i < n; i++) {
        reply = redis_tracking_read(f->tracking);

        if (reply == NULL) {
            return -1;
        }

        refused = fanout_route_refused(reply);
        fanout_route_read(routes[i], reply);
        redis_reply_free(reply);

        if (refused) {
            return -1;
        }
    }

    return 0;
}


/* A command that Redis has refused (it is loading, an ACL forbids the command)
 * is not tracked, so its route must not be cached. A key that is no hash has
 * been read and is tracked; it holds no routes. */

static int
fanout_route_refused(const redis_reply_t *reply)
{
    const char  *error;

    error = redis_reply_error(reply);

    if (error == NULL || strncmp(error, "WRONGTYPE", 9) == 0) {
        return 0;
    }

    worker_log(WORKER_WARN, "redis refuses to read a route: %s", error);

    return 1;
}


static void
fanout_route_read(fanout_route_t *route, const redis_reply_t *reply)
{
    size_t      i;
    uint64_t    device, edge, session;
    chat_str_t  name, value;

    for (i = 0; i + 1 < redis_reply_count(reply); i += 2) {

        if (redis_reply_str(redis_reply_at(reply, i), &name) != 0
            || redis_reply_str(redis_reply_at(reply, i + 1), &value) != 0)
        {
            continue;
        }

        if (name.len > 1 && name.data[0] == '-') {
            if (chat_num_parse(name.data + 1, name.len - 1, &device) == 0) {
                fanout_route_add_marker(route, device);
            }

            continue;
        }

        if (chat_num_parse(name.data, name.len, &device) == 0
            && chat_route_parse(value.data, value.len, &edge, &session) == 0)
        {
            fanout_route_add(route, device, edge, session);
        }
    }
}


static void
fanout_route_add_marker(fanout_route_t *route, uint64_t device)
{
    route->markers = worker_realloc(route->markers, (route->nmarkers + 1u)
                                    * sizeof(*route->markers));
    route->markers[route->nmarkers++] = device;
}


/* The key of a cached route, "route:{user}", has changed. */

void
fanout_route_invalid(void *data, const chat_str_t *key)
{
    uint64_t         user;
    fanout_t        *f = data;
    fanout_route_t  *route;

    if (key->len < 9 || memcmp(key->data, "route:{", 7) != 0
        || chat_num_parse(key->data + 7, key->len - 8, &user) != 0)
    {
        return;
    }

    HASH_FIND(hh, f->routes, &user, sizeof(user), route);

    if (route != NULL) {
        fanout_route_stale(f, route);
    }
}


/* Any key may have changed. */

void
fanout_route_flushed(void *data)
{
    fanout_route_clear(data);
}


/* A stale route of the batch means that the batch is published again. During
 * such a repetition only the routes that it has read matter: the others were
 * valid when their entries were published. */

static void
fanout_route_stale(fanout_t *f, fanout_route_t *route)
{
    if (route->batch == f->batch
        && (!f->republishing || route->reread == f->batch))
    {
        f->stale = 1;
    }

    fanout_route_drop(f, route);
}


static void
fanout_route_drop(fanout_t *f, fanout_route_t *route)
{
    HASH_DELETE(hh, f->routes, route);
    free(route->sessions);
    free(route->markers);
    free(route);
}
