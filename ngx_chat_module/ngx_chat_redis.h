/*
 * ngx_chat_redis.h: what only the files that talk to Redis see, so that
 * hiredis' names stay out of the map.
 */

#ifndef NGX_CHAT_REDIS_H
#define NGX_CHAT_REDIS_H

#include <hiredis/hiredis.h>
#include <hiredis/async.h>

#include "ngx_chat.h"

/* A device's place in route:{user}: while a command about it is under way, and
 * of a device that leaves, see ngx_chat_leave.c. */
struct ngx_chat_route_s {
    ngx_chat_route_t  *next;            /* of the edge's stale ones         */
    ngx_chat_route_t  *next_user;       /* in the hash of those who leave   */
    ngx_queue_t        waits;           /* for the subscription             */
    ngx_uint_t         ticket;          /* of the question there, 0: none   */
    uint64_t           user;
    uint64_t           device;
    uint64_t           session;
    unsigned           renew:1;         /* it was there before              */
    unsigned           clean:1;         /* leaves, and had everything       */
    unsigned           missed:1;        /* but something came since         */
};

/* Appends a command on the command connection; NGX_ERROR while it is not up.
 * fn is called once with the reply, or with NULL when the connection is lost;
 * it may be NULL. */
ngx_int_t ngx_chat_redis_command(redisCallbackFn *fn, void *data, int argc,
    const char **argv, const size_t *lens);

/* The same for an event: while they come without a pause it waits for the end of
 * the window (chat_linger), or for a command that does not wait. */
ngx_int_t ngx_chat_redis_command_lingering(redisCallbackFn *fn, void *data, int argc,
    const char **argv, const size_t *lens);

/* Asks on the subscription: whatever Redis had published before is here when
 * ngx_chat_leave_passed() is called with this number or a higher one. 0 while
 * the subscription is not up. */
ngx_uint_t ngx_chat_redis_barrier(void);

/* Runs a script over the route's key: the device, its value and what else is
 * given (at most two) are its arguments. */
ngx_int_t ngx_chat_route_eval(ngx_chat_route_t *route, const char *script,
    size_t len, redisCallbackFn *fn, ngx_uint_t n, const ngx_str_t *more);

/* leave: see there */
void ngx_chat_leave_begin(ngx_chat_route_t *route);
u_char *ngx_chat_leave_marker(ngx_chat_route_t *route, u_char *note);
void ngx_chat_leave_barrier(ngx_chat_route_t *route);
void ngx_chat_leave_end(ngx_chat_route_t *route);
void ngx_chat_leave_passed(ngx_uint_t ticket);
void ngx_chat_leave_lost(void);
ngx_uint_t ngx_chat_leave_marker_valid(redisReply *note);

/* Replies of the subscription, also to the SUBSCRIBE that stands for a PING. */
void ngx_chat_redis_message(redisAsyncContext *ac, void *reply, void *data);

/* Gives a new connection to nginx's event loop: NGX_OK, or NGX_ERROR when there
 * is no connection slot left. */
ngx_int_t ngx_chat_redis_attach(ngx_chat_redis_t *rd);

/* gather: see there */
void ngx_chat_redis_linger_start(ngx_chat_redis_t *rd);
void ngx_chat_redis_linger_stop(ngx_chat_redis_t *rd);
ngx_uint_t ngx_chat_redis_linger_wait(ngx_chat_redis_t *rd);
void ngx_chat_redis_linger_written(ngx_chat_redis_t *rd);

#endif
