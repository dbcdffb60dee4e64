/*
 * presence_round.c: processes one read, from its events to the updates.
 *
 * Called from presence_role.c; hands to route, watch, user and publish. The
 * order in presence_round() matters: an edge is registered as watching before
 * the routes are read, so whoever changes a route after that read finds the
 * edge registered; and a session writes its route before its ONLINE. So every
 * change is in the answer or in an update after it.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "presence.h"

/* The edge has retried an older request, or answered its client. */
#define PRESENCE_TOO_OLD_MS  10000

static void presence_add_request(presence_t *p, const chat_event_t *ev);
static void presence_change(presence_t *p, const presence_change_t *change,
    int64_t now);
static store_e presence_pairs(presence_t *p);
static void presence_collect_users(presence_t *p);
static void presence_edge_user_add(presence_t *p, uint64_t edge, uint64_t user);
static store_e presence_apply_routes(presence_t *p);
static void presence_add_unannounced(presence_t *p);
static store_e presence_leaving(presence_t *p);


int
presence_add_event(presence_t *p, const uint8_t *data, size_t len, int64_t now)
{
    size_t              i, n;
    chat_event_t        ev;
    const uint8_t      *body;
    presence_change_t   change;

    if (chat_event_decode(data, len, &ev) != 0
        || ev.type < CHAT_EV_ONLINE || ev.type > CHAT_EV_REFRESH
        || ev.body.len % CHAT_USER_SIZE != 0
        || ev.body.len / CHAT_USER_SIZE > PRESENCE_BODY)
    {
        return -1;
    }

    if (ev.type == CHAT_EV_WATCH) {
        if (now - ev.received <= PRESENCE_TOO_OLD_MS) {
            presence_add_request(p, &ev);
        }

        return 0;
    }

    n = ev.body.len / CHAT_USER_SIZE;
    body = (const uint8_t *) ev.body.data;

    change.type = ev.type;
    change.edge = ev.edge;
    change.received = ev.received;

    for (i = 0; i < n; i++) {
        body = chat_user_decode(body, &change.user);

        WORKER_GROW(p->changes, p->nchanges, p->changes_max);
        p->changes[p->nchanges++] = change;
    }

    return 0;
}


store_e
presence_round(presence_t *p)
{
    size_t   i;
    int64_t  now;
    store_e  rc;

    now = worker_ms();

    rc = presence_pairs(p);
    if (rc != STORE_OK) {
        return rc;
    }

    for (i = 0; i < p->nchanges; i++) {
        presence_change(p, &p->changes[i], now);
    }

    rc = presence_watch_add(p);
    if (rc != STORE_OK) {
        return rc;
    }

    presence_collect_users(p);

    rc = presence_routes_load(p);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = presence_apply_routes(p);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = presence_leaving(p);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = presence_users_load(p);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = presence_watch_updates(p, now);
    if (rc != STORE_OK) {
        return rc;
    }

    for (i = 0; i < p->nrequests; i++) {
        presence_answer(p, &p->requests[i]);
    }

    return presence_publish(p);
}


void
presence_reset(presence_t *p)
{
    p->nchanges = 0;
    p->nrequests = 0;
    p->npairs = 0;
    presence_users_clear(p);
    presence_discard(p);
}


static void
presence_add_request(presence_t *p, const chat_event_t *ev)
{
    size_t               i;
    const uint8_t       *body;
    presence_request_t  *request;

    WORKER_GROW(p->requests, p->nrequests, p->requests_max);
    request = &p->requests[p->nrequests++];

    request->edge = ev->edge;
    request->session = ev->session;
    request->received = ev->received;
    request->requested = (ev->flags & CHAT_EV_F_REQUESTED) != 0;
    request->pairs = p->npairs;
    request->npairs = ev->body.len / CHAT_USER_SIZE;

    body = (const uint8_t *) ev->body.data;

    for (i = 0; i < request->npairs; i++) {
        WORKER_GROW(p->pairs, p->npairs, p->pairs_max);
        p->pairs[p->npairs].asker = ev->user;
        body = chat_user_decode(body, &p->pairs[p->npairs].user);
        p->npairs++;
    }
}


/* Reads which pairs share a chat: only those may know. */

static store_e
presence_pairs(presence_t *p)
{
    store_presence_t  *store;

    if (p->npairs == 0) {
        return STORE_OK;
    }

    if (p->shared_max < p->npairs) {
        p->shared_max = p->pairs_max;
        p->shared = worker_realloc(p->shared, p->shared_max);
    }

    store = presence_store(p);

    return store ? store_presence_shared(store, p->pairs, p->npairs,
                                         p->shared)
                 : STORE_UNAVAILABLE;
}


