/*
 * presence_user.c: the users of a round.
 *
 * Called from presence_round.c and presence_offline.c; hands to
 * store_presence.h.
 */

#include <stdlib.h>
#include <string.h>

#include "presence.h"

#define PRESENCE_STORE_MS  2000     /* longest wait between connects        */

static void presence_user_load(void *ctx, uint64_t user, int online,
    int64_t last_seen);


presence_user_t *
presence_user(presence_t *p, uint64_t user)
{
    presence_user_t  *u;

    u = presence_user_find(p, user);

    if (u == NULL) {
        u = worker_calloc(1, sizeof(*u));
        u->user = user;
        HASH_ADD(hh, p->users, user, sizeof(u->user), u);
    }

    return u;
}


presence_user_t *
presence_user_find(presence_t *p, uint64_t user)
{
    presence_user_t  *u;

    HASH_FIND(hh, p->users, &user, sizeof(user), u);

    return u;
}


void
presence_users_clear(presence_t *p)
{
    presence_user_t  *u, *next;

    HASH_ITER(hh, p->users, u, next) {
        HASH_DELETE(hh, p->users, u);
        free(u);
    }

    p->nroutes = 0;
}


store_e
presence_users_load(presence_t *p)
{
    size_t             n;
    store_e            rc;
    uint64_t          *ids;
    presence_user_t   *u, *next;
    store_presence_t  *store;

    n = 0;
    ids = worker_calloc(HASH_COUNT(p->users) + 1u, sizeof(*ids));

    HASH_ITER(hh, p->users, u, next) {
        ids[n++] = u->user;
        u->loaded = 1;
    }

    rc = STORE_OK;

    if (n != 0) {
        store = presence_store(p);
        rc = store ? store_presence_users(store, ids, n, presence_user_load,
                                          p)
                   : STORE_UNAVAILABLE;
    }

    free(ids);

    return rc;
}


static void
presence_user_load(void *ctx, uint64_t user, int online, int64_t last_seen)
{
    presence_user_t  *u;

    u = presence_user_find(ctx, user);

    if (u != NULL) {
        u->visible = online ? 1 : 0;
        u->last_seen = last_seen;
    }
}


/* A user who has just departed may be reloading a page: during the offline
 * delay the user stays online. */

void
presence_user_item(const presence_user_t *u, chat_presence_t *item_r)
{
    if (!u->loaded) {
        worker_die("user=%llu is published before it is loaded",
                   (unsigned long long) u->user);
    }

    item_r->user = u->user;

    if (u->visible && (u->online || u->leaving)) {
        item_r->flags = CHAT_PRESENCE_ONLINE;
        item_r->last_seen = 0;

    } else {
        item_r->flags = 0;
        item_r->last_seen = u->last_seen;
    }
}


/* A connect may take two seconds, so a failed one is followed by a backoff. */

store_presence_t *
presence_store(presence_t *p)
{
    if (worker_mono_ms() < p->store_next) {
        return NULL;
    }

    if (store_presence_connect(p->store) == STORE_OK) {
        p->store_failures = 0;
        p->store_next = 0;
        return p->store;
    }

    p->store_next = worker_mono_ms()
                    + worker_backoff(p->store_failures++, 200,
                                     PRESENCE_STORE_MS);

    return NULL;
}
