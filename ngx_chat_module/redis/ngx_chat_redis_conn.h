/*
 * ngx_chat_redis_conn.h: what the files of the Redis transport share.
 *
 * The only header that includes hiredis.
 */

#ifndef NGX_CHAT_REDIS_CONN_H
#define NGX_CHAT_REDIS_CONN_H

#include <hiredis/hiredis.h>
#include <hiredis/async.h>

#include "ngx_chat_redis.h"

/* Gives a new connection to nginx's event loop: NGX_OK, or NGX_ERROR when there
 * is no connection slot left. */
ngx_int_t ngx_chat_redis_attach(ngx_chat_redis_t *rd);

/* The callbacks given to ngx_chat_redis_start(). */
extern const ngx_chat_redis_events_t  *ngx_chat_redis_events;

/* Authenticates, selects the database, then subscribes or reads the run_id. */
void ngx_chat_redis_login(ngx_chat_redis_t *rd);

/* hiredis' callback for replies of the subscription. */
void ngx_chat_redis_message(redisAsyncContext *ac, void *reply, void *data);

/* The batch window: see ngx_chat_redis_linger.c. */
void ngx_chat_redis_linger_start(ngx_chat_redis_t *rd);
void ngx_chat_redis_linger_stop(ngx_chat_redis_t *rd);
ngx_uint_t ngx_chat_redis_linger_wait(ngx_chat_redis_t *rd);
void ngx_chat_redis_linger_written(ngx_chat_redis_t *rd);

/* Commands whose reply is awaited, in order: see ngx_chat_redis_reply.c. */
ngx_int_t ngx_chat_redis_reserve(ngx_chat_redis_t *rd);
void ngx_chat_redis_expect(ngx_chat_redis_t *rd, ngx_chat_redis_reply_pt fn,
    void *data);
void ngx_chat_redis_replied(redisAsyncContext *ac, void *reply, void *data);

#endif
