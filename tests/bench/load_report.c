/*
 * load_report.c: the table and the JSON at the end of a run.
 *
 * Called from chatload.c; writes to stdout and to a file. The table has the
 * speed together with the counts of missing, doubled and disordered messages.
 */

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "load_report.h"

#define LOAD_P99_LIMIT  100.0           /* ms */

static const double  load_percentiles[] = {
    50, 75, 90, 95, 99, 99.9, 99.99, 100
};

static double load_ms(const struct hdr_histogram *h, double p);
static double load_units(const load_report_t *r, const char **word_r);
static void load_table_checks(void);
static void load_table_cpu(const load_report_t *r);
static void load_table_memory(const load_report_t *r);
static json_t *load_json_hists(const load_report_t *r);
static json_t *load_json_cpu(const load_report_t *r);
static json_t *load_json_options(const load_opt_t *opt);


load_hist_e
load_report_subject(const load_opt_t *opt)
{
    switch (opt->workload) {
    case LOAD_HISTORY:
        return LOAD_H_READ;
    case LOAD_CONNECT:
    case LOAD_IDLE:
        return LOAD_H_CONNECT;
    case LOAD_CATCHUP:
        return LOAD_H_SYNC;
    default:
        return LOAD_H_DELIVERY;
    }
}


static int64_t
load_missing(load_count_e of, load_count_e have)
{
    return (int64_t) load_stat_sum(of) - (int64_t) load_stat_sum(have);
}


int
load_report_held(const load_report_t *r)
{
    int64_t                      missing;
    const struct hdr_histogram  *h;

    missing = load_missing(LOAD_C_expected, LOAD_C_received)
              + load_missing(LOAD_C_reads, LOAD_C_pages)
              + (int64_t) load_stat_sum(LOAD_C_unsent)
              + (int64_t) load_stat_sum(LOAD_C_refused);
    h = r->hist[load_report_subject(r->opt)];
    if (missing != 0 || h->total_count == 0
        || load_ms(h, 99) >= LOAD_P99_LIMIT)
    {
        return 0;
    }
    h = r->hist[LOAD_H_ACK];
    return h->total_count == 0 || load_ms(h, 99) < LOAD_P99_LIMIT;
}


static double
load_ms(const struct hdr_histogram *h, double p)
{
    return h->total_count == 0
           ? 0 : (double) hdr_value_at_percentile(h, p) / 1000;
}


/* The number by which the servers' CPU time is divided. */
static double
load_units(const load_report_t *r, const char **word_r)
{
    switch (r->opt->workload) {
    case LOAD_GROUP:
        *word_r = "delivery";
        return (double) load_stat_sum(LOAD_C_received);
    case LOAD_CONNECT:
        *word_r = "connect";
        return (double) load_stat_sum(LOAD_C_done);
    case LOAD_CATCHUP:
        *word_r = "entry";
        return (double) load_stat_sum(LOAD_C_received);
    case LOAD_HISTORY:
        *word_r = "page";
        return (double) load_stat_sum(LOAD_C_pages);
    case LOAD_IDLE:
        *word_r = "connection and second";
        return (double) r->ready * r->secs;
    default:
        *word_r = "message";
        return (double) load_stat_sum(LOAD_C_sent);
    }
}


void
load_report_table(const load_report_t *r)
{
    int                          h, p, i;
    char                         word[16];
    double                       n;
    const load_why_t            *w;
    const struct hdr_histogram  *x;

    printf("\n%s %s %s\n", r->opt->proto_name, r->opt->workload_name,
           r->opt->title);
    printf("  connections  %llu of %llu ready in %.1f s, %llu failed, "
           "%llu lost\n",
           (unsigned long long) r->ready, (unsigned long long) r->planned,
           r->connect_secs,
           (unsigned long long) load_stat_sum(LOAD_C_failed),
           (unsigned long long) load_stat_sum(LOAD_C_lost_connections));
    for (i = 0; i < LOAD_NCOUNT; i++) {
        n = (double) load_stat_sum((load_count_e) i);
        if (n > 0 && (i == LOAD_C_done || i == LOAD_C_tls_resumed
                      || i == LOAD_C_sent
                      || i == LOAD_C_acked || i == LOAD_C_received
                      || i == LOAD_C_pages || i == LOAD_C_marks
                      || i == LOAD_C_receipts || i == LOAD_C_presences))
        {
            printf("  %-12s %.0f, %.1f/s\n", load_count_words[i], n,
                   n / r->secs);
        }
    }
    load_table_checks();
    for (i = 0; i < r->opt->procs; i++) {
        for (w = load_shared->loader[i].why;
             w < load_shared->loader[i].why + LOAD_WHY_MAX && w->n; w++)
        {
            printf("  why          %s: %llu\n", w->word,
                   (unsigned long long) w->n);
        }
    }

    printf("  ms        ");
    for (p = 0; p < 8; p++) {
        snprintf(word, sizeof(word), "p%g", load_percentiles[p]);
        printf("%9s", word);
    }
    printf("\n");
    for (h = 0; h < LOAD_NHIST; h++) {
        x = r->hist[h];
        if (x->total_count == 0) {
            continue;
        }
        printf("  %-8s", load_hist_words[h]);
        for (p = 0; p < 8; p++) {
            printf("%9.2f", load_ms(x, load_percentiles[p]));
        }
        printf("\n");
    }
    load_table_cpu(r);
    load_table_memory(r);
    printf("  held         %s\n", load_report_held(r) ? "yes" : "no");
    fflush(stdout);
}


