/*
 * ngx_chat_module.c: directives.
 *
 * Called from: nginx, while it reads its configuration and when worker
 * processes start and stop. Hands to: auth (access phase), rest (precontent
 * phase), the content handlers of /ws and the status pages.
 */

#include "ngx_chat_conf.h"
#include "ngx_chat_http.h"


static ngx_int_t ngx_chat_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_chat_postconfiguration(ngx_conf_t *cf);
static void *ngx_chat_create_main_conf(ngx_conf_t *cf);
static char *ngx_chat_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_chat_create_loc_conf(ngx_conf_t *cf);
static char *ngx_chat_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

static ngx_chat_range_t  ngx_chat_range_frame =
    { ngx_chat_check_size, 1024, CHAT_FRAME_MAX };
static ngx_chat_range_t  ngx_chat_range_send_buffer =
    { ngx_chat_check_size, CHAT_SERVER_FRAME_MAX, 64 * 1024 * 1024 };
static ngx_chat_range_t  ngx_chat_range_heartbeat =
    { ngx_chat_check_range, 1000, 3600000 };
static ngx_chat_range_t  ngx_chat_range_drain =
    { ngx_chat_check_range, 1000, 3600000 };
static ngx_chat_range_t  ngx_chat_range_linger =
    { ngx_chat_check_range, 0, 20 };
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
     * Ed25519 keys that may sign access tokens. Read at start and at reload;
     * to rotate a key, write a file with both keys and reload. */
    { ngx_string("chat_token_keys"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_chat_conf_keys,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    /* chat_id_key file;  http; no default. 64 hex digits; derives the ids of
     * direct chats. Never change it: direct chats would get new ids. */
    { ngx_string("chat_id_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_chat_conf_id_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    /* chat_drain time;  http; default 30s, 1s to 1h. After a reload the old
     * worker closes all of its sessions within this time. */
    { ngx_string("chat_drain"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_chat_main_conf_t, drain),
      &ngx_chat_range_drain },

    /* chat_linger time;  http; default 3ms, 0 to 20ms, 0: off. Under load,
     * messages are written to Redis at the end of a batch window of this
     * length; when idle, immediately. Set linger_us of the workers to the same
     * length: they read at the end of the same window. */
    { ngx_string("chat_linger"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_chat_main_conf_t, linger),
      &ngx_chat_range_linger },

    /* chat_stream_limit number;  http; default 20000, 100 to 10^8. While a
     * shard's stream holds more entries, sends to its chats are refused with
     * `unavailable`. */
    { ngx_string("chat_stream_limit"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_chat_main_conf_t, stream_limit),
      &ngx_chat_range_stream },

    /* chat_websocket;  location. Accepts WebSocket upgrades (RFC 6455) with
     * the subprotocol chat.v1. */
    { ngx_string("chat_websocket"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_chat_conf_websocket,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* chat_auth on|off;  http, server, location; default off. Requires a valid
     * access token (RFC 6750); sets $chat_user_id and $chat_device_id. */
    { ngx_string("chat_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_chat_conf_need,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_chat_loc_conf_t, auth),
      NULL },

    /* chat_enqueue on|off;  http, server, location; default off. Requests
     * that write to a chat become events in a stream, as the frames of a
     * socket do; others go to the location's proxy_pass. Needs chat_auth on. */
    { ngx_string("chat_enqueue"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_chat_conf_need,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_chat_loc_conf_t, enqueue),
      NULL },

    /* chat_max_frame_size size;  http, server, location; default 64k, 1k to
     * 64k. Maximum size of a client's message, fragments joined; a larger one
     * closes the connection with 1009. */
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
     * 64m. Maximum size of a session's write queue; a client that reads too
     * slowly for it is closed with 4008. */
    { ngx_string("chat_send_buffer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_chat_loc_conf_t, send_buffer),
      &ngx_chat_range_send_buffer },

    /* chat_allowed_origins origin ... | any;  http, server, location; default:
     * only the request's own host. Origins (RFC 6454) of browser clients, such
     * as https://chat.example. */
    { ngx_string("chat_allowed_origins"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_chat_conf_origins,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* chat_status health|ready|metrics;  location. health: the process runs.
     * ready: it accepts sends (503 while draining or without Redis). metrics:
     * this worker process's counters in Prometheus' text format. */
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

    ngx_chat_upstream_filter_init();

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
    mcf->linger = NGX_CONF_UNSET_MSEC;
    mcf->stream_limit = NGX_CONF_UNSET_UINT;

    return mcf;
}


static char *
ngx_chat_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_chat_main_conf_t  *mcf = conf;

    ngx_conf_init_msec_value(mcf->drain, 30000);
    ngx_conf_init_msec_value(mcf->linger, 3);
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
    lcf->enqueue = NGX_CONF_UNSET;
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
    ngx_conf_merge_value(conf->enqueue, prev->enqueue, 0);
    ngx_conf_merge_size_value(conf->max_frame, prev->max_frame,
                              CHAT_FRAME_MAX);
    ngx_conf_merge_msec_value(conf->heartbeat, prev->heartbeat, 30000);
    ngx_conf_merge_size_value(conf->send_buffer, prev->send_buffer,
                              1024 * 1024);
    ngx_conf_merge_ptr_value(conf->origins, prev->origins, NULL);

    if (conf->enqueue && !conf->auth) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"chat_enqueue on\" needs \"chat_auth on\" in the "
                           "same location: a write must have an author");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
