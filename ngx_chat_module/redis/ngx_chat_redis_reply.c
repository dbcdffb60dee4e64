/*
 * ngx_chat_redis_reply.c: gives each reply of Redis to its command's callback.
 *
 * Called from: redis (a command was appended), hiredis (a reply). Hands to: the
 * callback, with a view of the reply. Redis replies in the order of the
 * commands, and hiredis keeps that order when a connection is lost, so the
 * callbacks are in one ring buffer: hiredis stores one pointer for each
 * command, and callback and data need two, without an allocation.
 */

#include "ngx_chat_redis_conn.h"


#define NGX_CHAT_REDIS_RING  256        /* first size, a power of two       */


struct ngx_chat_redis_call_s {
    ngx_chat_redis_reply_pt  fn;
    void                    *data;
};


static void ngx_chat_reply_view(redisReply *r, ngx_chat_reply_t *view);


/* Makes room for one more callback. */

ngx_int_t
ngx_chat_redis_reserve(ngx_chat_redis_t *rd)
{
    ngx_uint_t              i, size;
    ngx_chat_redis_call_t  *calls;

    if (rd->ncalls < rd->calls_size) {
        return NGX_OK;
    }

    size = rd->calls_size ? rd->calls_size * 2 : NGX_CHAT_REDIS_RING;

    calls = ngx_alloc(size * sizeof(ngx_chat_redis_call_t),
                      ngx_chat_edge->log);
    if (calls == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < rd->ncalls; i++) {
        calls[i] = rd->calls[(rd->first_call + i) & (rd->calls_size - 1)];
    }

    if (rd->calls != NULL) {
        ngx_free(rd->calls);
    }

    rd->calls = calls;
    rd->calls_size = size;
    rd->first_call = 0;

    return NGX_OK;
}


/* The command has been appended; room was reserved. */

void
ngx_chat_redis_expect(ngx_chat_redis_t *rd, ngx_chat_redis_reply_pt fn,
    void *data)
{
    ngx_chat_redis_call_t  *call;

    call = &rd->calls[(rd->first_call + rd->ncalls++) & (rd->calls_size - 1)];
    call->fn = fn;
    call->data = data;
}


/* data is the connection: ac->data is NULL once the connection is given up. */

void
ngx_chat_redis_replied(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_chat_redis_t      *rd = data;
    ngx_chat_reply_t       view;
    ngx_chat_redis_call_t  call;

    call = rd->calls[rd->first_call];
    rd->first_call = (rd->first_call + 1) & (rd->calls_size - 1);
    rd->ncalls--;

    ngx_chat_reply_view(reply, &view);
    call.fn(&view, call.data);
}


void
ngx_chat_reply_element(ngx_chat_reply_t *reply, ngx_uint_t i,
    ngx_chat_reply_t *element)
{
    redisReply  *r = reply->raw;

    ngx_chat_reply_view(r->element[i], element);
}


static void
ngx_chat_reply_view(redisReply *r, ngx_chat_reply_t *view)
{
    ngx_memzero(view, sizeof(ngx_chat_reply_t));
    view->raw = r;

    if (r == NULL) {
        return;
    }

    switch (r->type) {

    case REDIS_REPLY_INTEGER:
        view->kind = NGX_CHAT_REPLY_INTEGER;
        view->integer = r->integer;
        return;

    case REDIS_REPLY_ARRAY:
        view->kind = NGX_CHAT_REPLY_ARRAY;
        view->n = r->elements;
        return;

    case REDIS_REPLY_STRING:
        view->kind = NGX_CHAT_REPLY_STRING;
        break;

    case REDIS_REPLY_STATUS:
        view->kind = NGX_CHAT_REPLY_STATUS;
        break;

    case REDIS_REPLY_ERROR:
        view->kind = NGX_CHAT_REPLY_ERROR;
        break;

    default:
        view->kind = NGX_CHAT_REPLY_NIL;
        return;
    }

    view->text.data = (u_char *) r->str;
    view->text.len = r->len;
}
