/*
 * ngx_chat_redis.c: the edge's two connections to Redis.
 *
 * Called from: every file that sends a command. Hands to: hiredis, and to the
 * callbacks it was started with (ngx_chat_link.c), which get messages and
 * changes of the connections. One connection is for commands, pipelined: the
 * commands of one event loop iteration are one write. The other subscribes to
 * edge.<id> and edge.all. A lost connection is retried with full-jitter
 * backoff.
 */

#include "ngx_chat_redis_conn.h"


#define NGX_CHAT_REDIS_CAP      5000    /* ms, longest wait before a retry  */
#define NGX_CHAT_REDIS_TIMEOUT  3000    /* ms without an answer to PING     */


const ngx_chat_redis_events_t  *ngx_chat_redis_events;


static void ngx_chat_redis_connect(ngx_chat_redis_t *rd);
static void ngx_chat_redis_retry(ngx_event_t *ev);
static void ngx_chat_redis_connected(const redisAsyncContext *ac, int status);
static void ngx_chat_redis_disconnected(const redisAsyncContext *ac,
    int status);
static void ngx_chat_redis_pong(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_chat_redis_lost(ngx_chat_redis_t *rd, const char *why);


ngx_int_t
ngx_chat_redis_start(const ngx_chat_redis_events_t *events)
{
    ngx_chat_redis_t  *rd[2];
    ngx_uint_t         i;

    rd[0] = &ngx_chat_edge->command;
    rd[1] = &ngx_chat_edge->subscription;

    ngx_chat_redis_events = events;

    for (i = 0; i < 2; i++) {
        rd[i]->retry.handler = ngx_chat_redis_retry;
        rd[i]->retry.data = rd[i];
        rd[i]->retry.log = ngx_chat_edge->log;
        rd[i]->retry.cancelable = 1;

        ngx_chat_redis_connect(rd[i]);
    }

    ngx_chat_redis_linger_start(&ngx_chat_edge->command);

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

    ngx_chat_redis_linger_stop(&ngx_chat_edge->command);
}


ngx_uint_t
ngx_chat_redis_ready(void)
{
    return ngx_chat_edge->command.up
           && ngx_chat_edge->subscription.up
           && ngx_chat_edge->revoked_loaded;
}


/* Redis is one server today: the key selects no connection yet. */

ngx_int_t
ngx_chat_redis_command(const ngx_str_t *key, ngx_chat_redis_reply_pt fn,
    void *data, int argc, const char **argv, const size_t *lens)
{
    ngx_chat_redis_t  *rd;

    rd = &ngx_chat_edge->command;

    if (!rd->up
        || (fn != NULL && ngx_chat_redis_reserve(rd) != NGX_OK)
        || redisAsyncCommandArgv(rd->context,
                                 fn ? ngx_chat_redis_replied : NULL, rd,
                                 argc, argv, lens)
           != REDIS_OK)
    {
        return NGX_ERROR;
    }

    if (fn != NULL) {
        ngx_chat_redis_expect(rd, fn, data);
    }

    return NGX_OK;
}


ngx_int_t
ngx_chat_redis_command_lingering(const ngx_str_t *key,
    ngx_chat_redis_reply_pt fn, void *data, int argc, const char **argv,
    const size_t *lens)
{
    ngx_int_t          rc;
    ngx_chat_redis_t  *rd;

    rd = &ngx_chat_edge->command;

    rd->may_linger = 1;
    rc = ngx_chat_redis_command(key, fn, data, argc, argv, lens);
    rd->may_linger = 0;

    if (rc == NGX_OK) {
        rd->events = 1;
    }

    return rc;
}


ngx_uint_t
ngx_chat_redis_barrier(void)
{
    ngx_chat_redis_t  *rd;

    rd = &ngx_chat_edge->subscription;

    /* hiredis 0.14 does not know PING in a subscription: one more SUBSCRIBE
     * to the same channel is answered as well */
    if (!rd->up
        || redisAsyncCommand(rd->context, ngx_chat_redis_message, NULL,
                             "SUBSCRIBE " CHAT_CHANNEL_ALL)
           != REDIS_OK)
    {
        return 0;
    }

    return ++rd->barriers_sent;
}


void
ngx_chat_redis_check(void)
{
    ngx_uint_t         i;
    ngx_chat_redis_t  *rd[2];

    rd[0] = &ngx_chat_edge->command;
    rd[1] = &ngx_chat_edge->subscription;

    for (i = 0; i < 2; i++) {

        if (rd[i]->context == NULL) {
            continue;
        }

        if (rd[i]->ping_at) {
            if (ngx_current_msec - rd[i]->ping_at > NGX_CHAT_REDIS_TIMEOUT) {
                ngx_chat_redis_lost(rd[i], "no answer for 3 s");
            }

            continue;
        }

        if (rd[i]->up) {
            rd[i]->ping_at = ngx_current_msec;

            if (rd[i]->subscriber) {
                (void) ngx_chat_redis_barrier();
            } else {
                redisAsyncCommand(rd[i]->context, ngx_chat_redis_pong, NULL,
                                  "PING");
            }
        }
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

    /* ngx_chat_redis_check() gives up a connect that hangs */
    rd->ping_at = ngx_current_msec;
}


static void
ngx_chat_redis_retry(ngx_event_t *ev)
{
    ngx_chat_redis_connect(ev->data);
}


/* Ends a connection, whatever its state, and schedules the next attempt. why
 * is NULL when the process ends. */

static void
ngx_chat_redis_lost(ngx_chat_redis_t *rd, const char *why)
{
    ngx_msec_t          wait;
    ngx_uint_t          was_up;
    redisAsyncContext  *ac;

    ac = rd->context;
    was_up = rd->up;

    rd->context = NULL;
    rd->up = 0;
    rd->events = 0;
    rd->lingering = 0;
    rd->ping_at = 0;
    rd->barriers_sent = 0;
    rd->barriers_passed = 0;

    if (ac != NULL) {
        if (rd->failures == 0 && why != NULL) {
            ngx_log_error(NGX_LOG_WARN, ngx_chat_edge->log, 0,
                          "chat: Redis \"%V\" lost (%s connection): %s",
                          &ngx_chat_edge->conf->redis,
                          rd->subscriber ? "subscription" : "command", why);
        }

        /* calls every pending callback with NULL, then our cleanup */
        ac->data = NULL;
        redisAsyncFree(ac);
    }

    if (was_up) {
        ngx_chat_edge->counters.redis_lost++;

        if (!rd->subscriber) {
            ngx_chat_edge->run_id.len = 0;
        }

        ngx_chat_redis_events->down(rd);
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
        return;     /* closed by ngx_chat_redis_lost() */
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


/* Replies of the subscription: confirmations and messages. */

void
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
        ngx_chat_redis_events->message((u_char *) r->element[2]->str,
                                       r->element[2]->len);
        return;
    }

    if (r->element[0]->str[0] != 's') {
        return;
    }

    if (rd->up) {
        rd->ping_at = 0;    /* the SUBSCRIBE that stands for a PING */
        ngx_chat_redis_events->barrier(++rd->barriers_passed);
        return;
    }

    /* up once both channels are subscribed */
    if (r->element[2]->integer != 2) {
        return;
    }

    rd->up = 1;
    rd->failures = 0;
    rd->ping_at = 0;

    ngx_chat_redis_events->up(rd);
}
