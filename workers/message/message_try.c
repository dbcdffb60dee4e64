/*
 * message_try.c: one try of a batch, up to its commit.
 *
 * Called from message_batch.c; hands to on_*.c. Reads the chats it is about,
 * runs the rounds in order, then marks, then typing. What the handlers have
 * gathered is told by the caller after the commit, or forgotten here.
 */

#include <stdlib.h>
#include <string.h>

#include "chat_id.h"
#include "message_feed.h"
#include "on.h"

#define MESSAGE_TRIES  5            /* of a batch whose cache was stale     */

struct message_batch_s {
    uint64_t           number;
    message_chat_t   **chats;       /* touched, each once                   */
    size_t             nchats, chats_max;
    uint8_t          (*missing)[16]; /* to be read                          */
    size_t             nmissing, missing_max;
    on_receipt_t         *receipts;
    size_t             nreceipts, receipts_max;
    message_item_t   **sends;       /* of the round                         */
    store_append_t    *rows;
    size_t             nsends, sends_max;
    int                committing;  /* COMMIT was sent in this try          */
};

#define MESSAGE_GROW(array, n, max)                                          \
    if ((n) == (max)) {                                                      \
        (max) = (max) ? 2 * (max) : 64;                                      \
        (array) = worker_realloc((array), (max) * sizeof(*(array)));         \
    }

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
static store_e message_prepare(message_t *m, message_item_t *items, size_t n);
static message_chat_t *message_touch(message_t *m, const uint8_t id[16]);
static void message_prepare_receipts(message_t *m, message_item_t *item);
static int message_changes_nothing(const message_item_t *items, size_t n);
static store_e message_round(message_t *m, message_item_t *items, size_t n,
    unsigned round, int alone);
static store_e message_round_sends(message_t *m, int alone);
static void message_drop(message_t *m, int all);


message_batch_t *
message_batch_new(void)
{
    return worker_calloc(1, sizeof(message_batch_t));
}


void
message_batch_free(message_batch_t **bp)
{
    message_batch_t  *b;

    b = *bp;

    if (b == NULL) {
        return;
    }

    free(b->chats);
    free(b->missing);
    free(b->receipts);
    free(b->sends);
    free(b->rows);
    free(b);
    *bp = NULL;
}


int
message_type_supported(unsigned type)
{
    return type == CHAT_EV_SEND || type == CHAT_EV_RECEIPTS
           || (type < MESSAGE_CHANGES && message_changes[type] != NULL);
}


int
message_committing(const message_t *m)
{
    return m->batch->committing;
}


/* Again while only the cache was wrong, or others were in the way. */

