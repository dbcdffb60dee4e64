/*
 * presence_round.c: what was read at once, from its events to the news.
 *
 * Called from presence_role.c; hands to route, watch, user and publish. The
 * order of presence_round() matters: an edge is put down as watching before
 * the routes are read, so whoever changes a route after that reading finds the
 * edge there; and a session has its route before it is told of. So no change
 * falls between a question and the news.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "presence.h"

#define PRESENCE_TOO_OLD_MS  10000  /* the edge has asked again since        */

static void presence_take_ask(presence_t *p, const chat_event_t *ev);
static void presence_change(presence_t *p, const presence_change_t *note,
    int64_t now);
static store_e presence_pairs(presence_t *p);
static void presence_want(presence_t *p);
static void presence_here(presence_t *p, uint64_t edge, uint64_t user);
static store_e presence_still_here(presence_t *p);
static void presence_untold(presence_t *p);
static store_e presence_leaving(presence_t *p);


int
presence_take(presence_t *p, const uint8_t *data, size_t len, int64_t now)
{
    size_t            i, n;
    chat_event_t      ev;
    const uint8_t    *body;
    presence_change_t   note;

    if (chat_event_decode(data, len, &ev) != 0
        || ev.type < CHAT_EV_ONLINE || ev.type > CHAT_EV_REFRESH
        || ev.body.len % CHAT_USER_SIZE != 0
        || ev.body.len / CHAT_USER_SIZE > PRESENCE_BODY)
    {
        return -1;
    }

    if (ev.type == CHAT_EV_WATCH) {
        if (now - ev.received <= PRESENCE_TOO_OLD_MS) {
            presence_take_ask(p, &ev);
        }

        return 0;
    }

    n = ev.body.len / CHAT_USER_SIZE;
    body = (const uint8_t *) ev.body.data;

    note.type = ev.type;
    note.edge = ev.edge;
    note.received = ev.received;

    for (i = 0; i < n; i++) {
        body = chat_user_decode(body, &note.user);

        PRESENCE_GROW(p->notes, p->nnotes, p->notes_max)
        p->notes[p->nnotes++] = note;
    }

    return 0;
}


/* STORE_OK also when a statement was wrong, after saying so: doing it again
 * would not help. */

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

    for (i = 0; i < p->nnotes; i++) {
        presence_change(p, &p->notes[i], now);
    }

    rc = presence_watch_add(p);
    if (rc != STORE_OK) {
        return rc;
    }

    presence_want(p);

    rc = presence_routes_load(p);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = presence_still_here(p);
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

    for (i = 0; i < p->nasks; i++) {
        presence_answer(p, &p->asks[i]);
    }

    return presence_publish(p);
}


void
presence_reset(presence_t *p)
{
    p->nnotes = 0;
    p->nasks = 0;
    p->npairs = 0;
    presence_users_clear(p);
    presence_unpublish(p);
}


static void
presence_take_ask(presence_t *p, const chat_event_t *ev)
{
    size_t           i;
    const uint8_t   *body;
    presence_ask_t  *ask;

    PRESENCE_GROW(p->asks, p->nasks, p->asks_max)
    ask = &p->asks[p->nasks++];

    ask->edge = ev->edge;
    ask->session = ev->session;
    ask->received = ev->received;
    ask->asked = (ev->flags & CHAT_EV_F_REQUESTED) != 0;
    ask->pairs = p->npairs;
    ask->npairs = ev->body.len / CHAT_USER_SIZE;

    body = (const uint8_t *) ev->body.data;

    for (i = 0; i < ask->npairs; i++) {
        PRESENCE_GROW(p->pairs, p->npairs, p->pairs_max)
        p->pairs[p->npairs].asker = ev->user;
        body = chat_user_decode(body, &p->pairs[p->npairs].user);
        p->npairs++;
    }
}


/* Who may know. */

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


/* What an event changes in Redis. The users of an edge are kept so that they
 * are found when it dies. */

