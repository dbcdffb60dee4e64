/*
 * on_receipts.c: delivered and read.
 *
 * Called from message_try.c once a batch, after everything else in it. Marks
 * only rise: of all that came for a device and chat the highest counts, one
 * statement writes what rose, and one receipt a user and chat tells it.
 */

#include <stdlib.h>
#include <string.h>

#include "on.h"

static int on_receipt_check(message_t *m, on_receipt_t *mark);
static void on_receipt_refuse(message_t *m, on_receipt_t *mark, chat_error_e error,
    const char *why);
static int on_receipt_compare(const void *a, const void *b);
static size_t on_receipt_merge(on_receipt_t *marks, size_t n, store_receipt_t *rows,
    on_receipt_t **firsts);
static void on_receipt_risen(message_t *m, const on_receipt_t *mark,
    const store_receipt_t *row);


store_e
on_receipts(message_t *m, on_receipt_t *marks, size_t n)
{
    size_t          i, k;
    store_e         rc;
    on_receipt_t     **firsts;
    store_receipt_t   *rows;

    for (i = 0, k = 0; i < n; i++) {
        if (on_receipt_check(m, &marks[i])) {
            marks[k++] = marks[i];
        }
    }

    if (k == 0) {
        return STORE_OK;
    }

    qsort(marks, k, sizeof(*marks), on_receipt_compare);

    rows = worker_calloc(k, sizeof(*rows));
    firsts = worker_calloc(k, sizeof(*firsts));

    n = on_receipt_merge(marks, k, rows, firsts);
    rc = store_chat_receipts(m->store, rows, n);

    for (i = 0; i < n && rc == STORE_OK; i++) {
        if (rows[i].delivered != 0) {
            on_receipt_risen(m, firsts[i], &rows[i]);
        }
    }

    free(rows);
    free(firsts);

    return rc;
}


static int
on_receipt_check(message_t *m, on_receipt_t *mark)
{
    uint64_t           last;
    message_member_t  *member;

    member = mark->chat->exists
             ? message_chat_member(mark->chat, mark->receipt.user) : NULL;

    if (member == NULL) {
        on_receipt_refuse(m, mark, CHAT_E_NOT_FOUND, "There is no such chat.");
        return 0;
    }

    last = message_member_last(mark->chat, member);

    if (mark->receipt.delivered > last || mark->receipt.read > last) {
        on_receipt_refuse(m, mark, CHAT_E_BAD_FIELD,
                       "seq is above the last one");
        return 0;
    }

    /* what is read is delivered */
    if (mark->receipt.delivered < mark->receipt.read) {
        mark->receipt.delivered = mark->receipt.read;
    }

    return mark->receipt.delivered != 0;
}


/* Each mark has a session of its own. */

static void
on_receipt_refuse(message_t *m, on_receipt_t *mark, chat_error_e error,
    const char *why)
{
    message_item_t  it;

    memset(&it, 0, sizeof(it));
    it.ev.edge = mark->it->ev.edge;
    it.ev.session = mark->receipt.session;
    memcpy(it.ev.chat, mark->receipt.chat, 16);

    on_refuse(m, &it, error, why);
}


/* by chat, user, device */

static int
on_receipt_compare(const void *a, const void *b)
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


/* One row per chat, user and device; the first of a user's carries what rises
 * for the user. firsts[i] is the mark a receipt of row i is about: the one
 * that read furthest, whose device needs no telling. */

static size_t
on_receipt_merge(on_receipt_t *marks, size_t n, store_receipt_t *rows,
    on_receipt_t **firsts)
{
    size_t             i, k, user;
    uint64_t           delivered, read;
    store_receipt_t      *row;
    message_member_t  *member;

    for (i = 0, k = 0; i < n; /* void */ ) {
        user = k;
        delivered = 0;
        read = 0;
        firsts[user] = &marks[i];

        do {
            if (k == user || rows[k - 1].device != marks[i].receipt.device) {
                row = &rows[k++];
                memcpy(row->chat, marks[i].chat->id, 16);
                row->user = marks[i].receipt.user;
                row->device = marks[i].receipt.device;
            }

            row = &rows[k - 1];

            if (marks[i].receipt.delivered > row->device_delivered) {
                row->device_delivered = marks[i].receipt.delivered;
            }

            if (marks[i].receipt.delivered > delivered) {
                delivered = marks[i].receipt.delivered;
            }

            if (marks[i].receipt.read > read) {
                read = marks[i].receipt.read;
                firsts[user] = &marks[i];
            }

            i++;

        } while (i < n && marks[i].chat == marks[i - 1].chat
                 && marks[i].receipt.user == marks[i - 1].receipt.user);

        member = message_chat_member(marks[i - 1].chat,
                                     marks[i - 1].receipt.user);

        if (delivered > member->delivered || read > member->read) {
            rows[user].delivered = delivered > member->delivered
                                   ? delivered : member->delivered;
            rows[user].read = read > member->read ? read : member->read;
        }
    }

    return k;
}


static void
on_receipt_risen(message_t *m, const on_receipt_t *mark, const store_receipt_t *row)
{
    int                read_rose;
    chat_buf_t        *buf;
    message_member_t  *member;

    member = message_chat_member(mark->chat, row->user);
    read_rose = row->read > member->read;
    member->delivered = row->delivered;
    member->read = row->read;

    buf = on_text(m);

    on_add(buf, "{\"type\":\"receipt\",\"chatId\":");
    on_add_chat(buf, mark->chat->id);
    on_add(buf, ",\"userId\":");
    on_add_id(buf, row->user);
    on_add(buf, ",\"delivered\":");
    on_add_num(buf, row->delivered);
    on_add(buf, ",\"read\":");
    on_add_num(buf, row->read);
    on_add(buf, "}");

    if (mark->chat->active <= CHAT_RECEIPT_MEMBERS_MAX && member->left == 0) {
        fanout_notice_others(m->out, mark->chat, row->user, buf);
    }

    if (read_rose) {
        fanout_notice_users(m->out, &row->user, 1, mark->receipt.device, buf);
    }
}
