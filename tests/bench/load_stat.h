/*
 * load_stat.h: the figures of a run, in memory shared by parent and loaders.
 *
 * Each loader writes its own load_stat_t and the parent reads all of them
 * while they run: numbers only rise, so a torn read is at worst a second old.
 * `sent`, `acked`, `expected`, `received` and the histograms count only
 * messages that were due in the window [from, to).
 */

#ifndef LOAD_STAT_H
#define LOAD_STAT_H

#include <stdatomic.h>
#include <stdint.h>

#include "load.h"
#include "hdr_histogram.h"

#define LOAD_WHY_MAX   12
#define LOAD_HIST_TOP  600000000ll      /* us */

/* one histogram each, us */
#define LOAD_HISTS(X)                                                        \
    X(DELIVERY, "delivery")     /* due to received by the other             */\
    X(ACK,      "ack")          /* due to acknowledged                      */\
    X(COMMIT,   "commit")       /* due to the timestamp of the entry        */\
    X(FANOUT,   "fanout")       /* that timestamp to received by the other  */\
    X(CONNECT,  "connect")      /* TCP connect to welcome                   */\
    X(SYNC,     "ready")        /* TCP connect to caught up                 */\
    X(READ,     "read")         /* due to the whole page                    */\
    X(BEHIND,   "behind")       /* due to written to the socket: the delay of
                                   the tool itself                           */

typedef enum {
#define X(name, word)  LOAD_H_ ## name,
    LOAD_HISTS(X)
#undef X
    LOAD_NHIST
} load_hist_e;

/* counters; the word is the key in the JSON */
#define LOAD_COUNTS(X)                                                       \
    X(opened)           /* connections started                              */\
    X(tls_resumed)                                                            \
    X(welcomed)                                                               \
    X(ready)            /* connections that are ready now                   */\
    X(failed)           /* connections that ended before ready              */\
    X(lost_connections) /* connections that ended while ready               */\
    X(done)             /* connect: cycles completed                        */\
    X(sent)                                                                   \
    X(unsent)           /* due, but the connection was closed               */\
    X(acked)                                                                  \
    X(ack_disordered)                                                         \
    X(ack_doubled)                                                            \
    X(expected)         /* deliveries that `sent` should cause              */\
    X(received)         /* distinct deliveries                              */\
    X(disordered)                                                             \
    X(doubled)                                                                \
    X(seq_gaps)         /* entries missing in the order of a chat           */\
    X(seq_doubled)                                                            \
    X(entries)          /* entries and acks of any kind, window or not      */\
    X(stray)            /* messages that are not of this run                */\
    X(refused)          /* error frames                                     */\
    X(marks)            /* `delivered` and `read` sent                      */\
    X(receipts)                                                               \
    X(presences)        /* users in presence frames                         */\
    X(reads)            /* pages requested                                  */\
    X(pages)            /* correct pages                                    */\
    X(bad_pages)                                                              \
    X(bytes_in)                                                               \
    X(bytes_out)

typedef enum {
#define X(name)  LOAD_C_ ## name,
    LOAD_COUNTS(X)
#undef X
    LOAD_NCOUNT
} load_count_e;

typedef struct {
    char         word[40];
    uint64_t     n;
} load_why_t;

struct load_stat_s {
    uint64_t              count[LOAD_NCOUNT];
    load_why_t            why[LOAD_WHY_MAX];    /* of failures, refusals    */
    struct hdr_histogram  hist[LOAD_NHIST];
    uint64_t              planned;      /* connections of this loader       */
    int                   finished;     /* the loader has left its loop     */
};

typedef struct {
    uint32_t         run;           /* identifies this run's messages       */
    _Atomic int64_t  base;          /* ns: sending starts; 0: not yet       */
    _Atomic int64_t  from;          /* ns: counting starts                  */
    _Atomic int64_t  to;            /* ns: sending and counting end         */
    _Atomic int      stop;
    int              procs;
    load_stat_t      loader[LOAD_PROCS_MAX];
} load_shared_t;

extern load_shared_t  *load_shared;
extern const char     *load_count_words[LOAD_NCOUNT];
extern const char     *load_hist_words[LOAD_NHIST];

int load_stat_create(int procs);        /* 0, or -1                         */
uint64_t load_stat_sum(load_count_e c);
/* A new histogram of all loaders; free it with hdr_close(). */
struct hdr_histogram *load_stat_merge(load_hist_e h);
/* Subtracts b from a: a then has the values recorded since b. */
void load_stat_since(struct hdr_histogram *a, const struct hdr_histogram *b);
void load_stat_why(load_stat_t *s, const char *word, size_t len);

/* 1 if due is in the counted window */
static inline int
load_counted(int64_t due)
{
    int64_t  from;

    from = atomic_load_explicit(&load_shared->from, memory_order_relaxed);
    return from != 0 && due >= from
           && due < atomic_load_explicit(&load_shared->to,
                                         memory_order_relaxed);
}

#define load_inc(l, name)     ((l)->stat->count[LOAD_C_ ## name]++)
#define load_add(l, name, v)  ((l)->stat->count[LOAD_C_ ## name] += (v))
#define load_rec(l, name, ns)                                                \
    hdr_record_value(&(l)->stat->hist[LOAD_H_ ## name],                      \
                     (ns) < 1000 ? 1 : (ns) / 1000)

#endif