static void
presence_change(presence_t *p, const presence_change_t *note, int64_t now)
{
    int64_t  due;

    switch (note->type) {

    case CHAT_EV_ONLINE:
        presence_here(p, note->edge, note->user);
        return;

    case CHAT_EV_OFFLINE:
        /* an edge's clock that is ahead must not put it off */
        due = (note->received < now ? note->received : now)
              + CHAT_PRESENCE_DELAY;

        presence_queue(p, "SREM " CHAT_KEY_EDGE_USERS " %" PRIu64,
                       note->edge, note->user);
        presence_queue(p, "ZADD " CHAT_KEY_LEAVING " %lld %" PRIu64,
                       (long long) due, note->user);
        return;

    case CHAT_EV_UNWATCH:
        presence_watch_remove(p, note);
        return;
    }
}


static void
presence_here(presence_t *p, uint64_t edge, uint64_t user)
{
    presence_queue(p, "SADD " CHAT_KEY_EDGE_USERS " %" PRIu64, edge, user);
    presence_queue(p, "SADD " CHAT_KEY_EDGES " %016" PRIx64, edge);
}


/* The users whose routes are to be read. */

static void
presence_want(presence_t *p)
{
    size_t  i;

    for (i = 0; i < p->nnotes; i++) {
        if (p->notes[i].type != CHAT_EV_UNWATCH) {
            (void) presence_user(p, p->notes[i].user);
        }
    }

    for (i = 0; i < p->npairs; i++) {
        if (p->shared[i] && p->pairs[i].asker != p->pairs[i].user) {
            (void) presence_user(p, p->pairs[i].user);
        }
    }
}


/* A device has gone from an edge on which the user has another. Taken out and
 * put back, in this order, for another worker may just have put it in. And who
 * has come is news. */

static store_e
presence_still_here(presence_t *p)
{
    size_t            i;
    presence_change_t  *note;
    presence_user_t  *u;

    for (i = 0; i < p->nnotes; i++) {
        note = &p->notes[i];

        switch (note->type) {

        case CHAT_EV_ONLINE:
            u = presence_user(p, note->user);
            u->news |= u->online;
            break;

        case CHAT_EV_OFFLINE:
            u = presence_user(p, note->user);

            if (presence_route_on(p, u, note->edge)) {
                presence_here(p, note->edge, note->user);
            }

            break;

        case CHAT_EV_REFRESH:
            presence_user(p, note->user)->news = 1;
            break;
        }
    }

    presence_untold(p);

    return presence_drain(p);
}


/* An edge that dies within 200 ms of a connect has not told of it. Whoever is
 * shown as online because of the route must be found all the same. */

static void
presence_untold(presence_t *p)
{
    size_t            i, k;
    presence_user_t  *u;

    for (i = 0; i < p->npairs; i++) {

        if (!p->shared[i] || p->pairs[i].asker == p->pairs[i].user) {
            continue;
        }

        u = presence_user(p, p->pairs[i].user);

        for (k = u->routes; k < u->routes + u->nroutes; k++) {
            if (presence_edge(p, p->routes[k].edge)->alive) {
                presence_here(p, p->routes[k].edge, u->user);
            }
        }
    }
}


static store_e
presence_leaving(presence_t *p)
{
    redisReply       *reply;
    presence_user_t  *u, *next;

    HASH_ITER(hh, p->users, u, next) {
        if (!u->online) {
            presence_queue(p, "ZSCORE " CHAT_KEY_LEAVING " %" PRIu64,
                           u->user);
        }
    }

    HASH_ITER(hh, p->users, u, next) {

        if (u->online) {
            continue;
        }

        reply = presence_reply(p);
        if (reply == NULL) {
            return STORE_UNAVAILABLE;
        }

        u->leaving = reply->type == REDIS_REPLY_STRING;
        freeReplyObject(reply);
    }

    return STORE_OK;
}