static void
load_table_checks(void)
{
    printf("  LOST         deliveries %lld, acks %lld, pages %lld, unsent "
           "%llu, refused %llu\n",
           (long long) load_missing(LOAD_C_expected, LOAD_C_received),
           load_stat_sum(LOAD_C_acked) == 0
               ? 0ll : (long long) load_missing(LOAD_C_sent, LOAD_C_acked),
           (long long) load_missing(LOAD_C_reads, LOAD_C_pages),
           (unsigned long long) load_stat_sum(LOAD_C_unsent),
           (unsigned long long) load_stat_sum(LOAD_C_refused));
    printf("  DOUBLED      deliveries %llu, acks %llu, seq %llu\n",
           (unsigned long long) load_stat_sum(LOAD_C_doubled),
           (unsigned long long) load_stat_sum(LOAD_C_ack_doubled),
           (unsigned long long) load_stat_sum(LOAD_C_seq_doubled));
    printf("  DISORDERED   deliveries %llu, acks %llu, seq gaps %llu\n",
           (unsigned long long) load_stat_sum(LOAD_C_disordered),
           (unsigned long long) load_stat_sum(LOAD_C_ack_disordered),
           (unsigned long long) load_stat_sum(LOAD_C_seq_gaps));
}


static void
load_table_cpu(const load_report_t *r)
{
    int          i;
    double       us, units;
    const char  *word;

    printf("  tool         %.1f %% of a core\n", r->tool_cpu * 100);
    if (r->end.n == 0) {
        return;
    }
    units = load_units(r, &word);
    printf("  CPU          us per %s, %% of a core\n", word);
    for (i = 0; i <= r->end.n; i++) {
        us = (double) load_cpu_since(&r->start, &r->end, i == r->end.n
                                     ? NULL : r->end.group[i].name)
             * load_tick_us();
        printf("    %-22s %8.1f %8.1f\n",
               i == r->end.n ? "all servers" : r->end.group[i].name,
               units > 0 ? us / units : 0, us / r->cpu_secs / 1e4);
    }
}


static void
load_table_memory(const load_report_t *r)
{
    int          i;
    int64_t      a, b;
    const char  *name;

    if (r->start.n == 0 || r->ready == 0) {
        return;
    }
    printf("  memory       PSS KB before, connected, per connection\n");
    for (i = 0; i <= r->start.n; i++) {
        name = i == r->start.n ? NULL : r->start.group[i].name;
        a = load_cpu_pss(&r->before, name);
        b = load_cpu_pss(&r->start, name);
        printf("    %-22s %8lld %8lld %8.2f\n", name ? name : "all servers",
               (long long) a, (long long) b,
               (double) (b - a) / (double) r->ready);
    }
    printf("    %-22s %8lld %8lld %8.2f\n", "kernel (both ends)",
           (long long) (r->before.slab + r->before.tcp),
           (long long) (r->start.slab + r->start.tcp),
           (double) (r->start.slab + r->start.tcp - r->before.slab
                     - r->before.tcp) / (double) r->ready);
}


