/*
 * message.h: the map of the message worker.
 *
 * The one writer of the chats of its shards. An event meets the files in this
 * order:
 *
 * message_worker.c  the loop: read, process, publish, acknowledge
 * message_shard.c   which shards are ours: locks, epochs, fair share, fencing
 * message_heartbeat.c    heartbeats
 * message_stream.c  events out of Redis Streams, and out of them for good
 * message_reclaim.c what a dead owner, or we, may have begun
 * message_batch.c   what becomes of a batch: order of effects, poison
 * message_try.c     many events, one transaction
 * message_round.c   what of a batch can be written at once
 * message_chat.c    the cache of chats with their members
 * message_append.c  entries of a batch become one statement
 * on_*.c            one event type each: may it be, what does it change, who
 *                   is told
 * fanout_*.c        the ways out: routes, one PUBLISH per edge and batch
 * message_feed*.c   records of committed entries, for other roles
 * message_dead.c    what fails five times is set aside
 * message_unavailable.c    answers `unavailable` while PostgreSQL is away
 *
 * Plain blocking C in one thread. Whatever is in memory here may be lost at
 * any moment: an event leaves its stream only when its effects are in
 * PostgreSQL and published.
 */

#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdint.h>

#include "chat_event.h"
#include "chat_frame.h"
#include "fanout.h"
#include "message_chat.h"
#include "store_chat.h"
#include "worker.h"

#define MESSAGE_FAILURES    5       /* then it is set aside                 */
#define MESSAGE_UNAVAILABLE_MS     2000    /* without database: `unavailable`      */
#define MESSAGE_REDO_MS     120000  /* a younger first commit: REDO         */
#define MESSAGE_CACHE_MAX   1000000 /* members in the cache of chats        */
#define MESSAGE_RETRY_AFTER 2       /* s, told with `unavailable`           */
#define MESSAGE_WRITTEN     16384   /* message ids remembered               */

struct redisContext;

typedef struct message_s        message_t;
typedef struct message_batch_s  message_batch_t;
typedef struct message_feed_s   message_feed_t;

/* how a story ends */
typedef enum {
    MESSAGE_DONE = 0,               /* acknowledge                          */
    MESSAGE_RETRY,                  /* leave it in the stream               */
    MESSAGE_POISON                  /* set it aside                         */
} message_e;

/* One event on its way. Strings are borrowed from the reply it came in. */
typedef struct message_item_s  message_item_t;

struct message_item_s {
    chat_event_t      ev;
    chat_str_t        raw;          /* the event's bytes                    */
    char              id[48];       /* of the stream entry                  */
    unsigned          shard;
    unsigned          failures;     /* owners who died of it, failed tries  */
    uint8_t           redo;         /* may have been done before            */
    uint8_t           broken;       /* not an event, or not of this shard   */
    uint8_t           parsed;       /* frame holds the REST body            */
    uint16_t          round;        /* in the batch, see message_round.c    */
    message_chat_t   *chat;         /* in the cache, during a batch         */
    message_item_t   *before;       /* the send before it in round and chat */
    chat_frame_t      frame;
};

typedef struct {
    uint64_t          epoch;        /* 0: not ours                          */
    uint8_t           reclaim;      /* what may have been begun comes first */
    uint8_t           others;       /* and by another                       */
    char              after[48];    /* without database: the last that may be
                                       committed; empty: none               */
} message_shard_t;

struct message_s {
    worker_t             *worker;
    struct redisContext  *redis;    /* NULL while away                      */
    store_chat_t         *store;
    message_cache_t      *cache;
    fanout_t             *out;
    message_batch_t      *batch;
    message_feed_t       *feed;     /* message_feed.h                       */
    message_shard_t       shards[CHAT_SHARDS];
    unsigned              owned;
    int64_t               heartbeat_at;  /* next heartbeat, monotonic ms         */
    int64_t               peers_at;  /* next look at those of the others     */
    int64_t               take_at;  /* next look for free shards            */
    int64_t               check_at; /* next look whether the locks are ours */
    int64_t               iterated_at;  /* last turn of the loop                */
    int64_t               read_us;  /* last read that brought something,
                                       monotonic                            */
    unsigned              busy_reads;     /* such reads without a pause           */
    unsigned              alive;    /* workers with a heartbeat, we too     */
    int64_t               unavailable_at;  /* database lost; 0: it is there        */
    int64_t               connect_at; /* next try to reach it               */
    int                   connect_n;  /* failed tries                       */
    unsigned              count;    /* COUNT of the next read               */
    unsigned              acks;     /* answers outstanding, of no interest  */
    int                   redis_n;  /* failed tries to reach Redis          */
    chat_buf_t            text;     /* of the handler at work               */
    uint64_t              unavailable_mask; /* shards that were ours, message_unavailable.c */
    struct message_peer_s  *peers;   /* heartbeats, message_heartbeat.c           */
    uint32_t              written[MESSAGE_WRITTEN]; /* message ids of late, at
                                       their own place, message_append.c    */
};

