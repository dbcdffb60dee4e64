/*
 * ngx_chat_notify.c: notifies the presence workers of changes on this edge.
 *
 * Called from: route (ONLINE, OFFLINE: a route was written or deleted), follow
 * (UNWATCH: the last follower of a user is gone), presence (WATCH: a session
 * follows users). Hands to: the command connection. ONLINE, OFFLINE and UNWATCH
 * are batched: one event carries many users and is at most 200 ms late.
 *
 * An event says only which users to check. The worker reads their state from
 * the routes, which were written before it on the same connection.
 *
 * An event that Redis has not confirmed is sent again; otherwise a user who has
 * left would stay online. A WATCH is not: its session retries by itself.
 */

#include "ngx_chat_redis.h"
#include "ngx_chat_presence.h"


#define NGX_CHAT_NOTIFY_USERS   256     /* in one event                     */
#define NGX_CHAT_NOTIFY_UNSENT  256     /* events kept without Redis        */


typedef struct ngx_chat_notify_s  ngx_chat_notify_t;

struct ngx_chat_notify_s {
    ngx_chat_notify_t  *next;           /* in the list of unsent events     */
    ngx_uint_t          n;
    uint8_t             type;           /* chat_event_e                     */
    u_char              users[NGX_CHAT_NOTIFY_USERS * CHAT_USER_SIZE];
};


/* the batch being filled, one per event type; NULL while empty */
static ngx_chat_notify_t   *ngx_chat_notify_batch[3];

/* events to be sent again, oldest first */
static ngx_chat_notify_t   *ngx_chat_unsent;
static ngx_chat_notify_t  **ngx_chat_unsent_last = &ngx_chat_unsent;
static ngx_uint_t           ngx_chat_nunsent;


static void ngx_chat_notify_send(ngx_chat_notify_t *t);
static void ngx_chat_notify_keep(ngx_chat_notify_t *t);
static void ngx_chat_notify_filter(ngx_chat_notify_t *t);
static void ngx_chat_notify_reply(ngx_chat_reply_t *reply, void *data);
static ngx_int_t ngx_chat_notify_add(chat_event_t *ev,
    ngx_chat_redis_reply_pt fn, void *data);


/* Adds a user to the batch of CHAT_EV_ONLINE, _OFFLINE or _UNWATCH. Out of
 * memory it is lost; the periodic refresh corrects what followers see. */

void
ngx_chat_notify(ngx_uint_t type, uint64_t user)
{
    ngx_chat_notify_t  *t, **slot;

    slot = &ngx_chat_notify_batch[type == CHAT_EV_ONLINE ? 0
                                  : type == CHAT_EV_OFFLINE ? 1 : 2];
    t = *slot;

    if (t == NULL) {
        t = ngx_chat_alloc(sizeof(ngx_chat_notify_t));
        if (t == NULL) {
            return;
        }

        t->type = type;
        *slot = t;
    }

    chat_user_encode(user, t->users + t->n * CHAT_USER_SIZE);

    if (++t->n == NGX_CHAT_NOTIFY_USERS) {
        *slot = NULL;
        ngx_chat_notify_send(t);
    }
}


/* Sends unsent events and the open batches. Called every 200 ms. */

void
ngx_chat_notify_flush(void)
{
    ngx_uint_t          i;
    ngx_chat_notify_t  *t, *next;

    if (!ngx_chat_edge->command.up) {
        return;
    }

    t = ngx_chat_unsent;

    ngx_chat_unsent = NULL;
    ngx_chat_unsent_last = &ngx_chat_unsent;
    ngx_chat_nunsent = 0;

    for ( /* void */ ; t != NULL; t = next) {
        next = t->next;
        ngx_chat_notify_send(t);
    }

    for (i = 0; i < 3; i++) {
        t = ngx_chat_notify_batch[i];

        if (t != NULL) {
            ngx_chat_notify_batch[i] = NULL;
            ngx_chat_notify_send(t);
        }
    }
}


/* Sends a WATCH for at most CHAT_PRESENCE_MAX users. requested: the client
 * waits for the answer. NGX_ERROR while the command connection is down. */

