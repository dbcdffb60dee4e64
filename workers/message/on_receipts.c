/*
 * on_receipts.c: delivered and read.
 *
 * Called from message_try.c once a batch, after all other events; hands to
 * store_chat_receipt.c. Receipt cursors only rise. Of all receipts of one
 * device and chat the highest counts, one statement writes every cursor that
 * rises, and each user whose cursor rises in a chat causes one receipt frame.
 */

#include <stdlib.h>
#include <string.h>

#include "on.h"

static int on_receipts_check(message_t *m, on_receipt_t *r);
static void on_receipts_refuse(message_t *m, const on_receipt_t *r,
    chat_error_e error, const char *why);
static int on_receipts_compare(const void *a, const void *b);
static size_t on_receipts_merge(const on_receipt_t *receipts, size_t n,
    store_receipt_t *rows, const on_receipt_t **sources);
static size_t on_receipts_merge_user(const on_receipt_t *receipts, size_t n,
    store_receipt_t *rows, size_t *nrows, const on_receipt_t **source_r);
static void on_receipts_raise_user(store_receipt_t *row,
    const message_member_t *member, uint64_t delivered, uint64_t read);
static void on_receipts_publish(message_t *m, const on_receipt_t *source,
    const store_receipt_t *row);


store_e
on_receipts(message_t *m, on_receipt_t *receipts, size_t n)
{
    size_t                i, valid, nrows;
    store_e               rc;
    store_receipt_t      *rows;
    const on_receipt_t  **sources;

    for (i = 0, valid = 0; i < n; i++) {
        if (on_receipts_check(m, &receipts[i])) {
            receipts[valid++] = receipts[i];
        }
    }

    if (valid == 0) {
        return STORE_OK;
    }

    qsort(receipts, valid, sizeof(*receipts), on_receipts_compare);

    rows = worker_calloc(valid, sizeof(*rows));
    sources = worker_calloc(valid, sizeof(*sources));

    nrows = on_receipts_merge(receipts, valid, rows, sources);
    rc = store_chat_receipts(m->store, rows, nrows);

    for (i = 0; i < nrows && rc == STORE_OK; i++) {
        if (rows[i].delivered != 0) {
            on_receipts_publish(m, sources[i], &rows[i]);
        }
    }

    free(rows);
    free(sources);

    return rc;
}


/* 1 when there is a cursor to write. */

static int
on_receipts_check(message_t *m, on_receipt_t *r)
{
    uint64_t           last;
    message_member_t  *member;

    member = r->chat->exists
             ? message_chat_member(r->chat, r->receipt.user) : NULL;

    if (member == NULL) {
        on_receipts_refuse(m, r, CHAT_E_NOT_FOUND, "There is no such chat.");
        return 0;
    }

    last = message_member_last(r->chat, member);

    if (r->receipt.delivered > last || r->receipt.read > last) {
        on_receipts_refuse(m, r, CHAT_E_BAD_FIELD,
                           "seq is above the last one");
        return 0;
    }

    /* a message that is read is also delivered */
    if (r->receipt.delivered < r->receipt.read) {
        r->receipt.delivered = r->receipt.read;
    }

    return r->receipt.delivered != 0;
}


/* The event collects receipts of many sessions; the refusal goes to the one
 * that sent this receipt. */

static void
on_receipts_refuse(message_t *m, const on_receipt_t *r, chat_error_e error,
    const char *why)
{
    message_item_t  it;

    memset(&it, 0, sizeof(it));
    it.ev.edge = r->it->ev.edge;
    it.ev.session = r->receipt.session;
    memcpy(it.ev.chat, r->receipt.chat, 16);

    reply_refuse(m, &it, error, why);
}


/* by chat, user, device */

static int
on_receipts_compare(const void *a, const void *b)
{
    const on_receipt_t  *x, *y;

    x = a;
    y = b;

    if (x->chat != y->chat) {
        return x->chat < y->chat ? -1 : 1;
    }

    if (x->receipt.user != y->receipt.user) {
        return x->receipt.user < y->receipt.user ? -1 : 1;
    }

    return (x->receipt.device > y->receipt.device)
           - (x->receipt.device < y->receipt.device);
}


/* Sorted receipts become one row per chat, user and device; how many. The
 * first row of a chat and user also carries the user's own cursors, and
 * sources[] of that row is the receipt that read furthest: its device need not
 * be notified. */

static size_t
on_receipts_merge(const on_receipt_t *receipts, size_t n,
    store_receipt_t *rows, const on_receipt_t **sources)
{
    size_t  i, nrows;

    for (i = 0, nrows = 0; i < n; /* void */ ) {
        i += on_receipts_merge_user(&receipts[i], n - i, rows, &nrows,
                                    &sources[nrows]);
    }

    return nrows;
}


/* The receipts of the first one's chat and user; how many these are. */

static size_t
on_receipts_merge_user(const on_receipt_t *receipts, size_t n,
    store_receipt_t *rows, size_t *nrows, const on_receipt_t **source_r)
{
    size_t               i, first;
    uint64_t             delivered, read;
    store_receipt_t     *row;
    const on_receipt_t  *r;

    first = *nrows;
    row = NULL;
    delivered = 0;
    read = 0;
    *source_r = receipts;

    for (i = 0; i < n; i++) {
        r = &receipts[i];

        if (r->chat != receipts->chat
            || r->receipt.user != receipts->receipt.user)
        {
            break;
        }

        if (row == NULL || row->device != r->receipt.device) {
            row = &rows[(*nrows)++];
            memcpy(row->chat, r->chat->id, 16);
            row->user = r->receipt.user;
            row->device = r->receipt.device;
        }

        if (r->receipt.delivered > row->device_delivered) {
            row->device_delivered = r->receipt.delivered;
        }

        if (r->receipt.delivered > delivered) {
            delivered = r->receipt.delivered;
        }

        if (r->receipt.read > read) {
            read = r->receipt.read;
            *source_r = r;
        }
    }

    on_receipts_raise_user(&rows[first],
                           message_chat_member(receipts->chat,
                                               receipts->receipt.user),
                           delivered, read);

    return i;
}


/* Cursors of 0 in the row say that neither rises. */

static void
on_receipts_raise_user(store_receipt_t *row, const message_member_t *member,
    uint64_t delivered, uint64_t read)
{
    if (delivered <= member->delivered && read <= member->read) {
        return;
    }

    row->delivered = delivered > member->delivered ? delivered
                                                   : member->delivered;
    row->read = read > member->read ? read : member->read;
}


static void
on_receipts_publish(message_t *m, const on_receipt_t *source,
    const store_receipt_t *row)
{
    int                read_rises;
    chat_buf_t        *buf;
    message_member_t  *member;

    member = message_chat_member(source->chat, row->user);
    read_rises = row->read > member->read;
    member->delivered = row->delivered;
    member->read = row->read;

    buf = reply_buf(m);

    reply_add(buf, "{\"type\":\"receipt\",\"chatId\":");
    reply_add_chat_id(buf, source->chat->id);
    reply_add(buf, ",\"userId\":");
    reply_add_id(buf, row->user);
    reply_add(buf, ",\"delivered\":");
    reply_add_num(buf, row->delivered);
    reply_add(buf, ",\"read\":");
    reply_add_num(buf, row->read);
    reply_add(buf, "}");

    if (source->chat->active <= CHAT_RECEIPT_MEMBERS_MAX && member->left == 0)
    {
        reply_notify_others(m, source->chat, row->user, buf);
    }

    if (read_rises) {
        reply_notify_users(m, &row->user, 1, source->receipt.device, buf);
    }
}
