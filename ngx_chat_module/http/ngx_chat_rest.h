/*
 * ngx_chat_rest.h: the paths of REST writes.
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

#endif
