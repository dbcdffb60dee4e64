/*
 * message_batch.h: the batch that is being processed.
 *
 * Shared by message_prepare.c, which fills it, and message_try.c. The arrays
 * are kept from batch to batch.
 */

#ifndef MESSAGE_BATCH_H
#define MESSAGE_BATCH_H

#include "on.h"

struct message_batch_s {
    uint64_t           number;
    message_chat_t   **chats;       /* of its events, each once             */
    size_t             nchats, chats_max;
    uint8_t          (*missing)[16]; /* ids of chats to load                */
    size_t             nmissing, missing_max;
    on_receipt_t      *receipts;
    size_t             nreceipts, receipts_max;
    message_item_t   **sends;       /* of the round                         */
    store_append_t    *rows;        /* rows[i] is of sends[i]               */
    size_t             nsends, sends_max, rows_max;
    int                committing;  /* COMMIT was sent in this attempt      */
};

/* Sets the items' chats, loading in one query those that are not cached, and
 * collects the receipts. */
store_e message_prepare(message_t *m, message_item_t *items, size_t n);

/* Removes the batch's chats from the cache: all of them after a rollback, for
 * handlers have changed them; after a commit only the placeholders. Collected
 * publications point to the others, which must stay until these are sent. */
void message_release_chats(message_t *m, int all);

#endif
