/*
 * message_prepare.c: the chats and receipts of a batch.
 *
 * Called from message_try.c; hands to message_chat.c and store_chat_load.c.
 */

#include <stdlib.h>
#include <string.h>

#include "chat_id.h"
#include "message_batch.h"

static void message_prepare_receipts(message_t *m, message_item_t *item);
static message_chat_t *message_prepare_chat(message_t *m,
    const uint8_t id[16]);


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
message_committing(const message_t *m)
{
    return m->batch->committing;
}


store_e
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

        items[i].chat = message_prepare_chat(m, items[i].ev.chat);
    }

    if (b->nmissing == 0) {
        return STORE_OK;
    }

    return store_chat_load(m->store, (const uint8_t (*)[16]) b->missing,
                           b->nmissing, message_cache_row, m->cache);
}


void
message_release_chats(message_t *m, int all)
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


static void
message_prepare_receipts(message_t *m, message_item_t *item)
{
    on_receipt_t     *r;
    const uint8_t    *p, *end;
    message_batch_t  *b;

    b = m->batch;
    p = (const uint8_t *) item->ev.body.data;
    end = p + item->ev.body.len;

    while (end - p >= CHAT_RECEIPT_SIZE) {
        WORKER_GROW(b->receipts, b->nreceipts, b->receipts_max);

        r = &b->receipts[b->nreceipts];
        p = chat_receipt_decode(p, &r->receipt);
        r->it = item;

        /* a chat of another shard has another writer */
        if (chat_id_shard(r->receipt.chat) == item->shard) {
            r->chat = message_prepare_chat(m, r->receipt.chat);
            b->nreceipts++;
        }
    }
}


static message_chat_t *
message_prepare_chat(message_t *m, const uint8_t id[16])
{
    int               missing;
    message_chat_t   *chat;
    message_batch_t  *b;

    b = m->batch;
    chat = message_cache_get(m->cache, id, &missing);

    if (missing) {
        WORKER_GROW(b->missing, b->nmissing, b->missing_max);
        memcpy(b->missing[b->nmissing++], id, 16);
    }

    if (chat->batch != b->number) {
        chat->batch = b->number;

        WORKER_GROW(b->chats, b->nchats, b->chats_max);
        b->chats[b->nchats++] = chat;
    }

    return chat;
}
