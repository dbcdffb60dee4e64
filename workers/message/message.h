/*
 * message.h: the map of the message worker.
 *
 * The only writer of the chats of its shards. An event meets the files in this
 * order:
 *
 * message_worker.c       the loop: read, process, publish, acknowledge
 * message_linger.c       waits for more events under load
 * message_shard.c        which shards are ours: locks, epochs, fair share
 * message_shard_set.c    the set of owned shards
 * message_heartbeat.c    heartbeats
 * message_stream.c       reads events from Redis Streams and deletes them
 * message_reclaim.c      events that a dead owner, or we, may have begun
 * message_batch.c        one batch: order of effects, poison events
 * message_try.c          many events, one transaction
 * message_prepare.c      loads the batch's chats
 * message_chat.c         the cache of chats with their members
 * message_round.c        which events of a batch can be written together
 * on_*.c                 one event type each: is it allowed, what does it
 *                        change, who is notified
 * request.h              what handlers check: membership, fields, keys
 * message_entry.h        what they write: log entries
 * message_append.c       entries become one statement
 * reply.h                what they send: answers, refusals, notices
 * fanout_*.c             routes, one PUBLISH per edge and batch
 * message_feed*.c        records of committed entries, for other roles
 * message_dead.c         the dead-letter stream, after five failures
 * message_unavailable.c  answers `unavailable` while PostgreSQL is lost
 *
 * Blocking C in one thread. The process may die at any moment: an event leaves
 * its stream only when its effects are in PostgreSQL and published.
 */

#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdint.h>

#include "chat_event.h"
#include "chat_frame.h"
#include "fanout.h"
#include "message_chat.h"
#include "redis.h"
#include "store_chat.h"
#include "worker.h"

#define MESSAGE_FAILURES        5       /* of one event: dead letter        */
#define MESSAGE_UNAVAILABLE_MS  2000    /* without database: `unavailable`  */
#define MESSAGE_REDO_MS         120000  /* duplicates of younger entries are
                                           published again                  */
#define MESSAGE_CACHE_MAX       1000000 /* members in the cache of chats    */
#define MESSAGE_RETRY_AFTER     2       /* s, sent with `unavailable`       */
#define MESSAGE_RECENT          16384   /* slots for recent message ids     */

typedef struct message_s        message_t;
typedef struct message_batch_s  message_batch_t;
typedef struct message_feed_s   message_feed_t;

/* what happens to events next */
typedef enum {
    MESSAGE_DONE = 0,               /* deleted from the stream: processed,
                                       refused, or dead-lettered            */
    MESSAGE_RETRY                   /* left in the stream                   */
} message_e;

/* One event on its way. Strings are borrowed from the Redis reply. */
typedef struct message_item_s  message_item_t;

struct message_item_s {
    chat_event_t      ev;
    chat_str_t        raw;          /* the event's bytes                    */
    char              id[48];       /* of the stream entry                  */
    unsigned          shard;
    unsigned          failures;     /* owners that died, failed attempts    */
    uint8_t           redo;         /* may have been committed before       */
    uint8_t           broken;       /* not an event, or not of this shard   */
    uint8_t           parsed;       /* frame holds the REST body            */
    uint16_t          round;        /* in the batch, see message_round.c    */
    message_chat_t   *chat;         /* in the cache, during a batch         */
    message_item_t   *prev_send;    /* of the same round and chat           */
    chat_frame_t      frame;
};

typedef struct {
    uint64_t          epoch;        /* 0: not ours                          */
    uint8_t           reclaim;      /* reclaim before reading new events    */
    uint8_t           others;       /* also events begun by another owner   */
    char              after[48];    /* without database: the last event that
                                       may be committed; empty: none        */
} message_shard_t;

struct message_s {
    worker_t             *worker;
    redis_t              *redis;    /* NULL while not connected             */
    store_chat_t         *store;
    message_cache_t      *cache;
    fanout_t             *out;
    message_batch_t      *batch;
    chat_buf_t            json;     /* reply_buf()                          */
    message_feed_t       *feed;     /* message_feed.h                       */
    message_shard_t       shards[CHAT_SHARDS];
    unsigned              owned;

    /* timers, monotonic ms */
    int64_t               heartbeat_at; /* next heartbeat                   */
    int64_t               peers_at; /* next check of the other workers'     */
    int64_t               take_at;  /* next check for free shards           */
    int64_t               check_at; /* next check that the locks are ours   */
    int64_t               iterated_at; /* last iteration of the loop        */

    int64_t               read_us;  /* last read that brought events,
                                       monotonic us                         */
    unsigned              busy_reads; /* such reads without a pause         */
    unsigned              alive;    /* workers with a heartbeat, we too     */
    unsigned              count;    /* COUNT of the next read               */
    unsigned              acks;     /* outstanding replies to be ignored    */
    int                   redis_n;  /* failed attempts to connect to Redis  */

    int64_t               unavailable_at; /* database lost; 0: connected    */
    int64_t               connect_at; /* next attempt to connect to it      */
    int                   connect_n;  /* failed attempts                    */
    uint64_t              unavailable_mask; /* shards that were ours        */

    struct message_peer_s  *peers;  /* heartbeats of the other workers      */

    /* hashes of recent device and message ids, message_append.c */
    uint32_t              recent[MESSAGE_RECENT];
};

/* ------------------------------------------------ linger, message_linger.c */

