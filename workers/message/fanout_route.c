/*
 * fanout_route.c: which user is on which edge, without asking each time.
 *
 * Called from fanout_publish.c; hands to Redis. The cache is kept true by
 * Redis itself (CLIENT TRACKING with REDIRECT, RESP2): what was read on the
 * worker's connection and then changed is named on our second one. OPTIN, for
 * that connection reads streams too, and each XADD would be named as well.
 *
 * Order matters. A session that had its list read before our commit put its
 * route into Redis before that, so the invalidation was made before. But it
 * may still be in Redis' hands: an answer to a command that was sent after the
 * commit can only come after all that. The PUBLISH itself is that command: it
 * goes out at once by what the cache says, and once it is answered the
 * invalidations that have come say whose route was untrue, see
 * fanout_confirm(). To ask first would cost each batch a turn of Redis.
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "chat_id.h"
#include "chat_keys.h"
#include "fanout_private.h"

#define FANOUT_FETCH  1000          /* HGETALL in one go                    */

static int fanout_route_query(fanout_t *f, fanout_route_t **routes, size_t n);
static int fanout_route_refused(const redisReply *reply);
static void fanout_route_read(fanout_route_t *route, const redisReply *reply);
static void fanout_route_add_marker(fanout_route_t *route, uint64_t device);
static int fanout_route_parse(const char *text, size_t len, uint64_t *edge_r,
    uint64_t *session_r);
static void fanout_route_invalid(fanout_t *f, const redisReply *reply);
static void fanout_route_stale(fanout_t *f, fanout_route_t *route);
static void fanout_route_drop(fanout_t *f, fanout_route_t *route);


/* The user's route; one that is not known is looked up by the next
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

        FANOUT_GROW(f->missing, f->nmissing, f->missing_max)
        f->missing[f->nmissing++] = route;
        route->again = f->again ? f->batch : 0;
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


/* Takes whatever has arrived, never waits. */

int
fanout_route_drain(fanout_t *f)
{
    redisReply     *reply;
    struct pollfd   fd;

    for ( ;; ) {
        fd.fd = f->inval->fd;
        fd.events = POLLIN;
        fd.revents = 0;

        if (poll(&fd, 1, 0) <= 0) {
            return 0;
        }

        if (redisBufferRead(f->inval) != REDIS_OK) {
            worker_log(WORKER_WARN, "redis: invalidations lost: %s",
                       f->inval->errstr);
            return -1;
        }

        for ( ;; ) {
            if (redisGetReplyFromReader(f->inval, (void **) &reply)
                != REDIS_OK)
            {
                return -1;
            }

            if (reply == NULL) {
                break;
            }

            fanout_route_invalid(f, reply);
            freeReplyObject(reply);
        }
    }
}


static int
fanout_route_query(fanout_t *f, fanout_route_t **routes, size_t n)
{
    int          refused;
    size_t       i;
    redisReply  *reply;

    for (i = 0; i < n; i++) {
        (void) redisAppendCommand(f->redis, "CLIENT CACHING YES");
        (void) redisAppendCommand(f->redis, "HGETALL " CHAT_KEY_ROUTE,
                                  routes[i]->user);
    }

    for (i = 0; i < n; i++) {

        /* a route that is not tracked would be believed for ever */
        if (redisGetReply(f->redis, (void **) &reply) != REDIS_OK) {
            return -1;
        }

        refused = fanout_route_refused(reply);
        freeReplyObject(reply);

        if (refused || redisGetReply(f->redis, (void **) &reply) != REDIS_OK)
        {
            return -1;
        }

        refused = fanout_route_refused(reply);
        fanout_route_read(routes[i], reply);
        freeReplyObject(reply);

        if (refused) {
            return -1;
        }
    }

    return 0;
}


/* What Redis has not done (it is loading, an ACL forbids it) is not tracked; that
 * a key is no hash it has seen by reading it, and nobody has a route there. */

static int
fanout_route_refused(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ERROR
        || strncmp(reply->str, "WRONGTYPE", 9) == 0)
    {
        return 0;
    }

    worker_log(WORKER_WARN, "redis refuses to read a route: %s", reply->str);

    return 1;
}


static void
fanout_route_read(fanout_route_t *route, const redisReply *reply)
{
    size_t             i;
    uint64_t           device, edge, session;
    const redisReply  *key, *value;

    if (reply->type != REDIS_REPLY_ARRAY) {
        return;
    }

    for (i = 0; i + 1 < reply->elements; i += 2) {
        key = reply->element[i];
        value = reply->element[i + 1];

        if (key->len > 1 && key->str[0] == '-') {
            if (chat_num_parse(key->str + 1, (size_t) key->len - 1, &device)
                == 0)
            {
                fanout_route_add_marker(route, device);
            }

            continue;
        }

        if (chat_num_parse(key->str, key->len, &device) == 0
            && fanout_route_parse(value->str, value->len, &edge, &session)
               == 0)
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


/* "<edge, 16 hex digits>:<session>" */

static int
fanout_route_parse(const char *text, size_t len, uint64_t *edge_r,
    uint64_t *session_r)
{
    int       c;
    size_t    i;
    uint64_t  edge;

    if (len < 18 || text[16] != ':') {
        return -1;
    }

    for (edge = 0, i = 0; i < 16; i++) {
        c = text[i];

        if (c >= '0' && c <= '9') {
            c -= '0';

        } else if (c >= 'a' && c <= 'f') {
            c -= 'a' - 10;

        } else {
            return -1;
        }

        edge = edge << 4 | (uint64_t) c;
    }

    *edge_r = edge;

    return chat_num_parse(text + 17, len - 17, session_r);
}


/* ["message", "__redis__:invalidate", [keys]]; without keys: all of them */

static void
fanout_route_invalid(fanout_t *f, const redisReply *reply)
{
    size_t             i;
    uint64_t           user;
    const redisReply  *keys, *key;
    fanout_route_t    *route;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3
        || strcmp(reply->element[0]->str, "message") != 0)
    {
        return;
    }

    keys = reply->element[2];

    if (keys->type != REDIS_REPLY_ARRAY) {
        fanout_route_clear(f);
        return;
    }

    for (i = 0; i < keys->elements; i++) {
        key = keys->element[i];

        /* route:{user} */
        if (key->len < 9 || memcmp(key->str, "route:{", 7) != 0
            || chat_num_parse(key->str + 7, (size_t) key->len - 8, &user) != 0)
        {
            continue;
        }

        HASH_FIND(hh, f->routes, &user, sizeof(user), route);

        if (route != NULL) {
            fanout_route_stale(f, route);
        }
    }
}


/* Of those that were read again, only they matter: the others were true when
 * the entry was told. */

static void
fanout_route_stale(fanout_t *f, fanout_route_t *route)
{
    if (route->batch == f->batch
        && (!f->again || route->again == f->batch))
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
