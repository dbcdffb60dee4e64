/*
 * ngx_chat_conf.c: the setters of the directives.
 *
 * Called from: nginx, for the directives of ngx_chat_module.c. Fills in the
 * module's configuration, or reports what is wrong. Key files are read here, as
 * root, at start and at reload.
 */

#include "ngx_chat_conf.h"
#include "ngx_chat_http.h"


static char *
ngx_chat_need_edge(ngx_conf_t *cf)
{
    ngx_chat_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_chat_module);
    mcf->enabled = 1;

    return NGX_CONF_OK;
}


char *
ngx_chat_conf_need(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char       *rv;
    ngx_flag_t *flag;

    rv = ngx_conf_set_flag_slot(cf, cmd, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    flag = (ngx_flag_t *) ((u_char *) conf + cmd->offset);

    return *flag ? ngx_chat_need_edge(cf) : NGX_CONF_OK;
}


/* A zero-terminated copy of [pos, end). */

static ngx_int_t
ngx_chat_conf_copy(ngx_conf_t *cf, ngx_str_t *dst, u_char *pos, u_char *end)
{
    dst->len = end - pos;
    dst->data = ngx_pnalloc(cf->pool, dst->len + 1);

    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(dst->data, pos, dst->len) = '\0';
    return NGX_OK;
}


char *
ngx_chat_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_chat_main_conf_t  *mcf = conf;

    u_char     *p, *end, *at, *colon;
    ngx_str_t  *value;

    if (mcf->redis.data) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->redis = value[1];
    p = value[1].data;
    end = p + value[1].len;

    if (ngx_strcmp(p, "off") == 0) {
        ngx_str_null(&mcf->redis);
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(p, "unix:", 5) == 0) {
        p += 5;
        if (end - p > 2 && p[0] == '/' && p[1] == '/') {
            p += 2;
        }

        at = ngx_strlchr(p, end, '?');
        if (at != NULL) {
            if (ngx_strncmp(at, "?db=", 4) != 0
                || (mcf->redis_db = ngx_atoi(at + 4, end - at - 4)) < 0)
            {
                goto wrong;
            }

            end = at;
        }

        /* sun_path holds 107 characters and the terminator */
        if (end - p == 0 || *p != '/' || end - p > 107) {
            goto wrong;
        }

        return ngx_chat_conf_copy(cf, &mcf->redis_path, p, end) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (ngx_strncmp(p, "redis://", 8) == 0) {
        p += 8;

        at = ngx_strlchr(p, end, '@');
        if (at != NULL) {
            colon = ngx_strlchr(p, at, ':');
            if (colon == NULL
                || ngx_chat_conf_copy(cf, &mcf->redis_user, p, colon)
                   != NGX_OK
                || ngx_chat_conf_copy(cf, &mcf->redis_pass, colon + 1, at)
                   != NGX_OK)
            {
                goto wrong;
            }

            p = at + 1;
        }

        at = ngx_strlchr(p, end, '/');
        if (at != NULL) {
            if (at + 1 < end
                && (mcf->redis_db = ngx_atoi(at + 1, end - at - 1)) < 0)
            {
                goto wrong;
            }

            end = at;
        }
    }

    mcf->redis_port = 6379;

    colon = ngx_strlchr(p, end, ':');
    if (colon != NULL) {
        mcf->redis_port = ngx_atoi(colon + 1, end - colon - 1);
        end = colon;
    }

    if (end == p || mcf->redis_port < 1 || mcf->redis_port > 65535
        || ngx_strlchr(p, end, '/') != NULL)
    {
        goto wrong;
    }

    return ngx_chat_conf_copy(cf, &mcf->redis_host, p, end) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;

wrong:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "chat_redis wants host[:port], unix:/path[?db=n] or "
                       "redis://[user:password@]host[:port][/db]");
    return NGX_CONF_ERROR;
}


/* Reads a whole file of less than 64 KiB into the configuration's pool. */

static ngx_int_t
ngx_chat_conf_read(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *text)
{
    ssize_t     n;
    ngx_file_t  file;
    u_char      buf[65536];

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));
    file.name = *name;
    file.log = cf->log;
    file.fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "cannot open \"%V\"; \"chatctl keys generate\" "
                           "makes the key files", name);
        return NGX_ERROR;
    }

    n = ngx_read_file(&file, buf, sizeof(buf), 0);

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    if (n == NGX_ERROR || n == sizeof(buf)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" cannot be read or is not below 64 KiB",
                           name);
        return NGX_ERROR;
    }

    return ngx_chat_conf_copy(cf, text, buf, buf + n);
}