ngx_int_t
ngx_chat_notify_watch(ngx_chat_session_t *s, const uint64_t *users,
    ngx_uint_t n, ngx_uint_t requested)
{
    u_char        body[CHAT_PRESENCE_MAX * CHAT_USER_SIZE], *p;
    ngx_uint_t    i;
    chat_event_t  ev;

    p = body;

    for (i = 0; i < n; i++) {
        p = chat_user_encode(users[i], p);
    }

    ngx_memzero(&ev, sizeof(chat_event_t));

    ev.type = CHAT_EV_WATCH;
    ev.flags = requested ? CHAT_EV_F_REQUESTED : 0;
    ev.session = s->id;
    ev.user = s->user;
    ev.device = s->device;
    ev.body.data = (char *) body;
    ev.body.len = p - body;

    return ngx_chat_notify_add(&ev, NULL, NULL);
}


/* Sends an event; takes ownership of t. */

static void
ngx_chat_notify_send(ngx_chat_notify_t *t)
{
    chat_event_t  ev;

    if (t->type == CHAT_EV_UNWATCH) {
        ngx_chat_notify_filter(t);
    }

    if (t->n == 0) {
        ngx_free(t);
        return;
    }

    ngx_memzero(&ev, sizeof(chat_event_t));

    ev.type = t->type;
    ev.body.data = (char *) t->users;
    ev.body.len = t->n * CHAT_USER_SIZE;

    if (ngx_chat_notify_add(&ev, ngx_chat_notify_reply, t) != NGX_OK) {
        ngx_chat_notify_keep(t);
    }
}


/* Appends to the unsent events; above the limit the oldest is dropped. */

static void
ngx_chat_notify_keep(ngx_chat_notify_t *t)
{
    ngx_chat_notify_t  *oldest;

    if (ngx_chat_nunsent == NGX_CHAT_NOTIFY_UNSENT) {
        oldest = ngx_chat_unsent;
        ngx_chat_unsent = oldest->next;
        ngx_chat_nunsent--;
        ngx_free(oldest);
    }

    t->next = NULL;
    *ngx_chat_unsent_last = t;
    ngx_chat_unsent_last = &t->next;
    ngx_chat_nunsent++;
}


/* Removes users that have a follower again: their WATCH was sent before this
 * UNWATCH, which would cancel it. */

static void
ngx_chat_notify_filter(ngx_chat_notify_t *t)
{
    uint64_t    user;
    ngx_uint_t  i, n;

    for (i = 0, n = 0; i < t->n; i++) {
        chat_user_decode(t->users + i * CHAT_USER_SIZE, &user);

        if (ngx_chat_followed_find(user) == NULL) {
            chat_user_encode(user, t->users + n++ * CHAT_USER_SIZE);
        }
    }

    t->n = n;
}


static void
ngx_chat_notify_reply(ngx_chat_reply_t *reply, void *data)
{
    ngx_chat_notify_t  *t = data;

    if (!ngx_chat_reply_failed(reply)) {
        ngx_free(t);
        return;
    }

    ngx_chat_notify_keep(t);
}


static ngx_int_t
ngx_chat_notify_add(chat_event_t *ev, ngx_chat_redis_reply_pt fn, void *data)
{
    size_t        lens[8];
    u_char        maxlen[NGX_INT_T_LEN];
    ngx_str_t     key = ngx_string(CHAT_KEY_PRESENCE);
    ngx_time_t   *tp;
    const char   *args[8];

    tp = ngx_timeofday();

    ev->edge = ngx_chat_edge->id;
    ev->received = (int64_t) tp->sec * 1000 + tp->msec;

    /* It fits: the body is at most 256 users. */
    chat_event_encode(ev, ngx_chat_edge->scratch);

    args[0] = "XADD";
    lens[0] = 4;
    args[1] = CHAT_KEY_PRESENCE;
    lens[1] = sizeof(CHAT_KEY_PRESENCE) - 1;
    args[2] = "MAXLEN";
    lens[2] = 6;
    args[3] = "~";
    lens[3] = 1;
    args[4] = (char *) maxlen;
    lens[4] = ngx_sprintf(maxlen, "%d", CHAT_PRESENCE_MAXLEN) - maxlen;
    args[5] = "*";
    lens[5] = 1;
    args[6] = CHAT_EVENT_FIELD;
    lens[6] = sizeof(CHAT_EVENT_FIELD) - 1;
    args[7] = (char *) ngx_chat_edge->scratch;
    lens[7] = chat_event_size(ev);

    ngx_chat_edge->counters.events++;

    return ngx_chat_redis_command(&key, fn, data, 8, args, lens);
}
