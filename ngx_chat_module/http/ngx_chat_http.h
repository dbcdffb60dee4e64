/*
 * ngx_chat_http.h: the handlers of HTTP requests: tokens, the upgrade to
 * WebSocket, REST writes, status pages.
 */

#ifndef NGX_CHAT_HTTP_H
#define NGX_CHAT_HTTP_H

#include "ngx_chat.h"


/* A REST write that waits for its worker. */
struct ngx_chat_rest_s {
    ngx_chat_rest_t    *next;           /* in the hash by id                */
    uint64_t            id;
    ngx_http_request_t *request;
    ngx_event_t         timeout;
    uint64_t            user;           /* of .../members/{user}            */
    u_char              chat[16];
    uint8_t             event;          /* chat_event_e                     */
    unsigned            waiting:1;
};


/* ngx_chat_auth.c: the access phase handler */
ngx_int_t ngx_chat_auth_access(ngx_http_request_t *r);

/* CHAT_OK with *token_r filled in, or the error that refuses the token, with a
 * sentence for the client in *why_r. */
ngx_int_t ngx_chat_auth_check(ngx_http_request_t *r, ngx_str_t *token,
    chat_token_t *token_r, const char **why_r);

/* The token of the Authorization header (RFC 6750, section 2.1), borrowed from
 * the request. NGX_DECLINED without the header, NGX_ERROR when it is no bearer
 * token. */
ngx_int_t ngx_chat_auth_bearer(ngx_http_request_t *r, ngx_str_t *token_r);
ngx_int_t ngx_chat_auth_variables(ngx_conf_t *cf);

/* Revoked devices; expires in s. Recording one closes no session. */
ngx_uint_t ngx_chat_auth_revoked(uint64_t user, uint64_t device);
void ngx_chat_auth_revoke(uint64_t user, uint64_t device, int64_t expires);
void ngx_chat_auth_expire(void);            /* removes expired ones         */

/* ngx_chat_problem.c: problem+json (RFC 9457). detail needs no JSON escaping
 * and lives as long as the request; retry_after in s, 0: none. */
ngx_int_t ngx_chat_problem(ngx_http_request_t *r, chat_error_e code,
    const char *detail, ngx_uint_t retry_after);
ngx_int_t ngx_chat_answer(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, ngx_str_t *body);

/* ngx_chat_upgrade.c: content handlers */
ngx_int_t ngx_chat_upgrade_handler(ngx_http_request_t *r);
#ifdef CHAT_TEST_BUILD
ngx_int_t ngx_chat_upgrade_echo_handler(ngx_http_request_t *r);
#endif

/* ngx_chat_rest.c: the precontent phase handler, and the worker's answer */
ngx_int_t ngx_chat_rest_handler(ngx_http_request_t *r);
void ngx_chat_rest_answer(chat_rec_t *rec);

/* ngx_chat_upstream_filter.c */
void ngx_chat_upstream_filter_init(void);

/* ngx_chat_status.c: content handler */
ngx_int_t ngx_chat_status_handler(ngx_http_request_t *r);

#define NGX_CHAT_STATUS_HEALTH   1
#define NGX_CHAT_STATUS_READY    2
#define NGX_CHAT_STATUS_METRICS  3

#endif
