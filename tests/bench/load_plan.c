/*
 * load_plan.c: plans the connections, chats and senders of a loader.
 *
 * Called once from a loader before its loop. Each loader gets an equal range
 * of the users and an equal part of the rate. Opens no connections.
 */

#include <stdio.h>
#include <stdlib.h>

#include "load_stat.h"

static uint32_t load_cut(const load_t *l, int i);
static int load_plan_pool(load_t *l, int role, uint32_t n,
    const load_proto_t *proto);
static int load_plan_pairs(load_t *l, uint32_t lo, uint32_t hi, int slot);
static int load_plan_groups(load_t *l, uint32_t lo, uint32_t hi, int slot);
static load_sched_t *load_plan_sched(load_t *l, int what, uint32_t senders,
    double rate);
static int load_plan_sender(load_t *l, load_sched_t *s, load_conn_t *c,
    int slot);
static int load_plan_reads(load_t *l, double rate);


int
load_plan(load_t *l)
{
    uint32_t           i, n, lo, hi;
    const load_opt_t  *opt = l->opt;

    lo = load_cut(l, l->index);
    hi = load_cut(l, l->index + 1);
    n = hi - lo;
    if (opt->workload == LOAD_CONNECT) {
        n = ((uint32_t) opt->concurrency + (uint32_t) opt->procs - 1)
            / (uint32_t) opt->procs;
        l->next_user = lo;
    }
    if (opt->workload == LOAD_HISTORY) {
        n = 0;
    }
    if (load_plan_pool(l, LOAD_POOL_MAIN, n, opt->proto) != 0) {
        return -1;
    }
    for (i = 0; i < n; i++) {
        l->pool[LOAD_POOL_MAIN].conn[i].user =
            opt->workload == LOAD_CATCHUP ? 2 * (lo + i) : lo + i;
    }

    switch (opt->workload) {
    case LOAD_PAIRS:
        return load_plan_pairs(l, lo, hi, 0) != 0
               || load_plan_reads(l, opt->reads) != 0 ? -1 : 0;
    case LOAD_GROUP:
        return load_plan_groups(l, lo, hi, 0);
    case LOAD_HISTORY:
        return load_plan_reads(l, opt->rate);
    case LOAD_CATCHUP:
        load_add(l, expected, (uint64_t) n * (uint64_t) opt->depth);
        return 0;
    case LOAD_MIX:
        if (load_plan_groups(l, lo, hi, 1) != 0
            || load_plan_pairs(l, lo, hi, 0) != 0
            || load_plan_reads(l, opt->reads) != 0)
        {
            return -1;
        }
        /* a visit closes or opens: two visits are one reconnect */
        n = (uint32_t) (opt->churn * 10 / opt->procs) + 10;
        if (load_plan_pool(l, LOAD_POOL_CHURN, n, opt->proto) != 0) {
            return -1;
        }
        for (i = 0; i < n; i++) {
            l->pool[LOAD_POOL_CHURN].conn[i].user = (uint32_t)
                (opt->first + opt->users) + (uint32_t) l->index * n + i;
        }
        return load_plan_sched(l, LOAD_DUE_CHURN, 0,
                               opt->churn * 2 / opt->procs) ? 0 : -1;
    }
    return 0;
}


/* An even number, so that no pair is split. */
static uint32_t
load_cut(const load_t *l, int i)
{
    uint64_t  at;

    at = (uint64_t) l->opt->users * (uint64_t) i / (uint64_t) l->opt->procs;
    if (i < l->opt->procs) {
        at &= ~1ull;
    }
    return (uint32_t) l->opt->first + (uint32_t) at;
}


static int
load_plan_pool(load_t *l, int role, uint32_t n, const load_proto_t *proto)
{
    uint32_t      i;
    load_pool_t  *pool;

    pool = &l->pool[role];
    pool->n = n;
    if (n == 0) {
        return 0;
    }
    pool->conn = calloc(n, sizeof(load_conn_t));
    if (pool->conn == NULL) {
        return -1;
    }
    for (i = 0; i < n; i++) {
        pool->conn[i].fd = -1;
        pool->conn[i].role = (uint8_t) role;
        pool->conn[i].proto = proto;
        pool->conn[i].load = l;
    }
    l->stat->planned += n;
    return 0;
}