/* Writes what an event changes in Redis. The users of an edge are recorded so
 * that presence_sweep() finds them when the edge dies. */

static void
presence_change(presence_t *p, const presence_change_t *change, int64_t now)
{
    char     key[REDIS_KEY_SIZE];
    int64_t  due;

    switch (change->type) {

    case CHAT_EV_ONLINE:
        presence_edge_user_add(p, change->edge, change->user);
        return;

    case CHAT_EV_OFFLINE:
        /* an edge's clock that is ahead must not extend the delay */
        due = (change->received < now ? change->received : now)
              + CHAT_PRESENCE_DELAY;

        redis_key(key, CHAT_KEY_EDGE_USERS, change->edge);
        presence_append(p, key, "SREM %s %" PRIu64, key, change->user);
        presence_append(p, CHAT_KEY_LEAVING,
                        "ZADD " CHAT_KEY_LEAVING " %lld %" PRIu64,
                        (long long) due, change->user);
        return;

    case CHAT_EV_UNWATCH:
        presence_watch_remove(p, change);
        return;
    }
}


static void
presence_edge_user_add(presence_t *p, uint64_t edge, uint64_t user)
{
    char  key[REDIS_KEY_SIZE];

    redis_key(key, CHAT_KEY_EDGE_USERS, edge);
    presence_append(p, key, "SADD %s %" PRIu64, key, user);
    presence_append(p, CHAT_KEY_EDGES, "SADD " CHAT_KEY_EDGES " %016" PRIx64,
                    edge);
}


/* Collects the users whose routes this round reads. */

static void
presence_collect_users(presence_t *p)
{
    size_t  i;

    for (i = 0; i < p->nchanges; i++) {
        if (p->changes[i].type != CHAT_EV_UNWATCH) {
            (void) presence_user(p, p->changes[i].user);
        }
    }

    for (i = 0; i < p->npairs; i++) {
        if (p->shared[i] && p->pairs[i].asker != p->pairs[i].user) {
            (void) presence_user(p, p->pairs[i].user);
        }
    }
}


/* Marks the users to publish. A user who went offline with one device may have
 * another on the same edge: the removal from the edge's users is then undone.
 * The order is remove, then add, because another worker may have added the user
 * in between. */

static store_e
presence_apply_routes(presence_t *p)
{
    size_t              i;
    presence_change_t  *change;
    presence_user_t    *u;

    for (i = 0; i < p->nchanges; i++) {
        change = &p->changes[i];

        switch (change->type) {

        case CHAT_EV_ONLINE:
            u = presence_user(p, change->user);
            u->notify |= u->online;
            break;

        case CHAT_EV_OFFLINE:
            u = presence_user(p, change->user);

            if (presence_route_on(p, u, change->edge)) {
                presence_edge_user_add(p, change->edge, change->user);
            }

            break;

        case CHAT_EV_REFRESH:
            presence_user(p, change->user)->notify = 1;
            break;
        }
    }

    presence_add_unannounced(p);

    return presence_drain(p);
}


/* An edge batches ONLINE for up to 200 ms and may die before it sends one. A
 * user whom an answer shows as online must still be found by the sweep. */

static void
presence_add_unannounced(presence_t *p)
{
    size_t            i, k;
    presence_user_t  *u;

    for (i = 0; i < p->npairs; i++) {

        if (!p->shared[i] || p->pairs[i].asker == p->pairs[i].user) {
            continue;
        }

        u = presence_user(p, p->pairs[i].user);

        for (k = u->routes; k < u->routes + u->nroutes; k++) {
            if (presence_edge_get(p, p->routes[k].edge)->alive) {
                presence_edge_user_add(p, p->routes[k].edge, u->user);
            }
        }
    }
}


static store_e
presence_leaving(presence_t *p)
{
    redis_reply_t    *reply;
    presence_user_t  *u, *next;

    HASH_ITER(hh, p->users, u, next) {
        if (!u->online) {
            presence_append(p, CHAT_KEY_LEAVING,
                            "ZSCORE " CHAT_KEY_LEAVING " %" PRIu64, u->user);
        }
    }

    HASH_ITER(hh, p->users, u, next) {

        if (u->online) {
            continue;
        }

        reply = presence_read(p);
        if (reply == NULL) {
            return STORE_UNAVAILABLE;
        }

        u->leaving = redis_reply_text(reply) != NULL;
        redis_reply_free(reply);
    }

    return STORE_OK;
}
