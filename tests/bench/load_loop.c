/*
 * load_loop.c: the loop of a loader.
 *
 * Called from chatload.c in the forked process; runs until the parent sets
 * `stop`. Opens connections while fewer than --concurrency handshakes are in
 * progress, passes events to load_conn.c and calls load_sched.c when messages
 * are due. The times in load_shared_t, set by the parent, start the phases.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/epoll.h>

#include "load_stat.h"

#define LOAD_EVENTS    128
#define LOAD_IDLE_NS   20000000ll       /* longest wait                     */
#define LOAD_OPENS     64               /* per loop iteration               */

static void load_loop_open(load_t *l);
static void load_loop_cycle(load_t *l, int budget);
static void load_loop_ping(load_t *l);
static int64_t load_ping_ns(const load_t *l);
static void load_loop_wait(load_t *l, int64_t next);
static void load_loop_end(load_t *l);


int64_t
load_ns(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}


/* xorshift64*, not for secrets */
uint64_t
load_random(load_t *l)
{
    l->rand ^= l->rand >> 12;
    l->rand ^= l->rand << 25;
    l->rand ^= l->rand >> 27;
    return l->rand * 0x2545f4914f6cdd1dull >> 16;
}


int
load_loop_run(load_t *l)
{
    int64_t  next, marks;

    l->buf = malloc(LOAD_BUF + LOAD_IN_MAX);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->buf == NULL || l->epoll == -1) {
        perror("chatload: epoll");
        return 1;
    }
    while (!atomic_load_explicit(&load_shared->stop, memory_order_relaxed)) {
        l->now = load_ns();
        load_loop_open(l);
        next = load_sched_run(l);
        marks = load_marks_run(l);
        load_loop_ping(l);
        load_loop_wait(l, marks < next ? marks : next);
    }
    load_loop_end(l);
    return 0;
}


static void
load_loop_open(load_t *l)
{
    int           budget, room;
    uint32_t      i;
    load_pool_t  *pool;

    room = l->opt->concurrency / l->opt->procs;
    budget = (room > 0 ? room : 1) - (int) l->handshakes;
    budget = budget < LOAD_OPENS ? budget : LOAD_OPENS;
    if (l->opt->workload == LOAD_CONNECT) {
        load_loop_cycle(l, budget);
        return;
    }
    for (pool = l->pool; pool < l->pool + LOAD_POOLS; pool++) {
        while (budget > 0 && pool->opened < pool->n) {
            load_conn_open(&pool->conn[pool->opened++]);
            budget--;
        }
    }
    pool = &l->pool[LOAD_POOL_AUX];
    for (i = 0; l->again > 0 && i < pool->n; i++) {
        if (pool->conn[i].again) {
            pool->conn[i].again = 0;
            l->again--;
            load_conn_open(&pool->conn[i]);
        }
    }
}


/* W4: a closed connection is opened again for the next user. */
static void
load_loop_cycle(load_t *l, int budget)
{
    int64_t       base;
    uint32_t      i, lo, hi;
    load_pool_t  *pool;

    base = atomic_load(&load_shared->base);
    if (base == 0 || l->now < base || l->now >= atomic_load(&load_shared->to))
    {
        return;
    }
    lo = (uint32_t) l->opt->first + (uint32_t) (l->opt->users
                                                / l->opt->procs * l->index);
    hi = lo + (uint32_t) (l->opt->users / l->opt->procs);
    pool = &l->pool[LOAD_POOL_MAIN];
    for (i = 0; i < pool->n && budget > 0; i++) {
        if (pool->conn[i].state != LOAD_CLOSED) {
            continue;
        }
        if (l->next_user >= hi || l->next_user < lo) {
            l->next_user = lo;
        }
        pool->conn[i].user = l->next_user++;
        load_conn_open(&pool->conn[i]);
        budget--;
    }
}


/* Checks a few connections per loop iteration and pings those that are due. */
static void
load_loop_ping(load_t *l)
{
    int           i;
    load_conn_t  *c;
    load_pool_t  *pool;

    if (l->opt->ping == 0) {
        return;
    }
    pool = &l->pool[LOAD_POOL_MAIN];
    for (i = 0; i < LOAD_OPENS && (uint32_t) i < pool->n; i++) {
        c = &pool->conn[l->ping_pos++ % pool->n];
        if (c->state != LOAD_READY || l->now < c->ping_due) {
            continue;
        }
        c->ping_due = l->now + load_ping_ns(l);
        if (c->proto->ping != NULL) {
            c->proto->ping(c);
        }
    }
}


static void
load_loop_wait(load_t *l, int64_t next)
{
    int                 i, n;
    int64_t             wait;
    struct timespec     ts;
    struct epoll_event  ev[LOAD_EVENTS];

    wait = next == INT64_MAX ? LOAD_IDLE_NS : next - load_ns();
    wait = wait < 0 ? 0 : wait > LOAD_IDLE_NS ? LOAD_IDLE_NS : wait;
    ts.tv_sec = 0;
    ts.tv_nsec = wait;
    n = epoll_pwait2(l->epoll, ev, LOAD_EVENTS, &ts, NULL);
    if (n > 0) {
        l->now = load_ns();
    }
    for (i = 0; i < n; i++) {
        load_conn_event(ev[i].data.ptr, ev[i].events);
    }
}


static void
load_loop_end(load_t *l)
{
    uint32_t      i;
    load_pool_t  *pool;

    for (pool = l->pool; pool < l->pool + LOAD_POOLS; pool++) {
        for (i = 0; i < pool->n; i++) {
            if (pool->conn[i].state != LOAD_CLOSED) {
                load_conn_close(&pool->conn[i], NULL);
            }
        }
    }
    l->stat->finished = 1;
}


static int64_t
load_ping_ns(const load_t *l)
{
    return (int64_t) (l->opt->ping * 1e9) + 1;
}


void
load_on_welcome(load_conn_t *c)
{
    load_t  *l = c->load;

    load_inc(l, welcomed);
    if (l->opt->workload != LOAD_CONNECT || load_counted(c->opened)) {
        load_rec(l, CONNECT, load_ns() - c->opened);
    }
}


void
load_on_ready(load_conn_t *c)
{
    load_t  *l = c->load;

    if (c->state != LOAD_LOGIN) {
        return;
    }
    c->state = LOAD_READY;
    c->ping_due = l->now + (int64_t) (load_random(l)
                                      % (uint64_t) load_ping_ns(l));
    l->handshakes--;
    load_inc(l, ready);
    if (c->role == LOAD_POOL_AUX) {
        return;
    }
    if (l->opt->workload != LOAD_CONNECT) {
        load_rec(l, SYNC, load_ns() - c->opened);
        return;
    }
    if (load_counted(c->opened)) {
        load_inc(l, done);
        load_rec(l, SYNC, load_ns() - c->opened);
    }
    load_conn_close(c, NULL);
}


void
load_loop_left(load_conn_t *c)
{
    load_t  *l = c->load;

    if (c->state == LOAD_READY) {
        l->stat->count[LOAD_C_ready]--;
    } else {
        l->handshakes--;
    }
}
