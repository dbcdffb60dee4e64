/*
 * sync_prefetch.c: one statement for the lists of many requests.
 *
 * Called from sync_role.c; hands to store_sync.c. After a restart of an edge or
 * a network failure all devices reconnect at once, and most have missed
 * nothing: one statement for sixty devices costs a third of sixty statements.
 */

#include "sync.h"
#include "worker.h"

#define SYNC_PREFETCH       64      /* requests per statement                */
#define SYNC_PREFETCH_LIST  32      /* chats per request; a longer list is
                                       left to sync_answer()                 */

typedef struct {
    sync_request_t  *requests[SYNC_PREFETCH];
    uint64_t         users[SYNC_PREFETCH];
    uint64_t         devices[SYNC_PREFETCH];
    size_t           n;
    chat_buf_t      *items;
} sync_prefetch_t;

static void sync_prefetch_query(store_sync_t *store, sync_prefetch_t *a);
static void sync_prefetch_item(void *ctx, size_t i,
    const chat_list_item_t *item);
static void sync_prefetch_add(sync_prefetch_t *a, sync_request_t *request);


void
sync_prefetch(store_sync_t *store, sync_request_t *requests, size_t n,
    chat_buf_t *items)
{
    size_t        i;
    sync_prefetch_t  a;

    a.n = 0;
    a.items = items;

    for (i = 0; i < n; i++) {

        if (requests[i].ev == NULL
            || requests[i].ev->type != CHAT_EV_SYNC_LIST)
        {
            continue;
        }

        sync_prefetch_add(&a, &requests[i]);

        if (a.n == SYNC_PREFETCH) {
            sync_prefetch_query(store, &a);
            a.n = 0;
        }
    }

    sync_prefetch_query(store, &a);
}


static void
sync_prefetch_query(store_sync_t *store, sync_prefetch_t *a)
{
    size_t              i, n;
    store_device_e      states[SYNC_PREFETCH];
    sync_prefetched_t  *prefetched;

    if (a->n < 2
        || store_sync_devices(store, a->users, a->devices, a->n, states)
           != STORE_OK)
    {
        return;
    }

    n = a->n;
    a->n = 0;

    for (i = 0; i < n; i++) {
        a->requests[i]->prefetched.has_state = 1;
        a->requests[i]->prefetched.state = states[i];

        /* a body names chats, which needs another statement */
        if (states[i] == STORE_DEVICE_LIVE
            && a->requests[i]->ev->body.len == 0)
        {
            sync_prefetch_add(a, a->requests[i]);
        }
    }

    if (a->n < 2
        || store_sync_behind_many(store, a->users, a->devices, a->n,
                                  SYNC_PREFETCH_LIST, sync_prefetch_item, a)
           != STORE_OK)
    {
        return;
    }

    for (i = 0; i < a->n; i++) {
        prefetched = &a->requests[i]->prefetched;
        prefetched->has_list = prefetched->n <= SYNC_PREFETCH_LIST;
    }
}


static void
sync_prefetch_item(void *ctx, size_t i, const chat_list_item_t *item)
{
    sync_prefetch_t    *a = ctx;
    sync_prefetched_t  *prefetched;

    prefetched = &a->requests[i]->prefetched;

    if (prefetched->n++ == 0) {
        prefetched->first = a->items->len / sizeof(*item);
    }

    if (chat_buf_add(a->items, item, sizeof(*item)) != 0) {
        worker_die("out of memory");
    }
}


static void
sync_prefetch_add(sync_prefetch_t *a, sync_request_t *request)
{
    a->requests[a->n] = request;
    a->users[a->n] = request->ev->user;
    a->devices[a->n] = request->ev->device;
    a->n++;
}
