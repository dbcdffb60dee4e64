/*
 * ngx_chat_redis_adapter.c: hiredis in nginx's event loop.
 *
 * Called from: redis (a new connection), hiredis (when it needs to read, write
 * or close). Hands to: hiredis, when the descriptor is ready. Does not look at
 * commands and replies.
 */

#include "ngx_chat_redis_conn.h"


static void ngx_chat_redis_read_event(ngx_event_t *ev);
static void ngx_chat_redis_write_event(ngx_event_t *ev);
static void ngx_chat_redis_add_read(void *data);
static void ngx_chat_redis_del_read(void *data);
static void ngx_chat_redis_add_write(void *data);
static void ngx_chat_redis_del_write(void *data);
static void ngx_chat_redis_cleanup(void *data);


ngx_int_t
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

    if (rd->context == NULL) {
        return;
    }

    ev->timedout = 0;

    /* During this call a write that does not fit waits for the descriptor. */
    rd->writing = 1;
    rd->written = ngx_current_msec;
    ngx_chat_redis_linger_written(rd);
    redisAsyncHandleWrite(rd->context);
    rd->writing = 0;
}


/* Level-triggered: hiredis reads at most 16 KB for each event and does not read
 * the remainder by itself. */

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


/*
 * Each write wakes Redis, and its reply wakes this process; a wakeup costs as
 * much as several commands. Therefore all commands of one event loop iteration
 * are one write at its end, and there is at most one write per millisecond.
 * Under load commands are batched, a single one never waits. Events may wait
 * longer, for the batch window.
 */

static void
ngx_chat_redis_add_write(void *data)
{
    ngx_event_t        *ev;
    ngx_chat_redis_t   *rd = data;
    redisAsyncContext  *ac;

    ac = rd->context;
    ev = rd->connection->write;

    if (ev->active || ev->posted || ev->timer_set
        || ngx_chat_redis_linger_wait(rd))
    {
        return;
    }

    if (rd->writing || !(ac->c.flags & REDIS_CONNECTED)) {
        (void) ngx_add_event(ev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);

    } else if (rd->written == ngx_current_msec) {
        ngx_add_timer(ev, 1);

    } else {
        ngx_post_event(ev, &ngx_posted_events);
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


/* hiredis closes the descriptor itself right after this. */

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

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;
}
