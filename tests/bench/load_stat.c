/*
 * load_stat.c: the figures of a run, in memory shared by parent and loaders.
 *
 * Called from chatload.c before it forks, from every part of a loader, and
 * from load_report.c; calls HdrHistogram. The counters of a histogram are in
 * the shared mapping, which has the same address in every process.
 */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "load_stat.h"

load_shared_t  *load_shared;

const char  *load_count_words[LOAD_NCOUNT] = {
#define X(name)  #name,
    LOAD_COUNTS(X)
#undef X
};

const char  *load_hist_words[LOAD_NHIST] = {
#define X(name, word)  word,
    LOAD_HISTS(X)
#undef X
};


int
load_stat_create(int procs)
{
    int                                 i, h;
    size_t                              head, each;
    uint8_t                            *p;
    load_stat_t                        *s;
    struct hdr_histogram_bucket_config  cfg;

    if (hdr_calculate_bucket_config(1, LOAD_HIST_TOP, 3, &cfg) != 0) {
        return -1;
    }
    head = (sizeof(load_shared_t) + 63) & ~(size_t) 63;
    each = (size_t) cfg.counts_len * sizeof(int64_t);

    p = mmap(NULL, head + each * LOAD_NHIST * procs, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        perror("chatload: mmap");
        return -1;
    }
    load_shared = (load_shared_t *) p;
    load_shared->procs = procs;
    p += head;

    for (i = 0; i < procs; i++) {
        s = &load_shared->loader[i];
        for (h = 0; h < LOAD_NHIST; h++) {
            hdr_init_preallocated(&s->hist[h], &cfg);
            s->hist[h].counts = (int64_t *) p;
            p += each;
        }
    }
    return 0;
}


uint64_t
load_stat_sum(load_count_e c)
{
    int       i;
    uint64_t  n;

    n = 0;
    for (i = 0; i < load_shared->procs; i++) {
        n += *(volatile uint64_t *) &load_shared->loader[i].count[c];
    }
    return n;
}


struct hdr_histogram *
load_stat_merge(load_hist_e h)
{
    int                    i;
    struct hdr_histogram  *all;

    if (hdr_init(1, LOAD_HIST_TOP, 3, &all) != 0) {
        return NULL;
    }
    for (i = 0; i < load_shared->procs; i++) {
        hdr_add(all, &load_shared->loader[i].hist[h]);
    }
    return all;
}


void
load_stat_since(struct hdr_histogram *a, const struct hdr_histogram *b)
{
    int32_t  i;

    for (i = 0; i < a->counts_len && i < b->counts_len; i++) {
        a->counts[i] -= b->counts[i];
    }
    hdr_reset_internal_counters(a);
}


void
load_stat_why(load_stat_t *s, const char *word, size_t len)
{
    int          i;
    load_why_t  *w;

    if (len >= sizeof(s->why[0].word)) {
        len = sizeof(s->why[0].word) - 1;
    }
    for (i = 0; i < LOAD_WHY_MAX; i++) {
        w = &s->why[i];
        if (w->n == 0) {
            memcpy(w->word, word, len);
            w->word[len] = '\0';
        }
        if (strncmp(w->word, word, len) == 0 && w->word[len] == '\0') {
            w->n++;
            return;
        }
    }
    s->why[LOAD_WHY_MAX - 1].n++;
}
