/*
 * redis.h: blocking connections to Redis, the only room that sees hiredis.
 *
 * Called from the roles and chatctl. Hands to hiredis. Every command names the
 * key it is for (a channel counts as a key), so that a connection can later
 * stand for several nodes. Three rules keep that possible:
 *
 * - a command, script or transaction touches keys of one {tag} only;
 * - what reads several streams at once goes through redis_streams_append();
 * - an invalidation says something about replies of its own connection only.
 *
 * redis_address.c   the address in workers.conf
 * redis_connect.c   connect, authenticate, select; close
 * redis_command.c   pipelined commands and their replies
 * redis_reply.c     what a reply holds
 * redis_streams.c   reading several streams at once; entries
 * redis_tracking.c  client-side caching: keys that have changed
 */

#ifndef REDIS_H
#define REDIS_H

#include <stddef.h>
#include <stdint.h>

#include "chat_event.h"
#include "worker.h"

typedef struct redis_s           redis_t;
typedef struct redisReply        redis_reply_t;
typedef struct redis_tracking_s  redis_tracking_t;

/* ------------------------------------------------------------- connections */

/* Connects (2 s), authenticates, selects, and sets `timeout_ms` as the limit
 * of every reply (0: none). New, closed by redis_close(); NULL after logging a
 * warning. A connection that has failed stays failed: the caller closes it and
 * connects again after worker_backoff(). Not for two threads at once. */
redis_t *redis_connect(const worker_conf_t *conf, int timeout_ms);
void redis_close(redis_t **r);

/* Why the connection failed; never NULL. Borrowed, until the next call. */
const char *redis_error(const redis_t *r);

/* 0 when `url` is a valid Redis address (see worker_conf_t), else -1. */
int redis_address_check(const char *url);

/* -------------------------------------------------------------------- keys */

#define REDIS_KEY_SIZE  160         /* longest key and its terminator       */

/* Prints a key by its name in chat_keys.h; returns key_r, so that it can be
 * the argument of a command. */
const char *redis_key(char key_r[REDIS_KEY_SIZE], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The routing key of a command that has none (PING, TIME, CLIENT). */
#define REDIS_ANY_NODE  ""

/* ---------------------------------------------------------------- commands */

/* Appends a command to the output buffer without sending it; one reply is then
 * outstanding. `key` is the routing key, it is not added to the command.
 * `fmt` is hiredis': words are separated by spaces, %s a word, %b a word
 * given as pointer and size_t, numbers as in printf. Arguments are copied. */
void redis_append(redis_t *r, const char *key, const char *fmt, ...);
/* lens may be NULL when all arguments end with a zero byte. */
void redis_append_argv(redis_t *r, const char *key, int argc,
    const char **argv, const size_t *lens);

/* Sends what was appended, without waiting for replies. redis_read() does so
 * too. 0, or -1 when the connection is lost. */
int redis_flush(redis_t *r);

/* The next outstanding reply, in the order of the commands; waits for it. New,
 * freed by redis_reply_free(). NULL: the connection is lost. An error reply is
 * a reply. */
redis_reply_t *redis_read(redis_t *r);

/* Appends a command and reads its reply. No reply may be outstanding. */
redis_reply_t *redis_call(redis_t *r, const char *key, const char *fmt, ...);
redis_reply_t *redis_call_argv(redis_t *r, const char *key, int argc,
    const char **argv, const size_t *lens);

/* ----------------------------------------------------------------- replies */

/* All of these accept NULL, which is no reply: nil of no type. Text and parts
 * are borrowed from the reply. */
void redis_reply_free(redis_reply_t *reply);
/* The text of an error reply, else NULL. */
const char *redis_reply_error(const redis_reply_t *reply);
int redis_reply_is_array(const redis_reply_t *reply);
/* 0 when it is a string or a status, else -1 and an absent string. */
int redis_reply_str(const redis_reply_t *reply, chat_str_t *str_r);
/* The same with the zero byte that follows every string; NULL when it is not
 * one. */
const char *redis_reply_text(const redis_reply_t *reply);
/* 0 when it is an integer, else -1 and 0. */
int redis_reply_integer(const redis_reply_t *reply, int64_t *n_r);
/* Elements of an array; 0 of anything else. */
size_t redis_reply_count(const redis_reply_t *reply);
/* The i-th element; NULL when there is none. */
const redis_reply_t *redis_reply_at(const redis_reply_t *reply, size_t i);

/* ----------------------------------------------------------------- streams */

typedef struct {
    const char            *key;
    const char            *after;   /* entries behind this id; ">" for those
                                       new to the group                     */
} redis_stream_t;

typedef struct {
    const redis_stream_t  *streams;
    size_t                 n;       /* REDIS_STREAMS_MAX at most            */
    unsigned               count;   /* entries per stream at most           */
    int                    block_ms;    /* 0: does not wait                 */
    const char            *group;   /* NULL: XREAD, else XREADGROUP         */
    const char            *consumer;
    int                    noack;   /* the group keeps nothing pending      */
} redis_read_streams_t;

#define REDIS_STREAMS_MAX  64

/* The one command that names several streams. As redis_append(); its reply
 * comes by redis_read(): nil when the time is up, else an array of
 * [key, entries], entries an array of [id, [field, value ...]]. */
void redis_streams_append(redis_t *r, const redis_read_streams_t *read);
/* As redis_call(). */
redis_reply_t *redis_streams_read(redis_t *r,
    const redis_read_streams_t *read);

/* Of the i-th stream of such a reply; NULL when it has another form. */
const char *redis_stream_key(const redis_reply_t *reply, size_t i);
const redis_reply_t *redis_stream_entries(const redis_reply_t *reply,
    size_t i);

/* Of one entry, also of XRANGE and XAUTOCLAIM: its id, NULL when it has another
 * form, and a field's value: 0, or -1 and an absent string. */
const char *redis_entry_id(const redis_reply_t *entry);
int redis_entry_field(const redis_reply_t *entry, const char *name,
    chat_str_t *value_r);

/* ---------------------------------------------------- client-side caching */

/* Called by redis_tracking_drain(): `key` has changed, or any key may have. */
typedef struct {
    void  (*invalid)(void *data, const chat_str_t *key);
    void  (*flushed)(void *data);
    void   *data;
} redis_tracking_handler_t;

/* Turns on CLIENT TRACKING with OPTIN and NOLOOP for `r`, redirected to a
 * second connection, for RESP2 has no push messages. New; `r` is borrowed and
 * must have no outstanding reply. NULL after logging a warning. */
redis_tracking_t *redis_tracking_open(redis_t *r, const worker_conf_t *conf,
    const redis_tracking_handler_t *handler);
void redis_tracking_close(redis_tracking_t **t);

/* Hands over the invalidations that have arrived; never waits. Barrier: when a
 * reply of `r` has been read, the invalidations that Redis made before that
 * reply have arrived. It holds for the server of `r` only. 0, or -1 when the
 * connection is lost, and with it invalidations. */
int redis_tracking_drain(redis_tracking_t *t);

/* As redis_append() and redis_read(), of a reading command whose keys are to be
 * tracked. Reply: that of the command, or an error when its keys are not
 * tracked. */
void redis_tracking_append(redis_tracking_t *t, const char *key,
    const char *fmt, ...);
redis_reply_t *redis_tracking_read(redis_tracking_t *t);

#endif
