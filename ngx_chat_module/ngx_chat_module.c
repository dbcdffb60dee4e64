/*
 * ngx_chat_module.c: directives, and the start and end of the process.
 *
 * Called by nginx while it reads its configuration and when worker processes
 * start and stop; hands to ngx_chat_auth.c (access phase), ngx_chat_rest.c
 * (precontent phase) and the content handlers of /ws and the status pages.
 * Does nothing with a message.
 */

#include "ngx_chat.h"


static ngx_int_t ngx_chat_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_chat_postconfiguration(ngx_conf_t *cf);
static void *ngx_chat_create_main_conf(ngx_conf_t *cf);
static char *ngx_chat_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_chat_create_loc_conf(ngx_conf_t *cf);
static char *ngx_chat_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_chat_init_process(ngx_cycle_t *cycle);
static void ngx_chat_exit_process(ngx_cycle_t *cycle);
static void ngx_chat_tick(ngx_event_t *ev);

static char *ngx_chat_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_chat_conf_keys(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_chat_conf_id_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_chat_conf_websocket(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_chat_conf_origins(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_chat_conf_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_chat_conf_need(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_chat_check_range(ngx_conf_t *cf, void *post, void *data);
static char *ngx_chat_check_size(ngx_conf_t *cf, void *post, void *data);
#ifdef CHAT_TEST_BUILD
static char *ngx_chat_conf_echo(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
#endif


typedef struct {
    ngx_conf_post_handler_pt  handler;
    ngx_int_t                 min;
    ngx_int_t                 max;
} ngx_chat_range_t;

static ngx_chat_range_t  ngx_chat_range_frame =
    { ngx_chat_check_size, 1024, CHAT_FRAME_MAX };
static ngx_chat_range_t  ngx_chat_range_send_buffer =
    { ngx_chat_check_size, CHAT_SERVER_FRAME_MAX, 64 * 1024 * 1024 };
static ngx_chat_range_t  ngx_chat_range_heartbeat =
    { ngx_chat_check_range, 1000, 3600000 };
static ngx_chat_range_t  ngx_chat_range_drain =
    { ngx_chat_check_range, 1000, 3600000 };
static ngx_chat_range_t  ngx_chat_range_stream =
    { ngx_chat_check_range, 100, 100000000 };


static ngx_command_t  ngx_chat_commands[] = {

    /* chat_redis host[:port] | unix:/path | redis://[user:pass@]host[:port]
     * [/db] | off;  http; default off. The one Redis of edges and workers. */
    { ngx_string("chat_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_chat_conf_redis,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    /* chat_token_keys file;  http; no default. JWKS (RFC 7517) with the
     * Ed25519 keys that may sign access tokens; read at start and reload, so
     * a rotation is: new file with both keys, reload. */
    { ngx_string("chat_token_keys"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_chat_conf_keys,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    /* chat_id_key file;  http; no default. 64 hex digits; makes the ids of
     * direct chats. Never change it: the chats would not be found again. */
    { ngx_string("chat_id_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_chat_conf_id_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    /* chat_drain time;  http; default 30s, 1s to 1h. After a reload the old
     * worker has let go of its clients within this time. */
    { ngx_string("chat_drain"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_chat_main_conf_t, drain),
      &ngx_chat_range_drain },

    /* chat_stream_limit number;  http; default 20000, 100 to 10^8. Entries
     * waiting in one shard's stream above which sends are answered with
     * `unavailable`. */
    { ngx_string("chat_stream_limit"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_chat_main_conf_t, stream_limit),
      &ngx_chat_range_stream },

    /* chat_websocket;  location. Takes WebSocket upgrades (RFC 6455) with the
     * subprotocol chat.v1. */
    { ngx_string("chat_websocket"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_chat_conf_websocket,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* chat_auth on|off;  http, server, location; default off. Requests need a
     * valid access token; sets $chat_user_id and $chat_device_id. */
    { ngx_string("chat_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_chat_conf_need,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_chat_loc_conf_t, auth),
      NULL },

    /* chat_publish on|off;  http, server, location; default off. Requests
     * that write to a chat become events, as a socket's frames do; others
     * go on to the location's proxy_pass. Needs chat_auth on. */
    { ngx_string("chat_publish"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_chat_conf_need,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_chat_loc_conf_t, publish),
      NULL },

    /* chat_max_frame_size size;  http, server, location; default 64k, which
     * is also the most, 1k the least. Of a client's joined message; above:
     * close with 1009. */
    { ngx_string("chat_max_frame_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_chat_loc_conf_t, max_frame),
      &ngx_chat_range_frame },

    /* chat_heartbeat time;  http, server, location; default 30s, 1s to 1h. A
     * client that is silent for twice this is closed with 4012. */
    { ngx_string("chat_heartbeat"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_chat_loc_conf_t, heartbeat),
      &ngx_chat_range_heartbeat },

    /* chat_send_buffer size;  http, server, location; default 1m, 256k to
     * 64m. What a client that does not read may cost; above: 4008. */
    { ngx_string("chat_send_buffer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_chat_loc_conf_t, send_buffer),
      &ngx_chat_range_send_buffer },

    /* chat_allowed_origins origin ... | any;  http, server, location; default:
     * the own host alone. Origins (RFC 6454) such as https://chat.example. */
    { ngx_string("chat_allowed_origins"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_chat_conf_origins,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* chat_status health|ready|metrics;  location. health: alive. ready: takes
     * traffic (503 while draining or cut off). metrics: this worker's
     * counters in Prometheus' text format. */
    { ngx_string("chat_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_chat_conf_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

#ifdef CHAT_TEST_BUILD
    /* chat_websocket_echo [size];  location; test build only. Sends every
     * message back, up to size (default 16m). */
    { ngx_string("chat_websocket_echo"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_chat_conf_echo,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },
#endif

      ngx_null_command
};


static ngx_http_module_t  ngx_chat_module_ctx = {
    ngx_chat_preconfiguration,
    ngx_chat_postconfiguration,
    ngx_chat_create_main_conf,
    ngx_chat_init_main_conf,
    NULL,
    NULL,
    ngx_chat_create_loc_conf,
    ngx_chat_merge_loc_conf
};


ngx_module_t  ngx_http_chat_module = {
    NGX_MODULE_V1,
    &ngx_chat_module_ctx,
    ngx_chat_commands,
    NGX_HTTP_MODULE,
    NULL,
    NULL,
    ngx_chat_init_process,
    NULL,
    NULL,
    ngx_chat_exit_process,
    NULL,
    NGX_MODULE_V1_PADDING
};


ngx_chat_edge_t  *ngx_chat_edge;


void *
ngx_chat_alloc(size_t size)
{
    return ngx_calloc(size, ngx_cycle->log);
}


static ngx_int_t
ngx_chat_init_process(ngx_cycle_t *cycle)
{
    ngx_chat_edge_t       *edge;
    ngx_chat_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_chat_module);

    if (mcf == NULL || !mcf->enabled) {
        return NGX_OK;
    }

    edge = ngx_pcalloc(cycle->pool, sizeof(ngx_chat_edge_t));
    if (edge == NULL) {
        return NGX_ERROR;
    }

    edge->scratch = ngx_palloc(cycle->pool, NGX_CHAT_SCRATCH);
    edge->tokens = ngx_pcalloc(cycle->pool, NGX_CHAT_TOKEN_CACHE
                                            * sizeof(ngx_chat_cached_t));
    if (edge->scratch == NULL || edge->tokens == NULL) {
        return NGX_ERROR;
    }

    randombytes_buf(&edge->id, sizeof(edge->id));

    edge->log = cycle->log;
    edge->conf = mcf;
    edge->started = ngx_current_msec;
    edge->subscription.subscriber = 1;

    ngx_queue_init(&edge->heard);
    ngx_queue_init(&edge->dirty);
    ngx_queue_init(&edge->work);
    ngx_queue_init(&edge->dead);
    ngx_queue_init(&edge->following);
    ngx_queue_init(&edge->news);

    edge->flush.handler = ngx_chat_write_all;
    edge->flush.log = cycle->log;
    edge->flush.data = edge;

    edge->tick.handler = ngx_chat_tick;
    edge->tick.log = cycle->log;
    edge->tick.data = edge;
    edge->tick.cancelable = 1;

    edge->drain.handler = ngx_chat_drain_handler;
    edge->drain.log = cycle->log;
    edge->drain.data = edge;

    ngx_chat_edge = edge;

    ngx_add_timer(&edge->tick, NGX_CHAT_TICK);

    return ngx_chat_redis_start();
}


static void
ngx_chat_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_chat_edge != NULL) {
        ngx_chat_redis_stop();
    }
}


/* The clock of everything that waits: no session has a timer of its own, so
 * 20,000 idle ones cost nothing here. */

static void
ngx_chat_tick(ngx_event_t *ev)
{
    ngx_chat_edge_t  *edge;

    edge = ev->data;
    edge->ticks++;

    ngx_chat_session_tick();
    ngx_chat_marks_tick();
    ngx_chat_sync_tick();
    ngx_chat_presence_tick();

    if (edge->ticks % 10 == 0) {
        ngx_chat_redis_tick();
        ngx_chat_auth_forget();
    }

    ngx_add_timer(ev, NGX_CHAT_TICK);
}


static ngx_int_t
ngx_chat_preconfiguration(ngx_conf_t *cf)
{
    if (sodium_init() < 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "libsodium could not be initialised");
        return NGX_ERROR;
    }

    return ngx_chat_auth_variables(cf);
}


static ngx_int_t
ngx_chat_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_chat_auth_access;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_chat_rest_handler;

    return NGX_OK;
}


static void *
ngx_chat_create_main_conf(ngx_conf_t *cf)
{
    ngx_chat_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_chat_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    mcf->drain = NGX_CONF_UNSET_MSEC;
    mcf->stream_limit = NGX_CONF_UNSET_UINT;

    return mcf;
}


static char *
ngx_chat_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_chat_main_conf_t  *mcf = conf;

    ngx_conf_init_msec_value(mcf->drain, 30000);
    ngx_conf_init_uint_value(mcf->stream_limit, 20000);

    if (!mcf->enabled) {
        return NGX_CONF_OK;
    }

    if (mcf->redis.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "chat_redis is missing: say where Redis is, for "
                           "example \"chat_redis 127.0.0.1:6379;\"");
        return NGX_CONF_ERROR;
    }

    if (mcf->token_keys == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "chat_token_keys is missing: name the JWKS file "
                           "that \"chatctl keys generate\" made");
        return NGX_CONF_ERROR;
    }

    if (mcf->id_key == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "chat_id_key is missing: name the file "
                           "chat_id.key that \"chatctl keys generate\" made");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_chat_create_loc_conf(ngx_conf_t *cf)
{
    ngx_chat_loc_conf_t  *lcf;

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_chat_loc_conf_t));
    if (lcf == NULL) {
        return NULL;
    }

    lcf->auth = NGX_CONF_UNSET;
    lcf->publish = NGX_CONF_UNSET;
    lcf->max_frame = NGX_CONF_UNSET_SIZE;
    lcf->heartbeat = NGX_CONF_UNSET_MSEC;
    lcf->send_buffer = NGX_CONF_UNSET_SIZE;
    lcf->origins = NGX_CONF_UNSET_PTR;

    return lcf;
}


static char *
ngx_chat_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_chat_loc_conf_t  *prev = parent;
    ngx_chat_loc_conf_t  *conf = child;

    ngx_conf_merge_value(conf->auth, prev->auth, 0);
    ngx_conf_merge_value(conf->publish, prev->publish, 0);
    ngx_conf_merge_size_value(conf->max_frame, prev->max_frame,
                              CHAT_FRAME_MAX);
    ngx_conf_merge_msec_value(conf->heartbeat, prev->heartbeat, 30000);
    ngx_conf_merge_size_value(conf->send_buffer, prev->send_buffer,
                              1024 * 1024);
    ngx_conf_merge_ptr_value(conf->origins, prev->origins, NULL);

    if (conf->publish && !conf->auth) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"chat_publish on\" needs \"chat_auth on\" in the "
                           "same location: a write must have an author");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_chat_need_edge(ngx_conf_t *cf)
{
    ngx_chat_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_chat_module);
    mcf->enabled = 1;

    return NGX_CONF_OK;
}


static char *
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


static char *
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


/* Reads a small file whole; the cycle is reloaded when it is named anew. */

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


static char *
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


static char *
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


static char *
ngx_chat_conf_websocket(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_chat_upgrade_handler;

    return ngx_chat_need_edge(cf);
}


static char *
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


static char *
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


static char *
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


static char *
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

static char *
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