static int
load_plan_pairs(load_t *l, uint32_t lo, uint32_t hi, int slot)
{
    double             rate;
    uint32_t           i, n, all;
    load_conn_t       *c;
    load_sched_t      *s;
    const load_opt_t  *opt = l->opt;

    all = (uint32_t) opt->users;
    rate = opt->rate;
    n = hi - lo;
    if (opt->workload == LOAD_MIX) {
        /* at most 1,000 of the users are also in pairs */
        if (all > 1000) {
            n = (uint32_t) (1000 / opt->procs) & ~1u;
            all = n * (uint32_t) opt->procs;
        }
        rate -= opt->group_rate;
    }
    s = load_plan_sched(l, LOAD_DUE_SEND, n, rate * n / all);
    if (s == NULL) {
        return -1;
    }
    s->fan = 1;
    for (i = 0; i < n; i++) {
        c = &l->pool[LOAD_POOL_MAIN].conn[i];
        c->slot[slot].kind = LOAD_PAIR;
        c->slot[slot].checked = 1;
        c->slot[slot].peer = c->user ^ 1;
        c->proto->name_chat(c, &c->slot[slot]);
        if (load_plan_sender(l, s, c, slot) != 0) {
            return -1;
        }
    }
    return 0;
}


static int
load_plan_groups(load_t *l, uint32_t lo, uint32_t hi, int slot)
{
    double             rate;
    uint32_t           i, u, n, members, senders;
    load_conn_t       *c;
    load_sched_t      *s;
    const load_opt_t  *opt = l->opt;

    members = (uint32_t) opt->members;
    senders = (uint32_t) opt->senders;
    n = 0;
    for (u = lo; u < hi; u++) {
        n += (u - (uint32_t) opt->first) % members < senders;
    }
    rate = opt->workload == LOAD_MIX ? opt->group_rate : opt->rate;
    rate = rate * n / (opt->groups * opt->senders);
    s = load_plan_sched(l, LOAD_DUE_SEND, n, rate);
    if (s == NULL) {
        return -1;
    }
    s->fan = members - 1;
    for (i = 0; i < hi - lo; i++) {
        u = lo + i - (uint32_t) opt->first;
        c = &l->pool[LOAD_POOL_MAIN].conn[i];
        c->slot[slot].kind = LOAD_IN_GROUP;
        c->slot[slot].checked = senders == 1;
        c->slot[slot].peer = u / members;
        c->proto->name_chat(c, &c->slot[slot]);
        if (u % members < senders
            && load_plan_sender(l, s, c, slot) != 0)
        {
            return -1;
        }
    }
    return 0;
}


/* Allocates a schedule; also without senders it is never NULL for that. */
static load_sched_t *
load_plan_sched(load_t *l, int what, uint32_t senders, double rate)
{
    load_sched_t  *s;

    if (l->nsched == LOAD_SCHEDS) {
        return NULL;
    }
    s = &l->sched[l->nsched++];
    s->what = (uint8_t) what;
    s->interval = rate > 0 ? 1e9 / rate : 0;
    s->phase = (double) l->index / l->opt->procs;
    if (senders == 0) {
        if (what == LOAD_DUE_SEND) {
            s->interval = 0;
        }
        return s;
    }
    s->conn = calloc(senders, sizeof(load_conn_t *));
    if (s->conn == NULL) {
        return NULL;
    }
    if (l->opt->proto == &load_proto_nchan
        && load_plan_pool(l, LOAD_POOL_AUX, senders, &load_proto_nchan_pub)
           != 0)
    {
        return NULL;
    }
    return s;
}


/* With nchan the user publishes on a second connection. */
static int
load_plan_sender(load_t *l, load_sched_t *s, load_conn_t *c, int slot)
{
    load_conn_t  *pub;

    if (l->opt->proto == &load_proto_nchan) {
        pub = &l->pool[LOAD_POOL_AUX].conn[s->n];
        pub->user = c->user;
        pub->slot[0] = c->slot[slot];
        c = pub;
        slot = 0;
    }
    s->slot = (uint8_t) slot;
    s->conn[s->n++] = c;
    return 0;
}


static int
load_plan_reads(load_t *l, double rate)
{
    uint32_t  n;

    if (rate <= 0) {
        return 0;
    }
    n = (uint32_t) (l->opt->readers + l->opt->procs - 1)
        / (uint32_t) l->opt->procs;
    if (load_plan_pool(l, LOAD_POOL_AUX, n, &load_proto_rest) != 0) {
        return -1;
    }
    return load_plan_sched(l, LOAD_DUE_READ, 0, rate / l->opt->procs)
           ? 0 : -1;
}
