/*
 * ngx_chat_rest.h: the path, the headers and the body of REST writes.
 */

#ifndef NGX_CHAT_REST_H
#define NGX_CHAT_REST_H

#include "ngx_chat.h"

#define NGX_CHAT_REST_CHATS     1       /* /chats                           */
#define NGX_CHAT_REST_CHAT      2       /* /chats/{id}                      */
#define NGX_CHAT_REST_MESSAGES  3       /* /chats/{id}/messages             */
#define NGX_CHAT_REST_MEMBERS   4       /* /chats/{id}/members              */
#define NGX_CHAT_REST_MEMBER    5       /* /chats/{id}/members/{user}       */

typedef struct {
    ngx_uint_t   shape;
    ngx_uint_t   malformed;     /* an id that no chat or user can have */
    u_char       chat[16];
    uint64_t     user;
} ngx_chat_rest_path_t;

/* 1 when the URI has one of these shapes, even with malformed ids. */
ngx_uint_t ngx_chat_rest_path(ngx_str_t *uri, ngx_chat_rest_path_t *path);

/* 1 when the Content-Type is application/json. */
ngx_uint_t ngx_chat_rest_is_json(ngx_http_request_t *r);

/* Copies the body into the request's pool. NGX_DECLINED when it is larger than
 * CHAT_FRAME_MAX. */
ngx_int_t ngx_chat_rest_collect(ngx_http_request_t *r, ngx_str_t *body);

/* The Idempotency-Key, borrowed from the request; empty without one. NGX_ERROR
 * when it is malformed or given twice. */
ngx_int_t ngx_chat_rest_key(ngx_http_request_t *r, chat_str_t *key);

/* Makes the 16 bytes of a new chat's id. */
ngx_int_t ngx_chat_rest_new_chat(ngx_chat_ctx_t *ctx, ngx_str_t *body,
    u_char *chat);

#endif
