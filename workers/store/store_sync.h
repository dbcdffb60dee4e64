/*
 * store_sync.h: what a device has missed.
 *
 * Called from the sync worker; reads only. What a user may see (joined, left,
 * hidden, expired) is decided in the statements. Callers see neither libpq nor
 * SQL: rows come by a callback, borrowed until it returns.
 */

#ifndef STORE_SYNC_H
#define STORE_SYNC_H

#include <stddef.h>
#include <stdint.h>

#include "chat_batch.h"
#include "chat_entry.h"
#include "store_result.h"

typedef struct store_sync_s  store_sync_t;

typedef enum {
    STORE_DEVICE_LIVE = 0,
    STORE_DEVICE_REVOKED,           /* or not this user's, or erased         */
    STORE_DEVICE_SUSPENDED          /* its user is                           */
} store_device_e;

typedef void (*store_sync_item_pt)(void *ctx, const chat_list_item_t *item);

/* Not 0: enough, no further entries. */
typedef int (*store_sync_entry_pt)(void *ctx, const chat_entry_t *e);

/* Both strings are borrowed for the life of the result. Not yet connected. */
store_sync_t *store_sync_new(const char *dsn, const char *name);
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

/* Both questions for many devices in one statement each, since a storm of
 * reconnects is what they must be cheap for. states_r[i] belongs to users[i]
 * and devices[i]; *each* gets the index. At most `limit` + 1 chats a device:
 * who has more than the limit is to be asked for alone. */
typedef void (*store_sync_many_pt)(void *ctx, size_t i,
    const chat_list_item_t *item);

store_e store_sync_devices(store_sync_t *s, const uint64_t *users,
    const uint64_t *devices, size_t n, store_device_e *states_r);
store_e store_sync_behind_many(store_sync_t *s, const uint64_t *users,
    const uint64_t *devices, size_t n, unsigned limit,
    store_sync_many_pt each, void *ctx);

/* The named chats, behind or not, in the order named. None for a chat the
 * user was never in. */
store_e store_sync_asked(store_sync_t *s, uint64_t user, uint64_t device,
    const chat_page_req_t *wants, size_t n, store_sync_item_pt each, void *ctx);

/* The entries that are wanted and that the user may see, in the order of the
 * wants and of seq, at most `limit` of them. */
store_e store_sync_page(store_sync_t *s, uint64_t user,
    const chat_page_req_t *wants, size_t n, unsigned limit,
    store_sync_entry_pt each, void *ctx);

#endif