int
load_report_json(const load_report_t *r, const char *path)
{
    int          i, rc;
    json_t      *root, *counts, *why, *points, *old;
    load_why_t  *w;

    counts = json_object();
    for (i = 0; i < LOAD_NCOUNT; i++) {
        json_object_set_new(counts, load_count_words[i], json_integer(
            (json_int_t) load_stat_sum((load_count_e) i)));
    }
    why = json_object();
    for (i = 0; i < r->opt->procs * LOAD_WHY_MAX; i++) {
        w = &load_shared->loader[i / LOAD_WHY_MAX].why[i % LOAD_WHY_MAX];
        if (w->n == 0) {
            continue;
        }
        old = json_object_get(why, w->word);
        json_object_set_new(why, w->word, json_integer(
            (json_int_t) w->n + (old ? json_integer_value(old) : 0)));
    }
    points = json_array();
    for (i = 0; i < r->npoints; i++) {
        json_array_append_new(points, json_pack(
            "{s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "t", r->point[i].t,
            "sent", r->point[i].sent, "acked", r->point[i].acked,
            "received", r->point[i].received, "p50", r->point[i].p50,
            "p99", r->point[i].p99, "cores", r->point[i].cpu));
    }
    root = json_pack(
        "{s:s,s:s,s:s,s:b,s:o,s:f,s:f,s:f,s:I,s:I,s:o,s:I,s:I,s:o,s:o,s:o,"
        "s:o}",
        "proto", r->opt->proto_name, "workload", r->opt->workload_name,
        "title", r->opt->title, "held", load_report_held(r),
        "options", load_json_options(r->opt),
        "secs", r->secs, "connect_secs", r->connect_secs,
        "tool_cores", r->tool_cpu,
        "planned", (json_int_t) r->planned,
        "connected", (json_int_t) r->ready,
        "counts", counts,
        "lost", (json_int_t) load_missing(LOAD_C_expected, LOAD_C_received),
        "acks_lost", (json_int_t) (load_stat_sum(LOAD_C_acked) == 0
            ? 0 : load_missing(LOAD_C_sent, LOAD_C_acked)),
        "why", why, "ms", load_json_hists(r), "servers", load_json_cpu(r),
        "seconds", points);
    if (root == NULL) {
        fputs("chatload: the figures make no JSON\n", stderr);
        return -1;
    }
    rc = json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (rc != 0) {
        perror(path);
    }
    return rc;
}


static json_t *
load_json_hists(const load_report_t *r)
{
    int                          h, p;
    char                         key[16];
    json_t                      *all, *one;
    const struct hdr_histogram  *x;

    all = json_object();
    for (h = 0; h < LOAD_NHIST; h++) {
        x = r->hist[h];
        if (x->total_count == 0) {
            continue;
        }
        one = json_pack("{s:I,s:f}", "count", (json_int_t) x->total_count,
                        "mean", hdr_mean(x) / 1000);
        for (p = 0; p < 8; p++) {
            snprintf(key, sizeof(key), "p%g", load_percentiles[p]);
            json_object_set_new(one, key, json_real(
                load_ms(x, load_percentiles[p])));
        }
        json_object_set_new(all, load_hist_words[h], one);
    }
    return all;
}


/* Per group of processes; "all" is the sum. */
static json_t *
load_json_cpu(const load_report_t *r)
{
    int          i;
    double       us, units;
    json_t      *all;
    const char  *word, *name;

    units = load_units(r, &word);
    all = json_object();
    for (i = 0; i <= r->end.n && r->end.n > 0; i++) {
        name = i == r->end.n ? NULL : r->end.group[i].name;
        us = (double) load_cpu_since(&r->start, &r->end, name)
             * load_tick_us();
        json_object_set_new(all, name ? name : "all", json_pack(
            "{s:f,s:f,s:I,s:I}",
            "us_per_unit", units > 0 ? us / units : 0.0,
            "cores", us / r->cpu_secs / 1e6,
            "pss_before", (json_int_t) load_cpu_pss(&r->before, name),
            "pss_connected", (json_int_t) load_cpu_pss(&r->start, name)));
    }
    json_object_set_new(all, "kernel_kb_before", json_integer(
        r->before.slab + r->before.tcp));
    json_object_set_new(all, "kernel_kb_connected", json_integer(
        r->start.slab + r->start.tcp));
    json_object_set_new(all, "unit", json_string(word));
    return all;
}


static json_t *
load_json_options(const load_opt_t *o)
{
    return json_pack("{s:i,s:i,s:f,s:f,s:i,s:i,s:i,s:i,s:b,s:b,s:f,s:i,s:i,"
                     "s:i,s:f,s:f}",
                     "users", o->users, "size", o->size, "rate", o->rate,
                     "group_rate", o->group_rate, "groups", o->groups,
                     "members", o->members, "senders", o->senders,
                     "procs", o->procs, "receipts", o->receipts,
                     "tls", o->tls, "reads", o->reads,
                     "archives", o->archives, "depth", o->depth,
                     "concurrency", o->concurrency, "warm", o->warm,
                     "secs", o->secs);
}
