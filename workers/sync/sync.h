/*
 * sync.h: the sync worker: what a device has missed, by list and by page.
 *
 * sync_role.c      reads requests from session.sync:{n}, publishes answers
 * sync_prefetch.c  one statement for the lists of many requests
 * sync_answer.c    one request, one answer
 *
 * Stateless: the worker reads, publishes and keeps nothing. The edge retries a
 * lost request after 3 s, so requests need no acknowledgement.
 */

#ifndef SYNC_H
#define SYNC_H

#include "chat_buf.h"
#include "chat_event.h"
#include "store_sync.h"

#define SYNC_TOO_OLD_MS  10000      /* the edge has retried twice since     */

/* What sync_prefetch() has read for a request. */
typedef struct {
    uint8_t                  has_state; /* `state` was read                 */
    uint8_t                  has_list;  /* the list of chats was read       */
    store_device_e           state;
    size_t                   first, n;  /* of the list, in items            */
} sync_prefetched_t;

typedef struct {
    const chat_event_t      *ev;        /* NULL: answered or dropped        */
    sync_prefetched_t        prefetched;
} sync_request_t;

/* Reads in few statements what the n requests need, into their `prefetched`
 * and items (chat_list_item_t). What cannot be read this way is left to
 * sync_answer(). */
void sync_prefetch(store_sync_t *store, sync_request_t *requests, size_t n,
    chat_buf_t *items);

/* Writes the batch that answers the request to `answer`, which is empty. With
 * a NULL store, or one that fails, the answer has CHAT_REC_F_FAILED. 0, or -1
 * when the event is not a sync request. *rc_r: the result of the store. */
int sync_answer(store_sync_t *store, const sync_request_t *request,
    const chat_buf_t *items, int64_t now, chat_buf_t *answer, store_e *rc_r);

#endif
