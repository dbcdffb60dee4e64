/*
 * load_sched.c: open-loop sending, and receipts that are due.
 *
 * Called from load_loop.c in every loop iteration; calls the protocols.
 * Message k of a schedule is due at base + k * interval, whatever happened to
 * earlier messages, and its latency is counted from then: the latency of a
 * server that stalls includes the messages that it delayed.
 */

#include <stdio.h>

#include "load_stat.h"

#define LOAD_BURST    256               /* messages per loop iteration      */
#define LOAD_MARK_NS  200000000ll       /* the contract's 200 ms            */
#define LOAD_MARK_MAX 64                /* and its 64 entries               */
#define LOAD_FAR      INT64_MAX

static void load_sched_act(load_t *l, load_sched_t *s, int64_t due);
static void load_sched_send(load_t *l, load_sched_t *s, int64_t due);
static void load_sched_read(load_t *l, int64_t due);
static void load_mark_now(load_conn_t *c);


int64_t
load_sched_run(load_t *l)
{
    int            burst;
    int64_t        base, to, due, next;
    uint32_t       i;
    load_sched_t  *s;

    base = atomic_load(&load_shared->base);
    if (base == 0) {
        return LOAD_FAR;
    }
    to = atomic_load(&load_shared->to);
    next = LOAD_FAR;
    for (i = 0; i < l->nsched; i++) {
        s = &l->sched[i];
        if (s->interval == 0) {
            continue;
        }
        for (burst = 0; ; burst++) {
            due = base + (int64_t) (((double) s->k + s->phase)
                                    * s->interval);
            if (due >= to) {
                break;
            }
            if (due > l->now || burst == LOAD_BURST) {
                next = due < next ? due : next;
                break;
            }
            load_sched_act(l, s, due);
            s->k++;
        }
    }
    return next;
}


static void
load_sched_act(load_t *l, load_sched_t *s, int64_t due)
{
    load_conn_t  *c;
    load_pool_t  *pool;

    switch (s->what) {
    case LOAD_DUE_SEND:
        load_sched_send(l, s, due);
        return;
    case LOAD_DUE_READ:
        load_sched_read(l, due);
        return;
    case LOAD_DUE_CHURN:
        pool = &l->pool[LOAD_POOL_CHURN];
        c = &pool->conn[s->k % pool->n];
        if (c->state == LOAD_READY) {
            load_conn_close(c, NULL);
        } else if (c->state == LOAD_CLOSED) {
            load_conn_open(c);
        }
        return;
    }
}


static void
load_sched_send(load_t *l, load_sched_t *s, int64_t due)
{
    int              counted;
    load_conn_t     *c;
    load_slot_t     *slot;
    load_payload_t   p;

    counted = load_counted(due);
    c = s->conn[s->k % s->n];
    slot = &c->slot[s->slot];
    if (c->state != LOAD_READY) {
        load_add(l, unsent, counted);
        return;
    }
    p.stream = c->user;
    p.n = ++slot->n;
    p.due = due;
    if (counted) {
        /* before the answer can arrive */
        load_inc(l, sent);
        load_add(l, expected, s->fan);
    }
    if (c->proto->send(c, slot, &p) != 0) {
        load_add(l, unsent, counted);
        return;
    }
    if (counted) {
        load_rec(l, BEHIND, load_ns() - due);
    }
}


/* The next idle connection; if there is none, the next connection. */
static void
load_sched_read(load_t *l, int64_t due)
{
    uint32_t      i;
    load_conn_t  *c, *any;
    load_pool_t  *pool;

    pool = &l->pool[LOAD_POOL_AUX];
    any = NULL;
    for (i = 0; i < pool->n; i++) {
        c = &pool->conn[l->read_pos++ % pool->n];
        if (c->state != LOAD_READY) {
            continue;
        }
        any = c;
        if (c->fifo == 0) {
            break;
        }
    }
    if (any == NULL || load_http_get(any, due) != 0) {
        load_add(l, unsent, load_counted(due));
        return;
    }
    load_add(l, reads, load_counted(due));
}


/* After an entry: sends `delivered` after 64 entries or 200 ms. */
void
load_mark_later(load_conn_t *c)
{
    int      i;
    load_t  *l = c->load;

    for (i = 0; i < LOAD_SLOTS; i++) {
        if (c->slot[i].seq >= c->slot[i].marked + LOAD_MARK_MAX
            && c->slot[i].marked != 0)
        {
            load_mark_now(c);
            return;
        }
        if (c->slot[i].marked == 0 && c->slot[i].seq != 0) {
            c->slot[i].marked = c->slot[i].seq - 1;     /* first entry */
        }
    }
    if (c->mark_at == 0) {
        c->mark_at = l->now + LOAD_MARK_NS;
    }
    if (c->mark_linked) {
        return;
    }
    c->mark_linked = 1;
    c->mark_next = NULL;
    if (l->marks == NULL) {
        l->marks = c;
    } else {
        l->marks_tail->mark_next = c;
    }
    l->marks_tail = c;
}


static void
load_mark_now(load_conn_t *c)
{
    int           i;
    load_slot_t  *slot;

    c->mark_at = 0;
    for (i = 0; i < LOAD_SLOTS; i++) {
        slot = &c->slot[i];
        if (slot->kind == LOAD_NO_CHAT || slot->seq <= slot->marked
            || c->state < LOAD_LOGIN || c->proto->mark == NULL)
        {
            continue;
        }
        c->proto->mark(c, slot);
        if (c->state == LOAD_CLOSED) {
            return;
        }
        slot->marked = slot->seq;
        load_inc(c->load, marks);
    }
}


/* The list is ordered by deadline, except for a connection that sent a receipt
 * early and has a new deadline: such a connection is moved to the end. */
int64_t
load_marks_run(load_t *l)
{
    load_conn_t  *c, *next;

    while ((c = l->marks) != NULL) {
        next = c->mark_next;
        if (c->mark_at > l->now
            && (next == NULL || next->mark_at >= c->mark_at))
        {
            return c->mark_at;
        }
        l->marks = next;
        c->mark_next = NULL;
        if (c->mark_at > l->now) {
            l->marks_tail->mark_next = c;
            l->marks_tail = c;
            continue;
        }
        c->mark_linked = 0;
        if (c->mark_at != 0) {
            load_mark_now(c);
        }
    }
    return LOAD_FAR;
}
