/*
 * ngx_chat_presence.c: presence subscriptions, and the answers to them.
 *
 * Called from: dispatch (presence_subscribe, presence_unsubscribe), deliver (a
 * PRESENCE record), the tick. Hands to: follow, notify, update. Every
 * subscription is sent to the presence workers as a WATCH, even when another
 * session on this edge follows the same user: the right to see a user's
 * presence is decided for each session.
 *
 * A client's request is retried after 3 s and answered `unavailable` after
 * 10 s. Every 5 minutes, and when updates may have been lost, the edge
 * refreshes by itself; the client then receives the differences only.
 */

#include "ngx_chat_redis.h"
#include "ngx_chat_session.h"
#include "ngx_chat_presence.h"


#define NGX_CHAT_PRESENCE_WAIT      3000    /* ms until a request is retried */
#define NGX_CHAT_PRESENCE_LIMIT     10000   /* ms until it is unavailable   */
#define NGX_CHAT_PRESENCE_REQUESTS  16      /* unanswered, per session      */


static ngx_uint_t ngx_chat_presence_ids(chat_frame_t *frame, uint64_t *ids);
static int ngx_libc_cdecl ngx_chat_presence_compare(const void *a,
    const void *b);
static void ngx_chat_presence_answer(chat_rec_t *rec);
static void ngx_chat_presence_update(chat_rec_t *rec);
static void ngx_chat_presence_unanswered(ngx_chat_follows_t *fs);
static void ngx_chat_presence_unavailable(ngx_chat_follows_t *fs);
static ngx_uint_t ngx_chat_presence_request(ngx_chat_follows_t *fs,
    ngx_uint_t requested);


/* Handles presence_subscribe. The answer of a presence worker is the reply. */

void
ngx_chat_presence_subscribe(ngx_chat_session_t *s, chat_frame_t *frame)
{
    uint64_t             ids[CHAT_PRESENCE_MAX];
    ngx_uint_t           i, n, nnew;
    ngx_chat_follow_t   *f;
    ngx_chat_follows_t  *fs;

    if (!ngx_chat_redis_ready()) {
        ngx_chat_edge->counters.unavailable++;
        ngx_chat_error_write(s, CHAT_E_UNAVAILABLE,
                             "Presence is not known just now: ask again.",
                             NULL, NULL, 2);
        return;
    }

    fs = s->follows;

    if (fs != NULL && fs->requests >= NGX_CHAT_PRESENCE_REQUESTS) {
        ngx_chat_error_write(s, CHAT_E_RATE_LIMITED,
                             "Too many subscriptions wait for their "
                             "answer: wait for some of them.",
                             NULL, NULL, 1);
        return;
    }

    n = ngx_chat_presence_ids(frame, ids);

    for (i = 0, nnew = 0; i < n; i++) {
        nnew += ngx_chat_follow_find(s, ids[i]) == NULL;
    }

    if ((fs ? fs->n : 0) + nnew > CHAT_PRESENCE_FOLLOWED) {
        ngx_chat_error_write(s, CHAT_E_BAD_FIELD,
                             "userIds: a connection follows at most 1000 "
                             "users; unsubscribe from some.",
                             NULL, NULL, 0);
        return;
    }

    for (i = 0; i < n; i++) {
        f = ngx_chat_follow_find(s, ids[i]);

        if (f == NULL) {
            f = ngx_chat_follow_add(s, ids[i]);
        }

        if (f == NULL) {
            ngx_chat_session_close(s, CHAT_CLOSE_TRY_LATER, "out of memory");
            return;
        }

        f->requested = 1;
    }

    fs = s->follows;

    if (fs->requests++ == 0) {
        fs->progress_at = ngx_current_msec;
    }

    if (fs->refresh_at == 0) {
        fs->refresh_at = ngx_current_msec + CHAT_WATCH_REFRESH * 750
                       + randombytes_uniform(CHAT_WATCH_REFRESH * 250);
    }

    fs->requested_at = ngx_current_msec;

    /* On failure the tick retries. */
    (void) ngx_chat_notify_watch(s, ids, n, 1);
}


/* Handles presence_unsubscribe. The reply is a presence frame without users;
 * no updates about these users follow it. */

