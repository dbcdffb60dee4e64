/*
 * ngx_chat_redis.h: the connection to Redis as the rest of the edge sees it.
 *
 * No type of hiredis is here. ngx_chat_redis.c knows nothing of sessions: what
 * a change of the connection means is decided by the callbacks it is started
 * with (ngx_chat_link.c).
 */

#ifndef NGX_CHAT_REDIS_H
#define NGX_CHAT_REDIS_H

#include "ngx_chat.h"

typedef enum {
    NGX_CHAT_REPLY_LOST = 0,    /* no reply: the connection was lost        */
    NGX_CHAT_REPLY_ERROR,       /* text: what Redis refused, and why        */
    NGX_CHAT_REPLY_NIL,
    NGX_CHAT_REPLY_INTEGER,
    NGX_CHAT_REPLY_STRING,      /* text: a bulk string                      */
    NGX_CHAT_REPLY_STATUS,      /* text: "OK" and the like                  */
    NGX_CHAT_REPLY_ARRAY        /* n elements                               */
} ngx_chat_reply_e;

/* A view of a reply, valid until the callback returns. Texts are also
 * zero-terminated. */
typedef struct {
    ngx_chat_reply_e    kind;
    ngx_uint_t          n;
    int64_t             integer;
    ngx_str_t           text;
    void               *raw;            /* the transport's own              */
} ngx_chat_reply_t;

typedef void (*ngx_chat_redis_reply_pt)(ngx_chat_reply_t *reply, void *data);

/* Fills in element with element i of an array, i below reply->n. */
void ngx_chat_reply_element(ngx_chat_reply_t *reply, ngx_uint_t i,
    ngx_chat_reply_t *element);

/* 1 when Redis has not executed the command, or nobody knows. */

static ngx_inline ngx_uint_t
ngx_chat_reply_failed(ngx_chat_reply_t *reply)
{
    return reply->kind == NGX_CHAT_REPLY_LOST
           || reply->kind == NGX_CHAT_REPLY_ERROR;
}

/* What the transport reports. A callback may send commands. */
typedef struct {
    /* rd has logged in, or has subscribed to both channels */
    void  (*up)(ngx_chat_redis_t *rd);

    /* rd was up and is lost; every command under way has been answered with
     * NGX_CHAT_REPLY_LOST. Also when the process ends. */
    void  (*down)(ngx_chat_redis_t *rd);

    /* a message of the subscription; data is borrowed */
    void  (*message)(u_char *data, size_t len);

    /* whatever Redis had published before ngx_chat_redis_barrier() returned
     * this number, or a lower one, has been given to message() */
    void  (*barrier)(ngx_uint_t ticket);
} ngx_chat_redis_events_t;

/* Opens both connections; events must live as long as the process. */
ngx_int_t ngx_chat_redis_start(const ngx_chat_redis_events_t *events);
void ngx_chat_redis_stop(void);

/* 1 when sends can be accepted: both connections are up and the revoked
 * devices are known. */
ngx_uint_t ngx_chat_redis_ready(void);

/* Once a second: pings both connections and gives up one that has not answered
 * for three seconds. */
void ngx_chat_redis_check(void);

/* Appends a command about key, which is also among argv, on the command
 * connection; everything is copied. NGX_ERROR while it is not up. fn is called
 * once, in the order of the commands; it may be NULL. */
ngx_int_t ngx_chat_redis_command(const ngx_str_t *key,
    ngx_chat_redis_reply_pt fn, void *data, int argc, const char **argv,
    const size_t *lens);

/* The same for an event: under load it waits for the end of the batch window
 * (chat_linger), or for a command that does not wait. */
ngx_int_t ngx_chat_redis_command_lingering(const ngx_str_t *key,
    ngx_chat_redis_reply_pt fn, void *data, int argc, const char **argv,
    const size_t *lens);

/* Sends a barrier on the subscription and returns its number, see
 * events->barrier; 0 while the subscription is not up. */
ngx_uint_t ngx_chat_redis_barrier(void);

#endif