/* While messages come without a pause: waits for more of them. */
void message_linger(const message_t *m);

/* --------------------------------------------------- redis, message_redis.c */

/* Connects and starts tracking when not connected: 0, or -1 after waiting. */
int message_redis_open(message_t *m);
void message_redis_close(message_t *m);
/* Warns, closes, returns -1. */
int message_redis_lost(message_t *m, const char *what);
/* Reads all answers that are outstanding, so that a command can be sent and
 * its own answer be read. -1: Redis was lost. */
int message_redis_drain(message_t *m);

/* ------------------------------------------------- shards, message_shard.c */

/* Heartbeat, fair share, taking and releasing, when it is time; with
 * nothing in hand. -1: the database or Redis was lost. */
int message_shard_tick(message_t *m);
/* The locks are gone, or go. */
void message_shard_drop_all(message_t *m);
void message_shard_leave(message_t *m);
uint64_t message_shard_mask(const message_t *m);

/* ---------------------------------------------- heartbeats, message_heartbeat.c */

#define MESSAGE_DEAD_MS  3000

/* Ours, and, when `look`, what the others do: m->alive. -1: Redis was lost. */
int message_heartbeat(message_t *m, int look);
/* Ours, when it is time: for those who are long at work. */
int message_heartbeat_renew(message_t *m);
void message_heartbeat_end(message_t *m);
void message_heartbeat_free(message_t *m);
int message_heartbeat_expired(message_t *m, const char *id);
int message_heartbeat_others(message_t *m);

/* ------------------------------------------------ streams, message_stream.c */

#define MESSAGE_COUNT_MAX  64       /* events read of a stream at once      */

/* Reads the first events of the shards in `mask` (bit = shard), waiting up to
 * block_ms for one; *items_r is new, freed by message_stream_free(). 0 items when the
 * time is up. -1: Redis was lost. */
typedef struct {
    message_item_t  *items;
    size_t           n;
    void            *reply;
} message_read_t;

int message_stream_read(message_t *m, uint64_t mask, int block_ms,
    message_read_t *read_r);
void message_stream_free(message_read_t *read);

/* Takes items out of their streams, without waiting for the answers; these
 * come with the next command or by message_redis_drain(). */
void message_stream_done(message_t *m, const message_item_t *items, size_t n);

/* Of one stream entry [id, [field, value ...]], borrowed. */
struct redisReply;
void message_item_read(message_item_t *item, unsigned shard,
    const struct redisReply *entry);
void message_item_free(message_item_t *item);

/* ----------------------------------------------- reclaim, message_reclaim.c */

/* Finishes what may have been begun of the shards that want it. -1: Redis or
 * the database was lost. */
int message_reclaim(message_t *m);

/* -------------------------------------------------- rounds, message_round.c */

/* Gives every item its round; how many there are. Items' chats are set. */
unsigned message_rounds(message_item_t *items, size_t n);
const chat_str_t *message_item_id(const message_item_t *item);

/* ----------------------------------------------------- tries, message_try.c */

message_batch_t *message_batch_new(void);
void message_batch_free(message_batch_t **b);

/* The transaction of n events. OK: committed, and what is to be told is
 * gathered. Else nothing is gathered, and nothing was committed unless it is
 * AWAY and message_committing(). */
store_e message_try(message_t *m, message_item_t *items, size_t n);
int message_committing(const message_t *m);
int message_type_supported(unsigned type);

/* ------------------------------------------------- batches, message_batch.c */

/* Everything for n events: transaction, publishing, the end; poisonous ones are
 * found and set aside. RETRY: the database or Redis was lost, all of them are
 * still in their streams. */
message_e message_process(message_t *m, message_item_t *items, size_t n);
message_e message_process_single(message_t *m, message_item_t *item);

/* ----------------------------------------------- entries, message_append.c */

/* Entries of `chat`, or, when it is NULL, each of its own. NONE: the cache was
 * not what the database has, nothing was written, it must be read again.
 * `alone`: as for store_chat_append(). */
store_e message_append(message_t *m, message_chat_t *chat,
    store_append_t *rows, size_t n, int alone);

/* ----------------------------------------------------- dead, message_dead.c */

/* 0 when it is in message.sent.dead, -1 when Redis was lost. */
int message_dead(message_t *m, const message_item_t *item, const char *error);

/* ----------------------------------------------------- away, message_unavailable.c */

/* Connects when not connected: 0, or -1. */
int message_store_open(message_t *m);
/* The connection was lost, and with it the locks. */
void message_store_lost(message_t *m);
/* These may have been committed; NULL: forgets all such. */
void message_unavailable_after(message_t *m, const message_item_t *items, size_t n);
/* One turn without a database. */
void message_unavailable(message_t *m);

#endif
