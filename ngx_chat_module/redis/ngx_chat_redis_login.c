/*
 * ngx_chat_redis_login.c: the first commands on a new connection to Redis.
 *
 * Called from: redis, once the connection is established. Hands to: the
 * callback up(), once the command connection has logged in. The subscription is
 * up when Redis has confirmed both channels (ngx_chat_redis.c).
 */

#include "ngx_chat_redis_conn.h"


static void ngx_chat_redis_selected(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_chat_redis_run_id(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_chat_redis_logged_in(redisAsyncContext *ac, void *reply,
    void *data);


void
ngx_chat_redis_login(ngx_chat_redis_t *rd)
{
    redisAsyncContext     *ac;
    ngx_chat_main_conf_t  *mcf;

    ac = rd->context;
    mcf = ngx_chat_edge->conf;

    if (mcf->redis_pass.len) {
        if (mcf->redis_user.len) {
            redisAsyncCommand(ac, NULL, NULL, "AUTH %s %s",
                              mcf->redis_user.data, mcf->redis_pass.data);
        } else {
            redisAsyncCommand(ac, NULL, NULL, "AUTH %s",
                              mcf->redis_pass.data);
        }
    }

    if (mcf->redis_db) {
        redisAsyncCommand(ac, ngx_chat_redis_selected, NULL, "SELECT %d",
                          (int) mcf->redis_db);
    }

    if (rd->subscriber) {
        redisAsyncCommand(ac, ngx_chat_redis_message, NULL,
                          "SUBSCRIBE " CHAT_CHANNEL_EDGE " " CHAT_CHANNEL_ALL,
                          ngx_chat_edge->id);
        return;
    }

    redisAsyncCommand(ac, ngx_chat_redis_run_id, NULL, "INFO server");
    redisAsyncCommand(ac, ngx_chat_redis_logged_in, NULL, "PING");
}


/* The run_id identifies this start of Redis: a marker that another one wrote
 * may be older than entries it had published. While the run_id is unknown
 * (INFO is forbidden) no marker is valid. */

static void
ngx_chat_redis_run_id(redisAsyncContext *ac, void *reply, void *data)
{
    u_char           *p;
    redisReply       *r = reply;
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;
    edge->run_id.len = 0;

    if (r == NULL || r->type != REDIS_REPLY_STRING) {
        return;
    }

    p = ngx_strnstr((u_char *) r->str, "run_id:", r->len);

    if (p != NULL
        && (size_t) ((u_char *) r->str + r->len - p) >= 7 + NGX_CHAT_RUN_ID)
    {
        ngx_memcpy(edge->run_id_text, p + 7, NGX_CHAT_RUN_ID);
        edge->run_id.data = edge->run_id_text;
        edge->run_id.len = NGX_CHAT_RUN_ID;
    }
}


/* In another database than the workers' every message would be lost. */

static void
ngx_chat_redis_selected(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply  *r = reply;

    if (ac->data != NULL && r != NULL && r->type == REDIS_REPLY_ERROR) {
        ngx_log_error(NGX_LOG_ERR, ngx_chat_edge->log, 0,
                      "chat: Redis \"%V\" refuses SELECT: %s",
                      &ngx_chat_edge->conf->redis, r->str);
        redisAsyncDisconnect(ac);
    }
}


static void
ngx_chat_redis_logged_in(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply        *r = reply;
    ngx_chat_redis_t  *rd;

    rd = ac->data;

    if (rd == NULL || r == NULL || (ac->c.flags & REDIS_DISCONNECTING)) {
        return;
    }

    if (r->type == REDIS_REPLY_ERROR) {
        /* NOAUTH, LOADING: logged once, retried */
        if (rd->failures < 2) {
            ngx_log_error(NGX_LOG_ERR, ngx_chat_edge->log, 0,
                          "chat: Redis \"%V\" refuses the edge: %s",
                          &ngx_chat_edge->conf->redis, r->str);
        }

        redisAsyncDisconnect(ac);
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_chat_edge->log, 0,
                  "chat: edge %016xL has Redis \"%V\"",
                  ngx_chat_edge->id, &ngx_chat_edge->conf->redis);

    rd->up = 1;
    rd->failures = 0;
    rd->ping_at = 0;

    ngx_chat_redis_events->up(rd);
}
