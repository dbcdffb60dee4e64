/*
 * sync.h: the sync worker: what a device has missed, by list and by page.
 *
 * sync_role.c    reads requests from session.sync:{n}, publishes answers
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

/* Writes the batch that answers `ev` to `answer`, which is empty; with a NULL
 * store, or one that fails, it says CHAT_REC_F_FAILED. 0, or -1 when ev is no
 * request. *rc_r is how the store did. */
int sync_answer(store_sync_t *store, const chat_event_t *ev, int64_t now,
    chat_buf_t *answer, store_e *rc_r);

#endif
