/*
 * ngx_chat_redis_linger.c: the batch window of events to Redis.
 *
 * Called from: redis, redis_adapter. Under load, events are written at the end
 * of a batch window of chat_linger. The windows are aligned to the wall clock
 * and so are the same for all edges and for the message workers: Redis wakes up
 * once for all edges, and a worker that reads right after it finds the events
 * of all. When idle, events are written immediately. A timerfd is needed
 * because nginx's timers have a resolution of milliseconds.
 */

#include <sys/timerfd.h>

#include "ngx_chat_redis_conn.h"


#define NGX_CHAT_LINGER_BUSY  8         /* successive writes: under load    */


static void ngx_chat_redis_linger_expired(ngx_event_t *ev);
static ngx_uint_t ngx_chat_redis_linger_idle(const ngx_chat_redis_t *rd);


/* Without a timer (no descriptor, no connection slot) events never wait. */

void
ngx_chat_redis_linger_start(ngx_chat_redis_t *rd)
{
    int                fd;
    ngx_connection_t  *c;

    if (ngx_chat_edge->conf->linger == 0) {
        return;
    }

    fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK|TFD_CLOEXEC);
    c = fd == -1 ? NULL : ngx_get_connection(fd, ngx_chat_edge->log);

    if (c == NULL) {
        ngx_log_error(NGX_LOG_WARN, ngx_chat_edge->log, ngx_errno,
                      "chat: no timer for chat_linger: events are not "
                      "batched");
        if (fd != -1) {
            (void) close(fd);
        }

        return;
    }

    c->data = rd;
    c->log = ngx_chat_edge->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_chat_redis_linger_expired;

    rd->window = c;

    if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_chat_redis_linger_stop(rd);
    }
}


void
ngx_chat_redis_linger_stop(ngx_chat_redis_t *rd)
{
    if (rd->window != NULL) {
        ngx_close_connection(rd->window);
        rd->window = NULL;
    }
}


/* 1 when the command may wait: it is written at the window's end. */

ngx_uint_t
ngx_chat_redis_linger_wait(ngx_chat_redis_t *rd)
{
    int64_t            us, whole;
    struct timespec    now;
    struct itimerspec  left;

    /* An exiting process waits for nginx's own timers only. */
    if (!rd->may_linger || rd->window == NULL || ngx_exiting
        || rd->busy_writes < NGX_CHAT_LINGER_BUSY
        || ngx_chat_redis_linger_idle(rd))
    {
        return 0;
    }

    if (rd->lingering) {
        return 1;
    }

    (void) clock_gettime(CLOCK_REALTIME, &now);

    whole = (int64_t) ngx_chat_edge->conf->linger * 1000;
    us = whole - ((int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000) % whole;

    left.it_interval.tv_sec = 0;
    left.it_interval.tv_nsec = 0;
    left.it_value.tv_sec = 0;
    left.it_value.tv_nsec = us * 1000;

    rd->lingering = timerfd_settime(rd->window->fd, 0, &left, NULL) == 0;

    return rd->lingering;
}


/* All appended commands are being written. */

void
ngx_chat_redis_linger_written(ngx_chat_redis_t *rd)
{
    if (rd->events) {

        if (ngx_chat_redis_linger_idle(rd)) {
            rd->busy_writes /= 2;

        } else if (rd->busy_writes < 2 * NGX_CHAT_LINGER_BUSY) {
            rd->busy_writes++;
        }

        rd->events_at = ngx_current_msec;
        rd->events = 0;
        ngx_chat_edge->counters.event_writes++;
    }

    rd->lingering = 0;
}


static ngx_uint_t
ngx_chat_redis_linger_idle(const ngx_chat_redis_t *rd)
{
    return ngx_current_msec - rd->events_at > 2 * ngx_chat_edge->conf->linger;
}


static void
ngx_chat_redis_linger_expired(ngx_event_t *ev)
{
    uint64_t           times;
    ngx_event_t       *wev;
    ngx_connection_t  *c;
    ngx_chat_redis_t  *rd;

    c = ev->data;
    rd = c->data;

    if (read(c->fd, &times, sizeof(times)) == -1) {
        return;     /* the timer was set again meanwhile */
    }

    if (!rd->lingering || rd->connection == NULL) {
        return;     /* written with a command that did not wait */
    }

    rd->lingering = 0;
    wev = rd->connection->write;

    if (!wev->active && !wev->posted) {
        ngx_post_event(wev, &ngx_posted_events);
    }
}