void
ngx_chat_presence_unsubscribe(ngx_chat_session_t *s, chat_frame_t *frame)
{
    uint64_t            ids[CHAT_PRESENCE_MAX];
    ngx_uint_t          i, n;
    ngx_chat_follow_t  *f;

    n = ngx_chat_presence_ids(frame, ids);

    for (i = 0; i < n; i++) {
        f = ngx_chat_follow_find(s, ids[i]);

        if (f != NULL) {
            ngx_chat_follow_remove(f);
        }
    }

    ngx_chat_update_write(s, NULL, 0);
}


/* Handles a PRESENCE record: with a session, the answer to its WATCH; without
 * one, an update for all followers on this edge. */

void
ngx_chat_presence_deliver(chat_rec_t *rec)
{
    if (rec->session) {
        ngx_chat_presence_answer(rec);
    } else {
        ngx_chat_presence_update(rec);
    }
}


/* The session's user joined or left a chat. That may change whose presence it
 * may see: refresh with the next tick. */

void
ngx_chat_presence_membership_changed(ngx_chat_session_t *s)
{
    if (s->follows != NULL) {
        s->follows->refresh_at = ngx_current_msec;
    }
}


/* Updates may have been lost: every session refreshes, at most 3 s from now,
 * spread so that the presence workers are not flooded. */

void
ngx_chat_presence_refresh_all(void)
{
    ngx_queue_t         *q;
    ngx_msec_t           spread;
    ngx_chat_edge_t     *edge;
    ngx_chat_follows_t  *fs;

    edge = ngx_chat_edge;
    spread = ngx_min(edge->by_id.n / 5, 3000);

    for (q = ngx_queue_head(&edge->following);
         q != ngx_queue_sentinel(&edge->following);
         q = ngx_queue_next(q))
    {
        fs = ngx_queue_data(q, ngx_chat_follows_t, link);
        fs->refresh_at = ngx_current_msec
                       + (spread ? randombytes_uniform(spread) : 0);
    }
}


/* Periodic work: updates and notifications every 200 ms, refreshes and retries
 * every second. Called every 100 ms. */

void
ngx_chat_presence_tick(void)
{
    ngx_queue_t         *q, *next;
    ngx_chat_edge_t     *edge;
    ngx_chat_follows_t  *fs;

    edge = ngx_chat_edge;

    if (edge->ticks % 2) {
        return;
    }

    ngx_chat_update_flush();
    ngx_chat_notify_flush();

    if (edge->ticks % 10 || !ngx_chat_redis_ready()) {
        return;
    }

    for (q = ngx_queue_head(&edge->following);
         q != ngx_queue_sentinel(&edge->following);
         q = next)
    {
        next = ngx_queue_next(q);
        fs = ngx_queue_data(q, ngx_chat_follows_t, link);

        if ((ngx_msec_int_t) (ngx_current_msec - fs->refresh_at) >= 0) {
            fs->refresh_at = ngx_current_msec + CHAT_WATCH_REFRESH * 1000;
            (void) ngx_chat_presence_request(fs, 0);
        }

        if (fs->requests) {
            ngx_chat_presence_unanswered(fs);   /* may free fs */
        }
    }
}


/* The user ids of a frame, ascending, without duplicates. */

static ngx_uint_t
ngx_chat_presence_ids(chat_frame_t *frame, uint64_t *ids)
{
    size_t       i;
    json_t      *id;
    ngx_uint_t   n, unique;

    n = 0;

    json_array_foreach(frame->user_ids, i, id) {
        (void) chat_num_parse(json_string_value(id), json_string_length(id),
                              &ids[n++]);
    }

    ngx_qsort(ids, n, sizeof(uint64_t), ngx_chat_presence_compare);

    for (i = 0, unique = 0; i < n; i++) {
        if (unique == 0 || ids[i] != ids[unique - 1]) {
            ids[unique++] = ids[i];
        }
    }

    return unique;
}


static int ngx_libc_cdecl
ngx_chat_presence_compare(const void *a, const void *b)
{
    const uint64_t  *one = a, *two = b;

    return (*one > *two) - (*one < *two);
}