/* Counts a read that brought n events. */
void message_linger_load(message_t *m, size_t n);
/* Under load: sleeps until the next batch window begins. */
void message_linger(const message_t *m);

/* --------------------------------------------------- redis, message_redis.c */

/* Connects and enables tracking when not connected: 0, or -1 after waiting. */
int message_redis_open(message_t *m);
void message_redis_close(message_t *m);
/* Logs, closes the connection, returns -1. */
int message_redis_lost(message_t *m, const char *what);
/* Reads all outstanding replies, so that the next one read belongs to the next
 * command. -1: Redis was lost. */
int message_redis_drain(message_t *m);

/* ------------------------------------------------- shards, message_shard.c */

/* Periodic work: heartbeat, fair share, taking and releasing shards. No batch
 * may be in progress. -1: the database or Redis was lost. */
int message_shard_tick(message_t *m);
/* Shutdown: releases all shards and ends the heartbeat. */
void message_shard_leave(message_t *m);

/* --------------------------------------------- owned, message_shard_set.c */

/* The locks are lost or released: no shard is ours, the cache is empty. */
void message_shard_drop_all(message_t *m);
/* Bit = shard. */
uint64_t message_shard_mask(const message_t *m);

/* ----------------------------------------- heartbeats, message_heartbeat.c */

#define MESSAGE_DEAD_MS  3000

/* Sends ours and, when `look`, reads the others': m->alive. -1: Redis was
 * lost. */
int message_heartbeat(message_t *m, int look);
/* Sends ours when it is due: between the batches of a long read. */
int message_heartbeat_renew(message_t *m);
void message_heartbeat_end(message_t *m);
void message_heartbeat_free(message_t *m);
int message_heartbeat_expired(message_t *m, const char *id);
int message_heartbeat_others(message_t *m);

/* ------------------------------------------------ streams, message_stream.c */

#define MESSAGE_COUNT_MAX  64       /* events read of a stream at once      */

typedef struct {
    message_item_t  *items;
    size_t           n;
    redis_reply_t            *reply;
} message_read_t;

/* Reads the first events of the shards in `mask` (bit = shard), waiting up to
 * block_ms for one; *read_r is new, freed by message_stream_free(). 0 items
 * when the time is up. -1: Redis was lost. */

int message_stream_read(message_t *m, uint64_t mask, int block_ms,
    message_read_t *read_r);
void message_stream_free(message_read_t *read);

/* Deletes items from their streams without waiting for the replies, which are
 * read with the next command or by message_redis_drain(). */
void message_stream_done(message_t *m, const message_item_t *items, size_t n);


/* Parses a stream entry [id, [field, value ...]], borrowed by the item. */
void message_item_read(message_item_t *item, unsigned shard,
    const redis_reply_t *entry);
void message_item_free(message_item_t *item);

/* ----------------------------------------------- reclaim, message_reclaim.c */

/* Processes the events that may have been begun, of all shards with `reclaim`
 * set. -1: Redis or the database was lost. */
int message_reclaim(message_t *m);

/* -------------------------------------------------- rounds, message_round.c */

/* Sets the round of every item; the number of rounds. Needs the items'
 * chats. */
unsigned message_rounds(message_item_t *items, size_t n);
/* The message id, from the frame or from the REST body. */
const chat_str_t *message_item_id(const message_item_t *item);

/* -------------------------------------------- preparing, message_prepare.c */

message_batch_t *message_batch_new(void);
void message_batch_free(message_batch_t **b);

/* Whether COMMIT was sent in the last attempt, so that its outcome may be
 * unknown. */
int message_committing(const message_t *m);

/* -------------------------------------------------- attempts, message_try.c */

/* The transaction of n events. STORE_OK: committed, and fanout holds what is
 * to be published. Otherwise fanout holds nothing, and nothing was committed
 * unless it is STORE_UNAVAILABLE and message_committing(). */
store_e message_try(message_t *m, message_item_t *items, size_t n);
int message_type_supported(unsigned type);

/* ------------------------------------------------- batches, message_batch.c */

/* Processes n events: commits, publishes, deletes them from their streams;
 * poison events go to the dead-letter stream. MESSAGE_RETRY: the database or
 * Redis was lost, unfinished events are still in their streams. */
message_e message_process(message_t *m, message_item_t *items, size_t n);
/* The same for one event of which owners may have died. */
message_e message_process_single(message_t *m, message_item_t *item);

/* ----------------------------------------------- entries, message_append.c */

/* Appends entries to `chat`, or, when it is NULL, each to its own chat.
 * STORE_STALE: a cached chat was stale and must be loaded again; nothing
 * was written. `alone`: STORE_APPEND_NOW of
 * store_chat_append(). */
store_e message_append(message_t *m, message_chat_t *chat,
    store_append_t *rows, size_t n, int alone);

/* ----------------------------------------------------- dead, message_dead.c */

/* Copies the event to message.sent.dead. -1: Redis was lost. */
int message_dead(message_t *m, const message_item_t *item, const char *error);

/* ----------------------------- without database, message_unavailable.c */

/* Connects to the database when not connected: 0, or -1. */
int message_store_open(message_t *m);
/* The connection was lost, and with it the locks. */
void message_store_lost(message_t *m);
/* These events may be committed and must not be refused; NULL: clears all
 * such. */
void message_unavailable_after(message_t *m, const message_item_t *items,
    size_t n);
/* One iteration of the loop without a database. */
void message_unavailable(message_t *m);

#endif