store_e
message_try(message_t *m, message_item_t *items, size_t n)
{
    int      i;
    store_e  rc;

    for (i = 0; ; i++) {
        rc = message_attempt(m, items, n);

        if (rc == STORE_OK) {
            message_drop(m, 0);
            return STORE_OK;
        }

        fanout_reset(m->out);
        message_feed_reset(m);
        message_drop(m, 1);

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

    /* told now, what is lost is certainly not committed */
    rc = store_chat_poll(m->store);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = message_prepare(m, items, n);
    if (rc != STORE_OK) {
        return rc;
    }

    rounds = message_rounds(items, n);
    alone = rounds <= 1 && message_changes_nothing(items, n);

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


/* Every chat that the events are about, read in one go where it is not in the
 * cache. */

static store_e
message_prepare(message_t *m, message_item_t *items, size_t n)
{
    size_t            i;
    message_batch_t  *b;

    b = m->batch;

    b->number++;
    b->nchats = 0;
    b->nmissing = 0;
    b->nreceipts = 0;

    message_cache_trim(m->cache);

    for (i = 0; i < n; i++) {

        if (items[i].ev.type == CHAT_EV_RECEIPTS) {
            items[i].chat = NULL;
            message_prepare_receipts(m, &items[i]);
            continue;
        }

        items[i].chat = message_touch(m, items[i].ev.chat);
    }

    if (b->nmissing == 0) {
        return STORE_OK;
    }

    return store_chat_load(m->store, (const uint8_t (*)[16]) b->missing,
                           b->nmissing, message_cache_row, m->cache);
}


static message_chat_t *
message_touch(message_t *m, const uint8_t id[16])
{
    int               missing;
    message_chat_t   *chat;
    message_batch_t  *b;

    b = m->batch;
    chat = message_cache_get(m->cache, id, &missing);

    if (missing) {
        MESSAGE_GROW(b->missing, b->nmissing, b->missing_max)
        memcpy(b->missing[b->nmissing++], id, 16);
    }

    if (chat->batch != b->number) {
        chat->batch = b->number;

        MESSAGE_GROW(b->chats, b->nchats, b->chats_max)
        b->chats[b->nchats++] = chat;
    }

    return chat;
}


static void
message_prepare_receipts(message_t *m, message_item_t *item)
{
    on_receipt_t        *mark;
    const uint8_t    *p, *end;
    message_batch_t  *b;

    b = m->batch;
    p = (const uint8_t *) item->ev.body.data;
    end = p + item->ev.body.len;

    while (end - p >= CHAT_RECEIPT_SIZE) {
        MESSAGE_GROW(b->receipts, b->nreceipts, b->receipts_max)

        mark = &b->receipts[b->nreceipts];
        p = chat_receipt_decode(p, &mark->receipt);
        mark->it = item;

        /* another shard's chat is not ours to write */
        if (chat_id_shard(mark->receipt.chat) == item->shard) {
            mark->chat = message_touch(m, mark->receipt.chat);
            b->nreceipts++;
        }
    }
}


static store_e
message_round(message_t *m, message_item_t *items, size_t n, unsigned round,
    int alone)
{
    size_t            i;
    store_e           rc;
    message_batch_t  *b;

    b = m->batch;
    b->nsends = 0;

    for (i = 0; i < n; i++) {

        if (items[i].ev.type != CHAT_EV_SEND || items[i].round != round) {
            continue;
        }

        if (b->nsends == b->sends_max) {
            b->sends_max = b->sends_max ? 2 * b->sends_max : 64;
            b->sends = worker_realloc(b->sends, b->sends_max
                                                * sizeof(*b->sends));
            b->rows = worker_realloc(b->rows, b->sends_max
                                              * sizeof(*b->rows));
        }

        if (on_send_message(m, &items[i], &b->rows[b->nsends])) {
            b->sends[b->nsends++] = &items[i];
        }
    }

    if (b->nsends > 0) {
        rc = message_round_sends(m, alone);
        if (rc != STORE_OK) {
            return rc;
        }
    }

    for (i = 0; i < n; i++) {

        if (items[i].round != round || items[i].ev.type == CHAT_EV_SEND
            || items[i].ev.type == CHAT_EV_RECEIPTS
            || items[i].ev.type == CHAT_EV_TYPING)
        {
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


static store_e
message_round_sends(message_t *m, int alone)
{
    size_t            i;
    store_e           rc;
    message_batch_t  *b;

    b = m->batch;

    /* one statement that is its own transaction */
    b->committing = alone;

    rc = message_append(m, NULL, b->rows, b->nsends, alone);

    for (i = 0; i < b->nsends && rc == STORE_OK; i++) {
        rc = on_appended(m, b->sends[i], &b->rows[i]);
    }

    return rc;
}


/* Then the sends are one statement and the marks another, each a transaction
 * of its own: neither needs the other. */

static int
message_changes_nothing(const message_item_t *items, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (items[i].ev.type != CHAT_EV_SEND
            && items[i].ev.type != CHAT_EV_RECEIPTS
            && items[i].ev.type != CHAT_EV_TYPING)
        {
            return 0;
        }
    }

    return 1;
}


/* After a rollback the batch's chats are not what the database has; after a
 * commit only place holders go. Gathered entries point to chats, so nothing
 * that was told about may go before it is published. */

static void
message_drop(message_t *m, int all)
{
    size_t            i;
    message_batch_t  *b;

    b = m->batch;

    for (i = 0; i < b->nchats; i++) {
        if (all || !b->chats[i]->exists) {
            message_cache_drop(m->cache, b->chats[i]);
        }
    }

    b->nchats = 0;
}
