/*
 * fanout.h: what the message worker publishes to edges.
 *
 * Called from reply.c and message_entry.c, which collect records while the
 * transaction is open, and from message_batch.c, which publishes them after the
 * commit or discards them after a rollback. Collecting changes only memory.
 *
 * fanout.c             collects records
 * fanout_connection.c  creation, end, the connection to Redis
 * fanout_route.c       which user is connected to which edge: a cache
 * fanout_marker.c      clean-disconnect markers of absent devices
 * fanout_build.c       one batch of records per edge
 * fanout_publish.c     one PUBLISH per edge and batch
 * fanout_purge.c       the routes of edges that died
 *
 * The worker's connection to Redis is borrowed.
 */

#ifndef FANOUT_H
#define FANOUT_H

#include <stddef.h>
#include <stdint.h>

#include "chat_batch.h"
#include "chat_entry.h"
#include "message_chat.h"
#include "redis.h"
#include "worker.h"

typedef struct fanout_s  fanout_t;

fanout_t *fanout_new(void);
void fanout_free(fanout_t **f);

/* Turns on client-side caching for the connection. 0, or -1. */
int fanout_open(fanout_t *f, const worker_conf_t *conf, redis_t *redis);
/* The connection is lost; empties the cache, which can no longer be validated. */
void fanout_close(fanout_t *f);

/* ------------------------------------------------------------ collecting */

/* the session or request that is answered; edge 0: none */
typedef struct {
    uint64_t  edge;
    uint64_t  session;
} fanout_to_t;

/* An entry, for every member who may see it. `from` is the session that sent it,
 * which gets message_ack instead; `rejoined` a user who became a member again
 * with this entry, or 0. Flags: CHAT_REC_F_REDO. */
void fanout_entry(fanout_t *f, message_chat_t *chat, const chat_entry_t *e,
    uint64_t epoch, fanout_to_t from, uint64_t rejoined, uint8_t flags);
/* The answer to a duplicate. */
void fanout_ack(fanout_t *f, fanout_to_t to, const chat_entry_t *e);
/* An error frame that refuses the message of that chat and id. */
void fanout_frame(fanout_t *f, fanout_to_t to, const uint8_t chat[16],
    const chat_str_t *message_id, const chat_buf_t *json);
/* The answer to a REST request. */
void fanout_http(fanout_t *f, fanout_to_t to, unsigned status,
    const chat_buf_t *json);

/* A frame for the members of a chat but one user. */
void fanout_notice_others(fanout_t *f, message_chat_t *chat, uint64_t but,
    const chat_buf_t *json);
/* A frame for users, on all their devices but one (0: none). */
void fanout_notice_users(fanout_t *f, const uint64_t *users, size_t n,
    uint64_t but_device, const chat_buf_t *json);

/* Discards the collected records. */
void fanout_reset(fanout_t *f);

/* ------------------------------------------------------------- publishing */

/* Sends one PUBLISH per edge according to the cached routes, without waiting for
 * the replies. No reply may be outstanding on the connection. -1: Redis was
 * lost. */
int fanout_publish(fanout_t *f);

/* Reads the replies, publishes again to users whose route was stale, and discards
 * the collected records. Called once after each fanout_publish(), before anything
 * else is sent and before the batch is acknowledged; its chats must still be
 * cached. */
int fanout_confirm(fanout_t *f);

/* The collected records are committed: they survive fanout_close(), because Redis
 * may have lost the events they came from, until fanout_confirm() succeeds. */
void fanout_set_pending(fanout_t *f);
/* On a new connection: publishes pending records, as a redo. Their chats must
 * still be cached. 0 also when nothing is pending; -1: Redis was lost. */
int fanout_flush(fanout_t *f);

/* Deletes the routes of edges that received no PUBLISH and are dead. No reply may
 * be outstanding on the connection. -1: Redis was lost. */
int fanout_purge(fanout_t *f);

#endif
