/*
 * ngx_chat_conf.h: the setters of the directives in ngx_chat_module.c.
 *
 * Each checks its value and reports at `nginx -t` which values are allowed.
 */

#ifndef NGX_CHAT_CONF_H
#define NGX_CHAT_CONF_H

#include "ngx_chat.h"

/* post handler of a number, a time (ms) or a size: min and max are allowed */
typedef struct {
    ngx_conf_post_handler_pt  handler;
    ngx_int_t                 min;
    ngx_int_t                 max;
} ngx_chat_range_t;

char *ngx_chat_check_range(ngx_conf_t *cf, void *post, void *data);
char *ngx_chat_check_size(ngx_conf_t *cf, void *post, void *data);

char *ngx_chat_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_chat_conf_keys(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_chat_conf_id_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_chat_conf_websocket(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_chat_conf_origins(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_chat_conf_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_chat_conf_need(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
#ifdef CHAT_TEST_BUILD
char *ngx_chat_conf_echo(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
#endif

#endif
