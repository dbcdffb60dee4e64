/*
 * api_messages.c: GET /chats/{chatId}/messages, .../messages/{seq}/receipts.
 *
 * Called from api_route.c; hands to store_read.h. Entries ascend by seq
 * in both directions of paging: `before` gives the page that ends right before
 * it, `after` the one that begins right after it, without either the newest
 * page. `complete` says that nothing more lies in that direction.
 */

#include "api.h"
#include "chat_entry.h"
#include "store_read.h"

/* Receipts of a page without `limit`: as many as get live receipts. */
#define API_RECEIPTS  CHAT_RECEIPT_MEMBERS_MAX

/* bytes of JSON of an entry with a message of usual length */
#define API_ENTRY_GUESS  400

static void api_messages_out(api_req_t *req, const store_page_t *page);
static void api_messages_receipts_out(api_req_t *req,
    const store_members_t *members, unsigned limit);


void
api_messages_list(api_req_t *req)
{
    int            before, after;
    store_e        rc;
    uint8_t        chat[16];
    unsigned       limit;
    uint64_t       upper, lower;
    store_page_t   page;

    lower = 0;
    upper = INT64_MAX;

    if (api_param_chat(req, chat) != 0
        || api_arg_limit(req, API_LIMIT_DEFAULT, &limit) != 0
        || api_arg_seq(req, "before", 1, &before, &upper) != 0
        || api_arg_seq(req, "after", 0, &after, &lower) != 0)
    {
        return;
    }

    if (before && after) {
        api_reply_field(req, "before", "and after exclude each other");
        return;
    }

    rc = store_read_page(req->reader, req->user, chat, !after,
                         after ? lower : upper, limit, &page);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    if (page.sees == STORE_SEES_NOTHING) {
        api_reply_error(req, CHAT_E_NOT_FOUND, NULL);
    } else {
        api_messages_out(req, &page);
    }

    store_page_free(&page);
}


void
api_messages_receipts(api_req_t *req)
{
    int               given;
    store_e           rc;
    uint8_t           chat[16];
    unsigned          limit;
    uint64_t          seq, after;
    store_members_t   members;

    after = 0;

    if (api_param_chat(req, chat) != 0
        || api_param_num(req, 1, &seq) != 0
        || api_arg_limit(req, API_RECEIPTS, &limit) != 0
        || api_arg_cursor(req, &after, sizeof(after), &given) != 0)
    {
        return;
    }

    rc = store_read_receipts(req->reader, req->user, chat, seq, after, limit + 1,
                             &members);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    if (members.sees == STORE_SEES_ALL) {
        api_messages_receipts_out(req, &members, limit);

    } else {
        /* A former member does not see the others' later progress. */
        api_reply_error(req, members.sees == STORE_SEES_PAST
                        ? CHAT_E_NOT_MEMBER : CHAT_E_NOT_FOUND, NULL);
    }

    store_members_free(&members);
}


static void
api_messages_out(api_req_t *req, const store_page_t *page)
{
    int            i;
    chat_buf_t    *out;
    chat_entry_t   entry;

    out = &req->out;

    /* One allocation for most pages instead of repeated doubling. */
    (void) chat_buf_reserve(out, (size_t) page->n * API_ENTRY_GUESS);
    api_out_text(out, "{\"items\":[");

    for (i = 0; i < page->n; i++) {
        if (i > 0) {
            api_out_text(out, ",");
        }
        store_page_entry(page, i, &entry);
        chat_entry_json(out, &entry, 0);
    }

    api_out_text(out, page->complete ? "],\"complete\":true}"
                                     : "],\"complete\":false}");
    api_reply_out(req, MHD_HTTP_OK);
}


static void
api_messages_receipts_out(api_req_t *req, const store_members_t *members,
    unsigned limit)
{
    int               i, n;
    chat_buf_t       *out;
    store_entry_receipt_t   receipt;

    n = members->n > (int) limit ? (int) limit : members->n;
    receipt.user = 0;
    out = &req->out;
    api_out_text(out, "{\"items\":[");

    for (i = 0; i < n; i++) {
        store_members_receipt(members, i, &receipt);

        api_out_text(out, i ? ",{\"userId\":" : "{\"userId\":");
        api_out_id(out, receipt.user);
        api_out_text(out, ",\"deliveredAt\":");
        api_out_time(out, receipt.delivered_at);
        api_out_text(out, ",\"readAt\":");
        api_out_time(out, receipt.read_at);

        /* The time may be unknown even when the entry was delivered or read. */
        api_out_text(out, receipt.delivered ? ",\"delivered\":true"
                                            : ",\"delivered\":false");
        api_out_text(out, receipt.read ? ",\"read\":true}"
                                       : ",\"read\":false}");
    }

    api_out_text(out, "],\"nextCursor\":");

    if (members->n > (int) limit) {
        api_out_cursor(out, &receipt.user, sizeof(receipt.user));
    } else {
        api_out_text(out, "null");
    }

    api_out_text(out, "}");
    api_reply_out(req, MHD_HTTP_OK);
}