char *
ngx_chat_conf_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_chat_main_conf_t  *mcf = conf;

    char        err[256];
    ngx_str_t  *value, text;

    if (mcf->token_keys) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->token_keys_file = value[1];

    if (ngx_chat_conf_read(cf, &mcf->token_keys_file, &text) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    mcf->token_keys = ngx_pcalloc(cf->pool, sizeof(chat_token_keys_t));
    if (mcf->token_keys == NULL) {
        return NGX_CONF_ERROR;
    }

    if (chat_token_keys_load((char *) text.data, text.len, mcf->token_keys,
                             err, sizeof(err))
        != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "chat_token_keys \"%V\": %s",
                           &mcf->token_keys_file, err);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_chat_conf_id_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_chat_main_conf_t  *mcf = conf;

    ngx_str_t  *value, text;

    if (mcf->id_key) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->id_key_file = value[1];

    if (ngx_chat_conf_read(cf, &mcf->id_key_file, &text) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    mcf->id_key = ngx_pcalloc(cf->pool, CHAT_ID_KEY);
    if (mcf->id_key == NULL) {
        return NGX_CONF_ERROR;
    }

    if (chat_id_key_parse((char *) text.data, text.len, mcf->id_key) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "chat_id_key \"%V\" must hold 64 hex digits",
                           &mcf->id_key_file);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_chat_conf_websocket(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_chat_loc_conf_t  *lcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    lcf->websocket = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_chat_upgrade_handler;

    return ngx_chat_need_edge(cf);
}


char *
ngx_chat_conf_origins(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_chat_loc_conf_t  *lcf = conf;

    u_char      *host;
    ngx_str_t   *value, *origin;
    ngx_uint_t   i;

    if (lcf->origins != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    lcf->origins = ngx_array_create(cf->pool, cf->args->nelts,
                                    sizeof(ngx_str_t));
    if (lcf->origins == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        host = NULL;
        if (ngx_strncmp(value[i].data, "https://", 8) == 0) {
            host = value[i].data + 8;

        } else if (ngx_strncmp(value[i].data, "http://", 7) == 0) {
            host = value[i].data + 7;
        }

        if (ngx_strcmp(value[i].data, "any") != 0
            && (host == NULL || *host == '\0'
                || ngx_strchr(host, '/') != NULL))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "chat_allowed_origins: \"%V\" is neither "
                               "\"any\" nor an origin such as "
                               "https://chat.example (without a path)",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        origin = ngx_array_push(lcf->origins);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        *origin = value[i];
    }

    return NGX_CONF_OK;
}


char *
ngx_chat_conf_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_chat_loc_conf_t  *lcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "health") == 0) {
        lcf->status = NGX_CHAT_STATUS_HEALTH;

    } else if (ngx_strcmp(value[1].data, "ready") == 0) {
        lcf->status = NGX_CHAT_STATUS_READY;

    } else if (ngx_strcmp(value[1].data, "metrics") == 0) {
        lcf->status = NGX_CHAT_STATUS_METRICS;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "chat_status \"%V\": wants health, ready or "
                           "metrics", &value[1]);
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_chat_status_handler;

    return ngx_chat_need_edge(cf);
}


char *
ngx_chat_check_range(ngx_conf_t *cf, void *post, void *data)
{
    ngx_chat_range_t  *range = post;
    ngx_int_t         *value = data;

    if (*value < range->min || *value > range->max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "value must be between %i and %i (a time: in "
                           "milliseconds)", range->min, range->max);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_chat_check_size(ngx_conf_t *cf, void *post, void *data)
{
    ngx_chat_range_t  *range = post;
    size_t            *value = data;

    if (*value < (size_t) range->min || *value > (size_t) range->max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "size must be between %i and %i bytes",
                           range->min, range->max);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


#ifdef CHAT_TEST_BUILD

char *
ngx_chat_conf_echo(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_chat_loc_conf_t  *lcf = conf;

    ssize_t                    size;
    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    lcf->echo = 16 * 1024 * 1024;

    if (cf->args->nelts == 2) {
        value = cf->args->elts;
        size = ngx_parse_size(&value[1]);

        if (size == NGX_ERROR) {
            return "wants a size";
        }

        lcf->echo = size;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_chat_upgrade_echo_handler;

    return ngx_chat_need_edge(cf);
}

#endif
