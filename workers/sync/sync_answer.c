/*
 * sync_answer.c: one request for a list or a page, and its answer.
 *
 * Called from sync_role.c; hands to store_sync.c and chat_batch.c. A page ends
 * at CHAT_SYNC_PAGE entries or CHAT_SYNC_PAGE_BYTES of frames, whichever comes
 * first; the edge sees what is missing and requests the next page.
 */

#include <stdlib.h>
#include <string.h>

#include "chat_proto.h"
#include "chat_token.h"
#include "sync.h"
#include "worker.h"

typedef struct {
    chat_buf_t  *answer;
    chat_buf_t   frame;             /* of one entry, reused                  */
    size_t       bytes;             /* of all frames so far                  */
} sync_page_t;

static store_e sync_list(store_sync_t *store, const chat_event_t *ev,
    const chat_page_req_t *reqs, size_t n, chat_buf_t *answer);
static void sync_list_write(const chat_event_t *ev, uint8_t flags,
    const chat_list_item_t *items, size_t n, chat_buf_t *answer);
static void sync_list_item(void *ctx, const chat_list_item_t *item);
static void sync_refuse(const chat_event_t *ev, store_device_e state,
    int64_t now, chat_buf_t *answer);
static store_e sync_page(store_sync_t *store, const chat_event_t *ev,
    const chat_page_req_t *reqs, size_t n, chat_buf_t *answer);
static int sync_page_entry(void *ctx, const chat_entry_t *e);
static void sync_failed(const chat_event_t *ev, chat_buf_t *answer);
static void sync_begin(const chat_event_t *ev, uint8_t flags,
    chat_buf_t *answer, size_t *start_r);
static chat_page_req_t *sync_page_requests(const chat_event_t *ev, size_t max,
    size_t *n_r);


int
sync_answer(store_sync_t *store, const sync_request_t *request,
    const chat_buf_t *items, int64_t now, chat_buf_t *answer, store_e *rc_r)
{
    size_t                    n;
    store_e                   rc;
    chat_page_req_t          *reqs;
    store_device_e            state;
    const chat_event_t       *ev;
    const sync_prefetched_t  *prefetched;

    ev = request->ev;
    prefetched = &request->prefetched;

    if (ev->type != CHAT_EV_SYNC_LIST && ev->type != CHAT_EV_SYNC_PAGE) {
        return -1;
    }

    reqs = sync_page_requests(ev,
                              ev->type == CHAT_EV_SYNC_PAGE ? CHAT_SYNC_CHATS
                                                            : CHAT_SYNC_LIST,
                              &n);
    if (reqs == NULL) {
        return -1;
    }

    rc = store ? STORE_OK : STORE_UNAVAILABLE;
    state = prefetched->has_state ? prefetched->state : STORE_DEVICE_LIVE;

    /* a page follows a list on the same session: the list checks the device */
    if (rc == STORE_OK && ev->type == CHAT_EV_SYNC_LIST
        && !prefetched->has_state)
    {
        rc = store_sync_device(store, ev->user, ev->device, &state);
    }

    if (rc == STORE_OK) {
        if (state != STORE_DEVICE_LIVE) {
            sync_refuse(ev, state, now, answer);

        } else if (prefetched->has_list) {
            sync_list_write(ev, 0, prefetched->n ? (const chat_list_item_t *)
                                              items->data + prefetched->first
                                            : NULL,
                            prefetched->n, answer);

        } else if (ev->type == CHAT_EV_SYNC_LIST) {
            rc = sync_list(store, ev, reqs, n, answer);

        } else {
            rc = sync_page(store, ev, reqs, n, answer);
        }
    }

    if (rc != STORE_OK) {
        sync_failed(ev, answer);
    }

    free(reqs);
    *rc_r = rc;

    return 0;
}


static store_e
sync_list(store_sync_t *store, const chat_event_t *ev,
    const chat_page_req_t *reqs, size_t n, chat_buf_t *answer)
{
    int          more;
    store_e      rc;
    chat_buf_t   items = CHAT_BUF_INIT;

    /* the flag MORE precedes the items, so they are buffered */
    more = 0;

    rc = n ? store_sync_requested(store, ev->user, ev->device, reqs, n,
                              sync_list_item, &items)
           : store_sync_behind(store, ev->user, ev->device, CHAT_SYNC_LIST,
                               sync_list_item, &items, &more);

    if (rc == STORE_OK) {
        sync_list_write(ev, (uint8_t) ((more ? CHAT_REC_F_MORE : 0)
                                       | (n ? CHAT_REC_F_REQUESTED : 0)),
                        (const chat_list_item_t *) items.data,
                        items.len / sizeof(chat_list_item_t), answer);
    }

    if (items.failed) {
        worker_die("out of memory");
    }

    chat_buf_free(&items);

    return rc;
}


