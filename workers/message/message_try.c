/*
 * message_try.c: attempts to process a batch, up to the commit.
 *
 * Called from message_batch.c; hands to message_prepare.c, message_round.c,
 * message_append.c and on_*.c. An attempt loads the batch's chats, processes
 * the rounds in order, then receipts, then typing. The caller publishes what
 * the handlers collected; after a rollback it is discarded here.
 */

#include "message_batch.h"
#include "message_feed.h"
#include "on.h"

#define MESSAGE_TRIES  5            /* attempts of a batch                  */

static const on_change_pt  message_changes[] = {
    [CHAT_EV_EDIT] = on_edit_message,
    [CHAT_EV_DELETE] = on_delete_message,
    [CHAT_EV_REACT] = on_react,
    [CHAT_EV_TYPING] = on_typing,
    [CHAT_EV_CHAT_CREATE] = on_chat_create,
    [CHAT_EV_CHAT_CHANGE] = on_chat_change,
    [CHAT_EV_CHAT_LEAVE] = on_chat_leave,
    [CHAT_EV_MEMBERS_ADD] = on_members_add,
    [CHAT_EV_MEMBER_CHANGE] = on_member_change,
    [CHAT_EV_MEMBER_REMOVE] = on_member_remove,
};

#define MESSAGE_CHANGES  (sizeof(message_changes) / sizeof(on_change_pt))

static store_e message_attempt(message_t *m, message_item_t *items, size_t n);
static int message_is_change(const message_item_t *item);
static int message_has_change(const message_item_t *items, size_t n);
static store_e message_round(message_t *m, message_item_t *items, size_t n,
    unsigned round, int alone);
static void message_round_collect(message_t *m, message_item_t *items,
    size_t n, unsigned round);
static store_e message_round_sends(message_t *m, int alone);


int
message_type_supported(unsigned type)
{
    return type == CHAT_EV_SEND || type == CHAT_EV_RECEIPTS
           || (type < MESSAGE_CHANGES && message_changes[type] != NULL);
}


/* Attempts the batch again after a serialization conflict and when a cached
 * chat was stale. */

store_e
message_try(message_t *m, message_item_t *items, size_t n)
{
    int      i;
    store_e  rc;

    for (i = 0; ; i++) {
        rc = message_attempt(m, items, n);

        if (rc == STORE_OK) {
            message_release_chats(m, 0);
            return STORE_OK;
        }

        fanout_reset(m->out);
        message_feed_reset(m);
        message_release_chats(m, 1);

        if (rc == STORE_UNAVAILABLE) {
            return rc;
        }

        store_chat_rollback(m->store);

        if (rc == STORE_FAILED || i + 1 == MESSAGE_TRIES) {
            return rc;
        }

        if (rc == STORE_CONFLICT) {
            worker_sleep(worker_backoff(i, 10, 200));
        }
    }
}


static store_e
message_attempt(message_t *m, message_item_t *items, size_t n)
{
    int               alone;
    size_t            i;
    store_e           rc;
    unsigned          round, rounds;
    message_batch_t  *b;

    b = m->batch;

    b->committing = 0;

    /* Detect a dead connection first: nothing can be committed yet. */
    rc = store_chat_poll(m->store);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = message_prepare(m, items, n);
    if (rc != STORE_OK) {
        return rc;
    }

    rounds = message_rounds(items, n);
    alone = rounds <= 1 && !message_has_change(items, n);

    for (round = 0; round < rounds; round++) {
        rc = message_round(m, items, n, round, alone);
        if (rc != STORE_OK) {
            return rc;
        }
    }

    if (b->nreceipts > 0) {
        rc = on_receipts(m, b->receipts, b->nreceipts);
        if (rc != STORE_OK) {
            return rc;
        }
    }

    for (i = 0; i < n; i++) {
        if (items[i].ev.type == CHAT_EV_TYPING) {
            (void) on_typing(m, &items[i]);
        }
    }

    b->committing = 1;

    return store_chat_commit(m->store);
}


static int
message_is_change(const message_item_t *item)
{
    return item->ev.type != CHAT_EV_SEND && item->ev.type != CHAT_EV_RECEIPTS
           && item->ev.type != CHAT_EV_TYPING;
}


/* Without a change, the sends are one statement and the receipts another, each
 * its own transaction: neither depends on the other. */

static int
message_has_change(const message_item_t *items, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (message_is_change(&items[i])) {
            return 1;
        }
    }

    return 0;
}


static store_e
message_round(message_t *m, message_item_t *items, size_t n, unsigned round,
    int alone)
{
    size_t   i;
    store_e  rc;

    message_round_collect(m, items, n, round);

    if (m->batch->nsends > 0) {
        rc = message_round_sends(m, alone);
        if (rc != STORE_OK) {
            return rc;
        }
    }

    for (i = 0; i < n; i++) {

        if (items[i].round != round || !message_is_change(&items[i])) {
            continue;
        }

        rc = message_changes[items[i].ev.type](m, &items[i]);

        if (rc == STORE_OK && items[i].redo) {
            rc = message_feed_redo(m, &items[i]);
        }

        if (rc != STORE_OK) {
            return rc;
        }
    }

    return STORE_OK;
}


/* The sends of the round that are not refused. */

static void
message_round_collect(message_t *m, message_item_t *items, size_t n,
    unsigned round)
{
    size_t            i;
    message_batch_t  *b;

    b = m->batch;
    b->nsends = 0;

    for (i = 0; i < n; i++) {

        if (items[i].ev.type != CHAT_EV_SEND || items[i].round != round) {
            continue;
        }

        WORKER_GROW(b->sends, b->nsends, b->sends_max);
        WORKER_GROW(b->rows, b->nsends, b->rows_max);

        if (on_send_message(m, &items[i], &b->rows[b->nsends])) {
            b->sends[b->nsends++] = &items[i];
        }
    }
}


static store_e
message_round_sends(message_t *m, int alone)
{
    size_t            i;
    store_e           rc;
    message_batch_t  *b;

    b = m->batch;

    /* one statement that is its own transaction: it also commits */
    b->committing = alone;

    rc = message_append(m, NULL, b->rows, b->nsends, alone);

    for (i = 0; i < b->nsends && rc == STORE_OK; i++) {
        rc = message_entry_complete(m, b->sends[i], &b->rows[i]);
    }

    return rc;
}