static void
ngx_chat_presence_answer(chat_rec_t *rec)
{
    size_t               i;
    ngx_uint_t           n, requested;
    const uint8_t       *p;
    chat_presence_t      presence;
    ngx_chat_follow_t   *f, **list;
    ngx_chat_session_t  *s;

    s = ngx_chat_session_find(rec->session);

    if (s == NULL || s->state != NGX_CHAT_OPEN) {
        return;
    }

    requested = rec->flags & CHAT_REC_F_REQUESTED;

    list = ngx_alloc((rec->nitems + 1) * sizeof(ngx_chat_follow_t *),
                     s->connection->log);
    if (list == NULL) {
        ngx_chat_session_destroy(s, "out of memory");
        return;
    }

    p = rec->items;

    for (i = 0, n = 0; i < rec->nitems; i++) {
        p = chat_batch_read_presence(p, &presence);

        f = ngx_chat_follow_find(s, presence.user);
        if (f == NULL) {
            continue;           /* no longer followed */
        }

        f->shown = (presence.flags & CHAT_PRESENCE_VISIBLE) != 0;
        list[n++] = f;

        if (requested) {
            f->requested = 0;
        }

        ngx_chat_update_set(f, &presence, rec->timestamp);
    }

    if (requested) {

        if (s->follows != NULL && s->follows->requests) {
            s->follows->requests--;
            s->follows->progress_at = ngx_current_msec;
        }

        ngx_chat_update_write(s, list, n);
    }

    ngx_free(list);
}


static void
ngx_chat_presence_update(chat_rec_t *rec)
{
    size_t                i;
    ngx_queue_t          *q;
    const uint8_t        *p;
    chat_presence_t       presence;
    ngx_chat_follow_t    *f;
    ngx_chat_followed_t  *followed;

    p = rec->items;

    for (i = 0; i < rec->nitems; i++) {
        p = chat_batch_read_presence(p, &presence);

        followed = ngx_chat_followed_find(presence.user);
        if (followed == NULL) {
            continue;
        }

        for (q = ngx_queue_head(&followed->follows);
             q != ngx_queue_sentinel(&followed->follows);
             q = ngx_queue_next(q))
        {
            f = ngx_queue_data(q, ngx_chat_follow_t, link);

            /* A user is always online to itself, even while it is invisible
             * to all others. */
            if (f->session->user != presence.user) {
                ngx_chat_update_set(f, &presence, rec->timestamp);
            }
        }
    }
}


/* Retries or gives up the client's requests that are not answered yet. */

static void
ngx_chat_presence_unanswered(ngx_chat_follows_t *fs)
{
    if (ngx_current_msec - fs->progress_at > NGX_CHAT_PRESENCE_LIMIT) {
        ngx_chat_presence_unavailable(fs);
        return;
    }

    if (ngx_current_msec - fs->requested_at > NGX_CHAT_PRESENCE_WAIT) {
        fs->requested_at = ngx_current_msec;
        fs->requests = ngx_chat_presence_request(fs, 1);
    }
}


/* Gives up: removes the follows that never had an answer. May free fs. */

static void
ngx_chat_presence_unavailable(ngx_chat_follows_t *fs)
{
    ngx_uint_t           i;
    ngx_chat_session_t  *s;

    s = fs->session;
    fs->requests = 0;

    for (i = fs->n; i > 0; i--) {

        if (!fs->list[i - 1]->requested) {
            continue;
        }

        if (fs->list[i - 1]->sent) {
            fs->list[i - 1]->requested = 0;
            continue;
        }

        ngx_chat_follow_remove(fs->list[i - 1]);

        if (s->follows == NULL) {
            break;
        }
    }

    ngx_chat_edge->counters.unavailable++;
    ngx_chat_error_write(s, CHAT_E_UNAVAILABLE,
                         "Presence is not known just now: ask again.",
                         NULL, NULL, 2);
}


/* Sends WATCH events for all users that the session follows or, with
 * `requested`, for those that the client still waits for. Returns the number
 * of events. */

static ngx_uint_t
ngx_chat_presence_request(ngx_chat_follows_t *fs, ngx_uint_t requested)
{
    uint64_t    ids[CHAT_PRESENCE_MAX];
    ngx_uint_t  i, n, nevents;

    nevents = 0;

    for (i = 0, n = 0; i < fs->n; i++) {

        if (!requested || fs->list[i]->requested) {
            ids[n++] = fs->list[i]->followed->user;
        }

        if (n == CHAT_PRESENCE_MAX || (n && i == fs->n - 1)) {
            (void) ngx_chat_notify_watch(fs->session, ids, n, requested);
            nevents++;
            n = 0;
        }
    }

    return nevents;
}