static void
sync_list_write(const chat_event_t *ev, uint8_t flags,
    const chat_list_item_t *items, size_t n, chat_buf_t *answer)
{
    size_t  mark, i;

    sync_begin(ev, flags, answer, &mark);

    for (i = 0; i < n; i++) {
        chat_batch_item(answer, &items[i]);
    }

    chat_batch_end(answer, mark);
}


static void
sync_list_item(void *ctx, const chat_list_item_t *item)
{
    chat_buf_add(ctx, item, sizeof(*item));
}


/* The edge let the session in: its set of revoked devices may be behind, and it
 * has no list of suspended users. */

static void
sync_refuse(const chat_event_t *ev, store_device_e state, int64_t now,
    chat_buf_t *answer)
{
    size_t      mark;
    chat_rec_t  rec;

    memset(&rec, 0, sizeof(rec));
    rec.user = ev->user;
    rec.device = ev->device;

    if (state == STORE_DEVICE_SUSPENDED) {
        rec.type = CHAT_REC_KICK;
        rec.status = CHAT_CLOSE_SUSPENDED;

    } else {
        rec.type = CHAT_REC_REVOKE;
        rec.expires = now / 1000 + CHAT_TOKEN_LIFE;
    }

    chat_batch_begin(answer);
    chat_batch_rec(answer, &rec, &mark);
    chat_batch_end(answer, mark);
}


static store_e
sync_page(store_sync_t *store, const chat_event_t *ev,
    const chat_page_req_t *reqs, size_t n, chat_buf_t *answer)
{
    size_t       mark;
    store_e      rc;
    sync_page_t  page = { answer, CHAT_BUF_INIT, 0 };

    sync_begin(ev, 0, answer, &mark);

    rc = store_sync_page(store, ev->user, reqs, n, CHAT_SYNC_PAGE,
                         sync_page_entry, &page);

    chat_batch_end(answer, mark);
    chat_buf_free(&page.frame);

    return rc;
}


static int
sync_page_entry(void *ctx, const chat_entry_t *e)
{
    size_t        mark;
    chat_rec_t    rec;
    sync_page_t  *page = ctx;

    chat_buf_reset(&page->frame);

    if (chat_entry_json(&page->frame, e, 1) != 0) {
        worker_die("out of memory");
    }

    page->bytes += page->frame.len;

    /* the first entry is always sent, or the session could not get past it */
    if (page->bytes > CHAT_SYNC_PAGE_BYTES && page->bytes != page->frame.len) {
        return 1;
    }

    memset(&rec, 0, sizeof(rec));
    rec.type = CHAT_REC_ENTRY;
    memcpy(rec.chat, e->chat, 16);
    rec.seq = e->seq;
    rec.device = e->sender_device;
    rec.timestamp = e->timestamp;
    rec.message_id = e->message_id;
    rec.frame.data = (const char *) page->frame.data;
    rec.frame.len = page->frame.len;

    chat_batch_rec(page->answer, &rec, &mark);
    chat_batch_end(page->answer, mark);

    return 0;
}


static void
sync_failed(const chat_event_t *ev, chat_buf_t *answer)
{
    size_t  mark;

    chat_buf_reset(answer);         /* a page may be half written */

    sync_begin(ev, CHAT_REC_F_FAILED, answer, &mark);
    chat_batch_end(answer, mark);
}


static void
sync_begin(const chat_event_t *ev, uint8_t flags, chat_buf_t *answer,
    size_t *start_r)
{
    chat_rec_t  rec;

    memset(&rec, 0, sizeof(rec));
    rec.type = ev->type == CHAT_EV_SYNC_LIST ? CHAT_REC_SYNC_LIST
                                             : CHAT_REC_SYNC_PAGE;
    rec.flags = flags;
    rec.session = ev->session;
    rec.seq = ev->seq;

    chat_batch_begin(answer);
    chat_batch_rec(answer, &rec, start_r);
}


/* The requests in the event's body, new; NULL when the body is malformed or
 * has more than `max`. */

static chat_page_req_t *
sync_page_requests(const chat_event_t *ev, size_t max, size_t *n_r)
{
    size_t            i, n;
    chat_page_req_t  *reqs;
    const uint8_t    *p;

    n = ev->body.len / CHAT_PAGE_REQ_SIZE;

    if (ev->body.len % CHAT_PAGE_REQ_SIZE != 0 || n > max) {
        return NULL;
    }

    reqs = worker_calloc(n, sizeof(*reqs));
    p = (const uint8_t *) ev->body.data;

    for (i = 0; i < n; i++) {
        p = chat_page_req_decode(p, &reqs[i]);
    }

    *n_r = n;

    return reqs;
}
