/*
 * sync.h: the sync worker: what a device has missed, by list and by page.
 *
 * sync_role.c    reads requests from session.sync:{n}, publishes answers
 * sync_ahead.c   what many requests need, asked together
 * sync_answer.c  one request, one answer
 *
 * Stateless: reads, publishes, forgets. A request that gets lost is asked
 * again by the edge after 3 s, so nothing is acknowledged or kept.
 */

#ifndef SYNC_H
#define SYNC_H

#include "chat_buf.h"
#include "chat_event.h"
#include "store_sync.h"

#define SYNC_TOO_OLD_MS  10000      /* the edge has asked twice again        */

/* What is known of a request before its answer is written. */
typedef struct {
    uint8_t                  device;    /* `state` is                       */
    uint8_t                  list;      /* the list of what is behind is    */
    store_device_e           state;
    size_t                   first, n;  /* of the list, in items            */
} sync_cursor_t;

typedef struct {
    const chat_event_t      *ev;        /* NULL: answered or dropped        */
    sync_cursor_t             known;
} sync_request_t;

/* Asks what the n requests need that is cheaper to ask for all of them at
 * once, into their `known` and items (chat_list_item_t). What cannot be had is
 * left to sync_answer(). */
void sync_ahead(store_sync_t *store, sync_request_t *requests, size_t n,
    chat_buf_t *items);

/* Writes the batch that answers the request to `answer`, which is empty; with
 * a NULL store, or one that fails, it says CHAT_REC_F_FAILED. 0, or -1 when it
 * is no request. *rc_r is how the store did. */
int sync_answer(store_sync_t *store, const sync_request_t *request,
    const chat_buf_t *items, int64_t now, chat_buf_t *answer, store_e *rc_r);

#endif
