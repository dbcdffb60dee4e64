/*
 * fanout.h: the ways out of the message worker.
 *
 * Called from on_*.c, which gather what is to be told while the transaction
 * is open, and from message_batch.c, which publishes it after the commit or
 * forgets it after a rollback. Gathering touches nothing but memory.
 *
 * fanout.c          gathers
 * fanout_connection.c  life of a fanout, connections
 * fanout_route.c    which user is on which edge: a cache of route:{user}
 * fanout_marker.c     notes of devices that left with everything
 * fanout_publish.c  one buffer and one PUBLISH per edge and batch
 * fanout_purge.c     the routes of edges that died
 *
 * The worker's connection to Redis is borrowed; a second one, on which Redis
 * tells what of the cache is no longer true, is our own.
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

/* Turns on tracking for the connection. 0, or -1. */
int fanout_open(fanout_t *f, const worker_conf_t *conf,
    redis_t *redis);
/* The connection is gone, and with it the truth of the cache. */
void fanout_close(fanout_t *f);

/* ------------------------------------------------------------- gathering */

/* where an answer goes; edge 0: nobody waits for it */
typedef struct {
    uint64_t  edge;
    uint64_t  session;
} fanout_to_t;

/* An entry, for every member who may see it; `from` is the session that sent
 * it, which gets message_ack instead; `back` a user who came back with it, or
 * 0. Flags: CHAT_REC_F_REDO. */
void fanout_entry(fanout_t *f, message_chat_t *chat, const chat_entry_t *e,
    uint64_t epoch, fanout_to_t from, uint64_t back, uint8_t flags);
void fanout_ack(fanout_t *f, fanout_to_t to, const chat_entry_t *e);
/* An error frame, about the message of that chat and id. */
void fanout_frame(fanout_t *f, fanout_to_t to, const uint8_t chat[16],
    const chat_str_t *message_id, const chat_buf_t *json);
void fanout_http(fanout_t *f, fanout_to_t to, unsigned status,
    const chat_buf_t *json);

/* A frame for the members of a chat but one user. */
void fanout_notice_others(fanout_t *f, message_chat_t *chat, uint64_t but,
    const chat_buf_t *json);
/* A frame for users, on all their devices but one (0: none). */
void fanout_notice_users(fanout_t *f, const uint64_t *users, size_t n,
    uint64_t but_device, const chat_buf_t *json);

/* Forgets what was gathered. */
void fanout_reset(fanout_t *f);

/* ------------------------------------------------------------- publishing */

/* Sends one PUBLISH per edge by what is known of where everybody is, without
 * waiting for the answers. No answer may be outstanding on the connection.
 * -1: Redis was lost. */
int fanout_publish(fanout_t *f);

/* Reads the answers, and publishes again for whom that was not true any more;
 * then what was gathered is forgotten. Once after each fanout_publish(), before
 * anything else is sent and before the batch is acknowledged: its chats must
 * be the same as then. */
int fanout_confirm(fanout_t *f);

/* What was gathered is committed: it outlives fanout_close(), for Redis may
 * have lost the events it came from, until fanout_confirm() succeeds. */
void fanout_set_pending(fanout_t *f);
/* On a new connection: tells what is still owed, as a redo. Its chats must
 * still be there. 0 when nothing is owed; -1: Redis was lost. */
int fanout_flush(fanout_t *f);

/* Deletes the routes of edges that nobody listened for. Needs a connection
 * with no answer outstanding. */
int fanout_purge(fanout_t *f);

#endif
