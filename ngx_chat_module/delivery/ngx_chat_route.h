/*
 * ngx_chat_route.h: what ngx_chat_route.c and ngx_chat_leave.c share.
 */

#ifndef NGX_CHAT_ROUTE_H
#define NGX_CHAT_ROUTE_H

#include "ngx_chat_redis.h"

/* A device's place in route:{user}, kept while a command about it is under way
 * and until a device that leaves has its clean-disconnect marker. */
struct ngx_chat_route_s {
    ngx_chat_route_t  *next;            /* in edge->stale_routes            */
    ngx_chat_route_t  *next_user;       /* in edge->leaving                 */
    ngx_queue_t        waits;           /* in edge->leave_waiters           */
    ngx_uint_t         ticket;          /* of its barrier, 0: none yet      */
    uint64_t           user;
    uint64_t           device;
    uint64_t           session;
    unsigned           renew:1;         /* the route was written before     */
    unsigned           clean:1;         /* leaves, and had everything       */
    unsigned           missed:1;        /* but an entry came since          */
};

/* Runs a script over the route's key: the device, its value and the n strings
 * of more (at most two) are its arguments. fn gets route as its data. */
ngx_int_t ngx_chat_route_eval(ngx_chat_route_t *route, const char *script,
    size_t len, ngx_chat_redis_reply_pt fn, ngx_uint_t n,
    const ngx_str_t *more);

/* leave: see there */
void ngx_chat_leave_begin(ngx_chat_route_t *route);
u_char *ngx_chat_leave_marker(ngx_chat_route_t *route, u_char *marker);
void ngx_chat_leave_barrier(ngx_chat_route_t *route);
void ngx_chat_leave_end(ngx_chat_route_t *route);
ngx_uint_t ngx_chat_leave_marker_valid(ngx_chat_reply_t *marker);

#endif
