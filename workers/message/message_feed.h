/*
 * message_feed.h: the feed of committed entries, as its writer sees it.
 *
 * Called from on_answer.c (gathers), message_try.c (rollback), message_batch.c
 * (sends) and message_worker.c (periodic work). Contract: docs/feed.md. While
 * no role is registered nothing is gathered and nothing is sent.
 *
 * message_feed.c       gathers records and appends XADD
 * message_feed_trim.c  periodic work: registered roles, trimming, counters
 */

#ifndef MESSAGE_FEED_H
#define MESSAGE_FEED_H

#include "chat_committed.h"
#include "chat_keys.h"
#include "message.h"

#define MESSAGE_FEED_ROLES_MAX  32  /* further ones are ignored             */

typedef struct {
    char      name[CHAT_FEED_ROLE_MAX + 1];
    int64_t   heartbeat;            /* ms since 1970, its own clock         */
} message_feed_role_t;

struct message_feed_s {
    message_feed_role_t  roles[MESSAGE_FEED_ROLES_MAX];
    size_t               nroles;
    int64_t              tick_at;   /* next periodic work, monotonic ms     */
    int64_t              trim_at;   /* next trimming, monotonic ms          */
    chat_buf_t           bufs[CHAT_SHARDS];     /* value of the next XADD   */
    size_t               nrecords;  /* gathered and not sent                */
    int64_t              refused_at;    /* last log line, monotonic ms      */
    uint64_t             owned;     /* shards, at the last periodic work    */
    uint64_t             untrimmed; /* shards that may hold stream entries  */
    uint64_t             dropping;  /* shards whose drops are in the log    */
    /* counters since the last write of CHAT_KEY_FEED_STATS */
    uint64_t             written;   /* records                              */
    uint64_t             appended;  /* stream entries                       */
    uint64_t             trimmed, dropped;      /* stream entries           */
};

message_feed_t *message_feed_new(void);
void message_feed_free(message_feed_t **feed);

/* A record of an entry of `chat` that the open transaction has written, or
 * that an earlier one may have written without publishing (`redo`). */
void message_feed_gather(message_t *m, const message_chat_t *chat,
    const chat_entry_t *e, int redo);

/* The event is a change that was committed by an owner who died: gathers every
 * entry that this commit may have made. */
store_e message_feed_redo(message_t *m, const message_item_t *it);

/* Discards the records of a transaction that was rolled back. */
void message_feed_reset(message_t *m);

/* Appends one XADD for each shard with records, without sending; the replies
 * are counted in m->acks. Between the commit and XDEL of the events. */
void message_feed_send(message_t *m);

/* Redis has refused XADD or another command whose reply nobody waits for: logs
 * so, at most once in ten seconds. Messages go on, for clients come first. */
void message_feed_refused(message_t *m, const char *error);

/* Periodic work, at most once a second. -1: Redis was lost. */
int message_feed_tick(message_t *m);

#endif
