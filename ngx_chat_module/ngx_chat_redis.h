/*
 * ngx_chat_redis.h: what only the files that talk to Redis see, so that
 * hiredis' names stay out of the map.
 */

#ifndef NGX_CHAT_REDIS_H
#define NGX_CHAT_REDIS_H

#include <hiredis/hiredis.h>
#include <hiredis/async.h>

#include "ngx_chat.h"

/* Appends a command on the command connection; NGX_ERROR while it is not up.
 * fn is called once with the reply, or with NULL when the connection is lost;
 * it may be NULL. */
ngx_int_t ngx_chat_redis_command(redisCallbackFn *fn, void *data, int argc,
    const char **argv, const size_t *lens);

/* Replies of the subscription, also to the SUBSCRIBE that stands for a PING. */
void ngx_chat_redis_message(redisAsyncContext *ac, void *reply, void *data);

/* Gives a new connection to nginx's event loop: NGX_OK, or NGX_ERROR when there
 * is no connection slot left. */
ngx_int_t ngx_chat_redis_attach(ngx_chat_redis_t *rd);

#endif
