/*
 * ngx_chat_redis.c: the edge's two connections to Redis.
 *
 * One for commands, pipelined: what one turn of the event loop asks goes out
 * in one write. One for the subscription to edge.<id> and edge.all, which
 * hands batches to ngx_chat_deliver.c. hiredis speaks, nginx's event loop
 * waits. A lost connection is tried again with full-jitter backoff; clients
 * stay connected meanwhile and their sends get `unavailable`.
 *
 * Not done here: what is sent (publish, route) and what comes (deliver).
 */

#include "ngx_chat_redis.h"


#define NGX_CHAT_REDIS_SILENT  3000     /* ms without an answer to PING     */
#define NGX_CHAT_REDIS_CAP     5000     /* ms, longest wait to try again    */


static void ngx_chat_redis_connect(ngx_chat_redis_t *rd);
static void ngx_chat_redis_retry(ngx_event_t *ev);
static void ngx_chat_redis_connected(const redisAsyncContext *ac, int status);
static void ngx_chat_redis_disconnected(const redisAsyncContext *ac,
    int status);
static void ngx_chat_redis_login(ngx_chat_redis_t *rd);
static void ngx_chat_redis_logged_in(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_chat_redis_message(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_chat_redis_revoked(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_chat_redis_pong(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_chat_redis_heartbeat(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_chat_redis_length(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_chat_redis_workers(redisAsyncContext *ac, void *reply,
    void *data);

static ngx_int_t ngx_chat_redis_attach(ngx_chat_redis_t *rd);
static void ngx_chat_redis_read_event(ngx_event_t *ev);
static void ngx_chat_redis_write_event(ngx_event_t *ev);
static void ngx_chat_redis_add_read(void *data);
static void ngx_chat_redis_del_read(void *data);
static void ngx_chat_redis_add_write(void *data);
static void ngx_chat_redis_del_write(void *data);
static void ngx_chat_redis_cleanup(void *data);


ngx_int_t
ngx_chat_redis_start(void)
{
    ngx_chat_redis_t  *rd[2];
    ngx_uint_t         i;

    rd[0] = &ngx_chat_edge->command;
    rd[1] = &ngx_chat_edge->subscription;

    for (i = 0; i < 2; i++) {
        rd[i]->retry.handler = ngx_chat_redis_retry;
        rd[i]->retry.data = rd[i];
        rd[i]->retry.log = ngx_chat_edge->log;
        rd[i]->retry.cancelable = 1;

        ngx_chat_redis_connect(rd[i]);
    }

    return NGX_OK;
}


void
ngx_chat_redis_stop(void)
{
    ngx_chat_redis_t  *rd[2];
    ngx_uint_t         i;

    rd[0] = &ngx_chat_edge->command;
    rd[1] = &ngx_chat_edge->subscription;

    for (i = 0; i < 2; i++) {
        if (rd[i]->context != NULL) {
            ngx_chat_redis_lost(rd[i], NULL);
        }
    }
}


/* Sends can be taken, answers will arrive, and revoked devices are known. */

ngx_uint_t
ngx_chat_redis_ready(void)
{
    return ngx_chat_edge->command.up
           && ngx_chat_edge->subscription.up
           && ngx_chat_edge->revoked_loaded;
}


ngx_int_t
ngx_chat_redis_command(redisCallbackFn *fn, void *data, int argc,
    const char **argv, const size_t *lens)
{
    ngx_chat_redis_t  *rd;

    rd = &ngx_chat_edge->command;

    if (!rd->up) {
        return NGX_ERROR;
    }

    return redisAsyncCommandArgv(rd->context, fn, data, argc, argv, lens)
           == REDIS_OK ? NGX_OK : NGX_ERROR;
}


static void
ngx_chat_redis_connect(ngx_chat_redis_t *rd)
{
    redisAsyncContext     *ac;
    ngx_chat_main_conf_t  *mcf;

    mcf = ngx_chat_edge->conf;

    ac = mcf->redis_path.len
         ? redisAsyncConnectUnix((char *) mcf->redis_path.data)
         : redisAsyncConnect((char *) mcf->redis_host.data, mcf->redis_port);

    if (ac == NULL) {
        ngx_chat_redis_lost(rd, "out of memory");
        return;
    }

    ac->data = rd;
    rd->context = ac;

    if (ac->err || ngx_chat_redis_attach(rd) != NGX_OK) {
        ngx_chat_redis_lost(rd, ac->err ? ac->errstr : "no connection slot");
        return;
    }

    redisAsyncSetDisconnectCallback(ac, ngx_chat_redis_disconnected);
    redisAsyncSetConnectCallback(ac, ngx_chat_redis_connected);

    /* a connect that hangs is noticed by the tick */
    rd->ping_at = ngx_current_msec;
}


static void
ngx_chat_redis_retry(ngx_event_t *ev)
{
    ngx_chat_redis_connect(ev->data);
}


/* Ends a connection, whatever its state, and plans the next. */

void
ngx_chat_redis_lost(ngx_chat_redis_t *rd, const char *why)
{
    ngx_msec_t          wait;
    ngx_uint_t          was_up;
    redisAsyncContext  *ac;

    ac = rd->context;
    was_up = rd->up;

    rd->context = NULL;
    rd->up = 0;
    rd->ping_at = 0;

    if (ac != NULL) {
        if (rd->failures == 0 && why != NULL) {
            ngx_log_error(NGX_LOG_WARN, ngx_chat_edge->log, 0,
                          "chat: Redis \"%V\" lost (%s connection): %s",
                          &ngx_chat_edge->conf->redis,
                          rd->subscriber ? "subscription" : "command", why);
        }

        /* calls every waiting callback with NULL, and our cleanup */
        ac->data = NULL;
        redisAsyncFree(ac);
    }

    if (was_up) {
        ngx_chat_edge->counters.redis_lost++;

        if (rd->subscriber) {
            /* what is published from now on does not reach us: every session
             * must look again before it trusts a live entry */
            ngx_chat_edge->generation++;
            ngx_chat_sync_all();
        }
    }

    if (why == NULL) {
        return;     /* the process ends */
    }

    wait = ngx_min((ngx_msec_t) 50 << ngx_min(rd->failures, 8),
                   NGX_CHAT_REDIS_CAP);
    wait = wait / 2 + (ngx_msec_t) randombytes_uniform(wait / 2 + 1);
    rd->failures++;

    if (!rd->retry.timer_set) {
        ngx_add_timer(&rd->retry, wait);
    }
}


static void
ngx_chat_redis_connected(const redisAsyncContext *ac, int status)
{
    ngx_chat_redis_t  *rd;

    rd = ac->data;

    if (rd == NULL) {
        return;
    }

    if (status != REDIS_OK) {
        /* hiredis frees the context itself after this */
        rd->context = NULL;
        ngx_chat_redis_lost(rd, "cannot connect");

        if (rd->failures == 1) {
            ngx_log_error(NGX_LOG_WARN, ngx_chat_edge->log, 0,
                          "chat: cannot connect to Redis \"%V\": %s",
                          &ngx_chat_edge->conf->redis, ac->errstr);
        }

        return;
    }

    ngx_chat_redis_login(rd);
}


static void
ngx_chat_redis_disconnected(const redisAsyncContext *ac, int status)
{
    ngx_chat_redis_t  *rd;

    rd = ac->data;

    if (rd == NULL) {
        return;     /* by ourselves */
    }

    if (rd->failures == 0) {
        ngx_log_error(NGX_LOG_WARN, ngx_chat_edge->log, 0,
                      "chat: Redis \"%V\" lost (%s connection): %s",
                      &ngx_chat_edge->conf->redis,
                      rd->subscriber ? "subscription" : "command",
                      ac->errstr ? ac->errstr : "closed");
    }

    rd->context = NULL;
    ngx_chat_redis_lost(rd, "closed");
}


static void
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
        redisAsyncCommand(ac, NULL, NULL, "SELECT %d", (int) mcf->redis_db);
    }

    if (rd->subscriber) {
        redisAsyncCommand(ac, ngx_chat_redis_message, NULL,
                          "SUBSCRIBE " CHAT_CHANNEL_EDGE " " CHAT_CHANNEL_ALL,
                          ngx_chat_edge->id);
        return;
    }

    redisAsyncCommand(ac, ngx_chat_redis_logged_in, NULL, "PING");
}


static void
ngx_chat_redis_logged_in(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply        *r = reply;
    ngx_chat_redis_t  *rd;

    rd = ac->data;

    if (rd == NULL || r == NULL) {
        return;
    }

    if (r->type == REDIS_REPLY_ERROR) {
        /* NOAUTH, LOADING: said once, tried again */
        if (rd->failures < 2) {
            ngx_log_error(NGX_LOG_ERR, ngx_chat_edge->log, 0,
                          "chat: Redis \"%V\" refuses us: %s",
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

    /* whatever happened meanwhile: say again who is here */
    ngx_chat_redis_tick();
    ngx_chat_route_all();

    if (ngx_chat_edge->subscription.up) {
        ngx_chat_sync_all();
    }
}


/* Replies of the subscription: confirmations and messages. */

static void
ngx_chat_redis_message(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply        *r = reply;
    ngx_chat_redis_t  *rd;

    rd = ac->data;

    if (rd == NULL || r == NULL) {
        return;
    }

    if (r->type != REDIS_REPLY_ARRAY || r->elements != 3) {
        if (r->type == REDIS_REPLY_ERROR) {
            redisAsyncDisconnect(ac);
        }

        return;
    }

    if (r->element[0]->str[0] == 'm') {     /* message */
        ngx_chat_deliver_batch((u_char *) r->element[2]->str,
                               r->element[2]->len);
        return;
    }

    if (r->element[0]->str[0] != 's') {
        return;
    }

    if (rd->up) {
        rd->ping_at = 0;    /* the tick's, in place of a PING */
        return;
    }

    /* up once both channels are there */
    if (r->element[2]->integer != 2) {
        return;
    }

    rd->up = 1;
    rd->failures = 0;
    rd->ping_at = 0;
    ngx_chat_edge->revoked_loaded = 0;

    if (ngx_chat_edge->command.up) {
        ngx_chat_redis_tick();
        ngx_chat_route_all();   /* a KICK may have been missed */
        ngx_chat_sync_all();
    }
}


/* Once a second: both connections answer, the edge's key lives, streams are
 * not too long, revocations are known. */

void
ngx_chat_redis_tick(void)
{
    u_char              key[64];
    ngx_time_t         *tp;
    ngx_uint_t          i;
    ngx_chat_edge_t    *edge;
    ngx_chat_redis_t   *rd[2];
    redisAsyncContext  *ac;

    edge = ngx_chat_edge;
    rd[0] = &edge->command;
    rd[1] = &edge->subscription;

    for (i = 0; i < 2; i++) {

        if (rd[i]->context == NULL) {
            continue;
        }

        if (rd[i]->ping_at) {
            if (ngx_current_msec - rd[i]->ping_at > NGX_CHAT_REDIS_SILENT) {
                ngx_chat_redis_lost(rd[i], "no answer for 3 s");
            }

            continue;
        }

        if (rd[i]->up) {
            rd[i]->ping_at = ngx_current_msec;

            /* hiredis 0.14 does not know PING in a subscription: one more
             * SUBSCRIBE to the same channel is answered as well */
            if (rd[i]->subscriber) {
                redisAsyncCommand(rd[i]->context, ngx_chat_redis_message,
                                  NULL, "SUBSCRIBE " CHAT_CHANNEL_ALL);
            } else {
                redisAsyncCommand(rd[i]->context, ngx_chat_redis_pong, NULL,
                                  "PING");
            }
        }
    }

    if (!edge->command.up) {
        return;
    }

    ac = edge->command.context;

    /* GET of the old value tells an emptied Redis */
    ngx_sprintf(key, "edge:%016xL%Z", edge->id);
    redisAsyncCommand(ac, ngx_chat_redis_heartbeat, NULL,
                      "SET %s %d EX %d GET", key, (int) ngx_pid,
                      CHAT_EDGE_TTL);

    if (!edge->revoked_loaded && edge->subscription.up) {
        redisAsyncCommand(ac, ngx_chat_redis_revoked,
                          (void *) (uintptr_t) edge->generation,
                          "ZRANGE " CHAT_KEY_REVOKED " 0 -1 WITHSCORES");
    }

    /* a worker beats only while it has its database */
    tp = ngx_timeofday();
    redisAsyncCommand(ac, ngx_chat_redis_workers, NULL,
                      "ZCOUNT workers:message %lld +inf",
                      (long long) tp->sec * 1000 + tp->msec
                      - NGX_CHAT_REDIS_SILENT);

    for (i = 0; i < CHAT_SHARDS; i++) {
        redisAsyncCommand(ac, ngx_chat_redis_length, (void *) (uintptr_t) i,
                          "XLEN " CHAT_KEY_SENT, (unsigned) i);
    }
}


static void
ngx_chat_redis_pong(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_chat_redis_t  *rd;

    rd = ac->data;

    if (rd != NULL && reply != NULL) {
        rd->ping_at = 0;
    }
}


static void
ngx_chat_redis_heartbeat(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply       *r = reply;
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;

    if (r == NULL || r->type == REDIS_REPLY_ERROR) {
        return;
    }

    if (r->type == REDIS_REPLY_NIL && edge->announced) {
        ngx_log_error(NGX_LOG_WARN, edge->log, 0,
                      "chat: Redis was emptied: writing %ui routes anew",
                      edge->by_id.n);
        edge->revoked_loaded = 0;
        ngx_chat_route_all();
        ngx_chat_sync_all();
    }

    edge->announced = 1;
}


static void
ngx_chat_redis_revoked(redisAsyncContext *ac, void *reply, void *data)
{
    u_char      *p, *colon;
    size_t       i, len;
    uint64_t     user, device;
    redisReply  *r = reply;

    if (r == NULL || r->type != REDIS_REPLY_ARRAY) {
        return;
    }

    /* "0:0" is always there: without it the API worker has not filled the set
     * yet. An answer from before the subscription was lost does not know what
     * was revoked meanwhile. */
    for (i = 0; i + 1 < r->elements; i += 2) {
        p = (u_char *) r->element[i]->str;
        len = r->element[i]->len;

        if (len == 3 && ngx_memcmp(p, "0:0", 3) == 0) {
            if ((uintptr_t) data == ngx_chat_edge->generation) {
                ngx_chat_edge->revoked_loaded = 1;
                ngx_chat_edge->revoked_known = 1;
            }

            continue;
        }

        colon = ngx_strlchr(p, p + len, ':');

        if (colon == NULL
            || chat_num_parse((char *) p, colon - p, &user) != 0
            || chat_num_parse((char *) colon + 1, p + len - colon - 1,
                              &device)
               != 0)
        {
            continue;
        }

        ngx_chat_auth_revoke(user, device,
                             strtoll(r->element[i + 1]->str, NULL, 10));
    }
}


static void
ngx_chat_redis_length(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply  *r = reply;
    ngx_uint_t   shard;
    ngx_uint_t   full;

    if (r == NULL || r->type != REDIS_REPLY_INTEGER) {
        return;
    }

    shard = (uintptr_t) data;
    full = (ngx_uint_t) r->integer > ngx_chat_edge->conf->stream_limit;

    if (full && !ngx_chat_edge->full[shard]) {
        ngx_log_error(NGX_LOG_WARN, ngx_chat_edge->log, 0,
                      "chat: stream of shard %ui holds %L entries: sends are "
                      "refused until workers catch up",
                      shard, (int64_t) r->integer);
    }

    ngx_chat_edge->full[shard] = full;
}


static void
ngx_chat_redis_workers(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply  *r = reply;

    if (r != NULL && r->type == REDIS_REPLY_INTEGER) {
        ngx_chat_edge->workers_alive = r->integer;
    }
}


/* ------------------------------------------------ hiredis in nginx's loop */

static ngx_int_t
ngx_chat_redis_attach(ngx_chat_redis_t *rd)
{
    ngx_connection_t   *c;
    redisAsyncContext  *ac;

    ac = rd->context;

    c = ngx_get_connection(ac->c.fd, ngx_chat_edge->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = rd;
    c->log = ngx_chat_edge->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_chat_redis_read_event;
    c->write->handler = ngx_chat_redis_write_event;

    rd->connection = c;

    ac->ev.data = rd;
    ac->ev.addRead = ngx_chat_redis_add_read;
    ac->ev.delRead = ngx_chat_redis_del_read;
    ac->ev.addWrite = ngx_chat_redis_add_write;
    ac->ev.delWrite = ngx_chat_redis_del_write;
    ac->ev.cleanup = ngx_chat_redis_cleanup;

    return NGX_OK;
}


static void
ngx_chat_redis_read_event(ngx_event_t *ev)
{
    ngx_connection_t  *c;
    ngx_chat_redis_t  *rd;

    c = ev->data;
    rd = c->data;

    if (rd->context != NULL) {
        redisAsyncHandleRead(rd->context);
    }
}


static void
ngx_chat_redis_write_event(ngx_event_t *ev)
{
    ngx_connection_t  *c;
    ngx_chat_redis_t  *rd;

    c = ev->data;
    rd = c->data;

    if (rd->context != NULL) {
        redisAsyncHandleWrite(rd->context);
    }
}


/* Level-triggered: hiredis reads at most 16 KB a call and does not come back
 * for the rest by itself. */

static void
ngx_chat_redis_add_read(void *data)
{
    ngx_chat_redis_t  *rd = data;

    if (!rd->connection->read->active) {
        (void) ngx_add_event(rd->connection->read, NGX_READ_EVENT,
                             NGX_LEVEL_EVENT);
    }
}


static void
ngx_chat_redis_del_read(void *data)
{
    ngx_chat_redis_t  *rd = data;

    if (rd->connection->read->active) {
        (void) ngx_del_event(rd->connection->read, NGX_READ_EVENT, 0);
    }
}


static void
ngx_chat_redis_add_write(void *data)
{
    ngx_chat_redis_t  *rd = data;

    if (!rd->connection->write->active) {
        (void) ngx_add_event(rd->connection->write, NGX_WRITE_EVENT,
                             NGX_LEVEL_EVENT);
    }
}


static void
ngx_chat_redis_del_write(void *data)
{
    ngx_chat_redis_t  *rd = data;

    if (rd->connection->write->active) {
        (void) ngx_del_event(rd->connection->write, NGX_WRITE_EVENT, 0);
    }
}


/* hiredis is about to close the descriptor: leave it to it. */

static void
ngx_chat_redis_cleanup(void *data)
{
    ngx_connection_t  *c;
    ngx_chat_redis_t  *rd = data;

    c = rd->connection;

    if (c == NULL) {
        return;
    }

    rd->connection = NULL;

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
    }

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, 0);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;
}
