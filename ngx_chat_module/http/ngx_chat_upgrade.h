/*
 * ngx_chat_upgrade.h: the headers of an opening handshake and their checks.
 */

#ifndef NGX_CHAT_UPGRADE_H
#define NGX_CHAT_UPGRADE_H

#include "ngx_chat.h"

typedef struct {
    ngx_str_t  key;
    ngx_str_t  version;
    ngx_str_t  protocol;        /* all values, joined                */
    ngx_str_t  origin;
    ngx_uint_t connection;      /* Connection contains Upgrade       */
    ngx_uint_t nkey;
    ngx_uint_t norigin;
} ngx_chat_upgrade_t;

/* Collects the headers. NGX_OK with *why set: a bad request. Another value: the
 * request has been answered. */
ngx_int_t ngx_chat_handshake_headers(ngx_http_request_t *r,
    ngx_chat_upgrade_t *up, const char **why);

/* NGX_OK when the Origin header (RFC 6454) is allowed or absent. */
ngx_int_t ngx_chat_handshake_origin(ngx_http_request_t *r,
    ngx_chat_loc_conf_t *lcf, ngx_chat_upgrade_t *up);

/* NGX_OK when chat.v1 is among the offered ones; *bearer gets the token. */
ngx_int_t ngx_chat_handshake_protocols(ngx_str_t *offered, ngx_str_t *bearer);

#endif
