/*
 * store_sync.h: what a device has missed.
 *
 * Called from the sync worker; reads only. The device's state comes from the
 * accounts, everything else from the chat store that `chat_store` names, which
 * also decides visibility (joined, left, hidden, expired). Results come by a
 * callback and are borrowed until it returns.
 */

#ifndef STORE_SYNC_H
#define STORE_SYNC_H

#include <stddef.h>
#include <stdint.h>

#include "chat_batch.h"
#include "chat_entry.h"
#include "store_result.h"
#include "worker.h"

typedef struct store_sync_s  store_sync_t;

typedef enum {
    STORE_DEVICE_LIVE = 0,
    STORE_DEVICE_REVOKED,           /* or not this user's, or erased         */
    STORE_DEVICE_SUSPENDED          /* its user is suspended                 */
} store_device_e;

typedef void (*store_sync_item_pt)(void *ctx, const chat_list_item_t *item);

/* Not 0 ends the entries. */
typedef int (*store_sync_entry_pt)(void *ctx, const chat_entry_t *e);

/* New, not yet connected; conf and name are borrowed for its life. */
store_sync_t *store_sync_open(const worker_conf_t *conf, const char *name);
void store_sync_free(store_sync_t **s);

/* Connects when not connected. STORE_OK or STORE_UNAVAILABLE. */
store_e store_sync_connect(store_sync_t *s);

/* Accounts: whether the device may still be served. */
store_e store_sync_device(store_sync_t *s, uint64_t user, uint64_t device,
    store_device_e *state_r);

/* The chats in which the device is behind, newest activity first, at most
 * `limit`; *more_r when there are others. */
store_e store_sync_behind(store_sync_t *s, uint64_t user, uint64_t device,
    unsigned limit, store_sync_item_pt each, void *ctx, int *more_r);

/* The same two requests for many devices at once: they must be cheap when many
 * clients reconnect together. states_r[i] belongs to users[i] and devices[i];
 * `each` is passed the index. At most `limit` + 1 chats per device: a device
 * with more than the limit needs store_sync_behind(). */
typedef void (*store_sync_many_pt)(void *ctx, size_t i,
    const chat_list_item_t *item);

store_e store_sync_devices(store_sync_t *s, const uint64_t *users,
    const uint64_t *devices, size_t n, store_device_e *states_r);
store_e store_sync_behind_many(store_sync_t *s, const uint64_t *users,
    const uint64_t *devices, size_t n, unsigned limit,
    store_sync_many_pt each, void *ctx);

/* The requested chats, behind or not, in the order requested. No item for a
 * chat that the user was never in. */
store_e store_sync_requested(store_sync_t *s, uint64_t user, uint64_t device,
    const chat_page_req_t *requests, size_t n, store_sync_item_pt each,
    void *ctx);

/* The requested entries that the user may see, in the order of the requests
 * and of seq, at most `limit` of them. */
store_e store_sync_page(store_sync_t *s, uint64_t user,
    const chat_page_req_t *requests, size_t n, unsigned limit,
    store_sync_entry_pt each, void *ctx);

#endif
