/*
 * load_report.h: the data that the parent has collected after a run.
 */

#ifndef LOAD_REPORT_H
#define LOAD_REPORT_H

#include <stdint.h>

#include "load_stat.h"

#define LOAD_CPU_GROUPS  24
#define LOAD_POINTS_MAX  4000

/* all processes of one name */
typedef struct {
    char      name[32];
    int       procs;
    int64_t   ticks;            /* user + system, children that ended too   */
    int64_t   pss;              /* KB; -1 unless asked for                  */
} load_cpu_group_t;

typedef struct {
    int               n;
    load_cpu_group_t  group[LOAD_CPU_GROUPS];
    int64_t           at;       /* ns                                       */
    int64_t           slab;     /* KB: kernel memory of the whole machine   */
    int64_t           tcp;      /* KB: socket buffers                       */
} load_cpu_t;

/* one second of the run */
typedef struct {
    double    t;                /* s since counting began                   */
    double    sent, acked, received;            /* per second               */
    double    p50, p99;         /* ms, of the load_report_subject()         */
    double    cpu;              /* cores, all servers                       */
} load_point_t;

typedef struct {
    const load_opt_t  *opt;
    load_cpu_t         before;  /* before the first connection              */
    load_cpu_t         start;   /* counting begins; all are connected       */
    load_cpu_t         end;
    double             secs;    /* actual time of counting                  */
    double             cpu_secs;    /* from `start` to `end`: about `secs`  */
    double             connect_secs;
    double             tool_cpu;    /* cores, the loaders                   */
    uint64_t           planned;
    uint64_t           ready;
    int                npoints;
    load_point_t       point[LOAD_POINTS_MAX];
    struct hdr_histogram  *hist[LOAD_NHIST];
} load_report_t;

/* roots: pids separated by commas, or NULL. 0, or -1 when one has ended. */
int load_cpu_take(const char *roots, int with_pss, load_cpu_t *r);
/* ticks of b minus ticks of a, for one group name or (NULL) all groups */
int64_t load_cpu_since(const load_cpu_t *a, const load_cpu_t *b,
    const char *name);
int64_t load_cpu_pss(const load_cpu_t *c, const char *name);
double load_tick_us(void);

/* the latency that points, plot and verdict use: DELIVERY, READ ... */
load_hist_e load_report_subject(const load_opt_t *opt);
/* 1 when the rate was sustained: nothing missing, p99 below 100 ms */
int load_report_held(const load_report_t *r);
void load_report_table(const load_report_t *r);
int load_report_json(const load_report_t *r, const char *path);
int load_plot(const load_report_t *r, const char *path);

#endif
