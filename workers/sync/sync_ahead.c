/*
 * sync_ahead.c: what many requests need, asked together.
 *
 * Called from sync_role.c; hands to store_sync.c. After a restart of an edge,
 * or of a network, everybody comes back at once, and most have missed nothing:
 * one statement for sixty of them costs the database a third of sixty.
 */

#include "sync.h"
#include "worker.h"

#define SYNC_AHEAD       64         /* requests a statement                  */
#define SYNC_AHEAD_LIST  32         /* chats of each; who has more asks alone */

typedef struct {
    sync_request_t  *of[SYNC_AHEAD];
    uint64_t         users[SYNC_AHEAD];
    uint64_t         devices[SYNC_AHEAD];
    size_t           n;
    chat_buf_t      *items;
} sync_ahead_t;

static void sync_ahead_ask(store_sync_t *store, sync_ahead_t *a);
static void sync_ahead_item(void *ctx, size_t i,
    const chat_list_item_t *item);
static void sync_ahead_add(sync_ahead_t *a, sync_request_t *request);


void
sync_ahead(store_sync_t *store, sync_request_t *requests, size_t n,
    chat_buf_t *items)
{
    size_t        i;
    sync_ahead_t  a;

    a.n = 0;
    a.items = items;

    for (i = 0; i < n; i++) {

        if (requests[i].ev == NULL
            || requests[i].ev->type != CHAT_EV_SYNC_LIST)
        {
            continue;
        }

        sync_ahead_add(&a, &requests[i]);

        if (a.n == SYNC_AHEAD) {
            sync_ahead_ask(store, &a);
            a.n = 0;
        }
    }

    sync_ahead_ask(store, &a);
}


static void
sync_ahead_ask(store_sync_t *store, sync_ahead_t *a)
{
    size_t          i, n;
    store_device_e  states[SYNC_AHEAD];

    if (a->n < 2
        || store_sync_devices(store, a->users, a->devices, a->n, states)
           != STORE_OK)
    {
        return;
    }

    n = a->n;
    a->n = 0;

    for (i = 0; i < n; i++) {
        a->of[i]->known.device = 1;
        a->of[i]->known.state = states[i];

        /* a body names chats, which is another question */
        if (states[i] == STORE_DEVICE_LIVE && a->of[i]->ev->body.len == 0) {
            sync_ahead_add(a, a->of[i]);
        }
    }

    if (a->n < 2
        || store_sync_behind_many(store, a->users, a->devices, a->n,
                                  SYNC_AHEAD_LIST, sync_ahead_item, a)
           != STORE_OK)
    {
        return;
    }

    for (i = 0; i < a->n; i++) {
        a->of[i]->known.list = a->of[i]->known.n <= SYNC_AHEAD_LIST;
    }
}


static void
sync_ahead_item(void *ctx, size_t i, const chat_list_item_t *item)
{
    sync_ahead_t  *a = ctx;
    sync_cursor_t  *known;

    known = &a->of[i]->known;

    if (known->n++ == 0) {
        known->first = a->items->len / sizeof(*item);
    }

    if (chat_buf_add(a->items, item, sizeof(*item)) != 0) {
        worker_die("out of memory");
    }
}


static void
sync_ahead_add(sync_ahead_t *a, sync_request_t *request)
{
    a->of[a->n] = request;
    a->users[a->n] = request->ev->user;
    a->devices[a->n] = request->ev->device;
    a->n++;
}
