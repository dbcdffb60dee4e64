/*
 * ngx_chat_presence.h: presence subscriptions and their updates.
 */

#ifndef NGX_CHAT_PRESENCE_H
#define NGX_CHAT_PRESENCE_H

#include "ngx_chat.h"


typedef struct ngx_chat_followed_s  ngx_chat_followed_t;

struct ngx_chat_followed_s {            /* a user whom anybody here follows */
    ngx_chat_followed_t *next;          /* in the hash by user              */
    uint64_t             user;
    ngx_queue_t          follows;
};

typedef struct {                        /* one session follows one user     */
    ngx_queue_t          link;          /* in followed->follows             */
    ngx_chat_followed_t *followed;
    ngx_chat_session_t  *session;
    int64_t              as_of;         /* when this was true, us, by Redis */
    int64_t              last_seen;     /* ms, 0: not to be known           */
    int64_t              sent_last_seen;
    unsigned             online:1;
    unsigned             shown:1;       /* this session may know; else the
                                           user is offline to it            */
    unsigned             sent:1;        /* the client has had an answer     */
    unsigned             sent_online:1;
    unsigned             requested:1;   /* the client waits for an answer   */
} ngx_chat_follow_t;

struct ngx_chat_follows_s {             /* all that a session follows       */
    ngx_queue_t          link;          /* in edge->following               */
    ngx_queue_t          updates;       /* in edge->updates                 */
    ngx_chat_session_t  *session;
    ngx_chat_follow_t  **list;          /* by user                          */
    ngx_uint_t           n;
    ngx_uint_t           cap;
    ngx_uint_t           requests;      /* the client's, without an answer  */
    ngx_msec_t           requested_at;  /* time of the last of them         */
    ngx_msec_t           progress_at;   /* first request or last answer     */
    ngx_msec_t           refresh_at;    /* time of the edge's own request   */
    unsigned             in_updates:1;  /* a change is not yet written      */
};


/* ngx_chat_presence.c: frames of the client, records of the worker */
void ngx_chat_presence_subscribe(ngx_chat_session_t *s,
    chat_frame_t *frame);
void ngx_chat_presence_unsubscribe(ngx_chat_session_t *s,
    chat_frame_t *frame);
void ngx_chat_presence_deliver(chat_rec_t *rec);

/* The session's user has joined or left a chat: who is visible may change. */
void ngx_chat_presence_membership_changed(ngx_chat_session_t *s);

/* Updates may have been lost: every session refreshes, spread over time. */
void ngx_chat_presence_refresh_all(void);
void ngx_chat_presence_tick(void);          /* every 100 ms                 */

/* ngx_chat_follow.c: find returns NULL when nobody here, or the session, does
 * not follow the user; add returns NULL out of memory */
ngx_chat_followed_t *ngx_chat_followed_find(uint64_t user);
ngx_chat_follow_t *ngx_chat_follow_find(ngx_chat_session_t *s,
    uint64_t user);
ngx_chat_follow_t *ngx_chat_follow_add(ngx_chat_session_t *s, uint64_t user);
void ngx_chat_follow_remove(ngx_chat_follow_t *f);
void ngx_chat_follow_drop(ngx_chat_session_t *s);

/* ngx_chat_update.c: as_of in us, by the clock of Redis */
void ngx_chat_update_set(ngx_chat_follow_t *f, chat_presence_t *presence,
    int64_t as_of);
void ngx_chat_update_flush(void);           /* every 200 ms                 */
void ngx_chat_update_write(ngx_chat_session_t *s, ngx_chat_follow_t **list,
    ngx_uint_t n);

/* ngx_chat_notify.c: type is CHAT_EV_ONLINE, _OFFLINE or _UNWATCH; requested:
 * the client waits for the answer */
void ngx_chat_notify(ngx_uint_t type, uint64_t user);
void ngx_chat_notify_flush(void);           /* every 200 ms                 */
ngx_int_t ngx_chat_notify_watch(ngx_chat_session_t *s, const uint64_t *users,
    ngx_uint_t n, ngx_uint_t requested);

#endif
