/*
 * chatload.c: the load tool: the phases of a run.
 *
 *     chatload WORKLOAD --port P [--option value ...]
 *
 * Called from tests/bench/__main__.py and by hand. Forks the loaders, waits
 * until all clients are connected, starts the sending, prints progress, and
 * ends the run; then calls load_report.c. See load.h for an overview. Exits
 * with 0 when the run was completed, whatever the results are, with 2 for
 * wrong options, and with 1 when the run failed.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "load_report.h"
#include "load_setup.h"

#define SEC  1000000000ll

static volatile sig_atomic_t  load_interrupted;
static char                   load_pids[128];   /* the loaders, for --cpu */

static int load_fork(const load_opt_t *opt, pid_t *pid);
static void load_run(load_report_t *r);
static void load_connect(load_report_t *r);
static void load_measure(load_report_t *r, int64_t from, int64_t to);
static void load_drain(const load_report_t *r);
static void load_second(load_report_t *r, int64_t from,
    struct hdr_histogram **last);
static int load_ended(const load_report_t *r);
static void load_sleep_until(int64_t at);


static void
load_signal(int sig)
{
    load_interrupted = 1;
}


int
main(int argc, char **argv)
{
    int                   i, rc;
    char                  path[1024];
    pid_t                 pid[LOAD_PROCS_MAX];
    load_opt_t            opt;
    struct rlimit         files;
    struct sigaction      sa;
    static load_report_t  report;

    if (load_opt_parse(argc, argv, &opt) != 0) {
        return 2;
    }
    if (opt.keys != NULL && load_names_open(opt.keys) != 0) {
        return 1;
    }
    if (opt.workload == LOAD_SETUP) {
        return load_setup(&opt) == 0 ? 0 : 1;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = load_signal;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);

    report.opt = &opt;
    if (load_stat_create(opt.procs) != 0
        || load_cpu_take(opt.cpu, 1, &report.before) != 0)
    {
        return 1;
    }
    load_shared->run = (uint32_t) (time(NULL) * 2654435761u ^ getpid());
    if (load_fork(&opt, pid) != 0) {
        return 1;
    }

    load_run(&report);

    atomic_store(&load_shared->stop, 1);
    rc = 0;
    for (i = 0; i < opt.procs; i++) {
        int  status;

        waitpid(pid[i], &status, 0);
        if (status != 0) {
            fprintf(stderr, "chatload: a loader ended with %d\n", status);
            rc = 1;
        }
    }

    for (i = 0; i < LOAD_NHIST; i++) {
        report.hist[i] = load_stat_merge((load_hist_e) i);
        if (report.hist[i] == NULL) {
            return 1;
        }
    }
    load_report_table(&report);
    if (opt.out != NULL) {
        snprintf(path, sizeof(path), "%s.json", opt.out);
        rc |= load_report_json(&report, path) != 0;
        snprintf(path, sizeof(path), "%s.png", opt.out);
        if (load_plot(&report, path) != 0) {
            fputs("chatload: no plot, is gnuplot installed?\n", stderr);
        }
    }
    return rc;
}


static int
load_fork(const load_opt_t *opt, pid_t *pid)
{
    int     i;
    load_t  l;

    fflush(NULL);
    for (i = 0; i < opt->procs; i++) {
        pid[i] = fork();
        if (pid[i] == -1) {
            perror("chatload: fork");
            atomic_store(&load_shared->stop, 1);
            return -1;
        }
        if (pid[i] != 0) {
            snprintf(load_pids + strlen(load_pids),
                     sizeof(load_pids) - strlen(load_pids), "%s%d",
                     i ? "," : "", (int) pid[i]);
            continue;
        }
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_TIMERSLACK, 1000ul);   /* ns; default 50,000 */
        signal(SIGINT, SIG_IGN);        /* the parent stops the loaders */
        memset(&l, 0, sizeof(l));
        l.opt = opt;
        l.stat = &load_shared->loader[i];
        l.index = i;
        l.rand = 0x9e3779b97f4a7c15ull * (load_shared->run + (uint64_t) i
                                          + 1);
        if (load_tls_init(opt) != 0 || load_plan(&l) != 0) {
            fputs("chatload: a loader cannot begin\n", stderr);
            _exit(1);
        }
        _exit(load_loop_run(&l));
    }
    return 0;
}


/* connect and catchup count while the connections are opened; the other
 * workloads count when all clients are connected. */
static void
load_run(load_report_t *r)
{
    int64_t            now, from, to;
    const load_opt_t  *opt = r->opt;

    now = load_ns();
    if (opt->workload == LOAD_CATCHUP || opt->workload == LOAD_CONNECT) {
        from = now + (opt->workload == LOAD_CONNECT
                      ? (int64_t) (opt->warm * SEC) : 0);
        to = opt->workload == LOAD_CONNECT
             ? from + (int64_t) (opt->secs * SEC)
             : from + (int64_t) (opt->patience * SEC);
        atomic_store(&load_shared->to, to);
        atomic_store(&load_shared->from, from);
        atomic_store(&load_shared->base, now);
        load_measure(r, from, to);
        if (opt->workload == LOAD_CATCHUP) {
            r->ready = load_stat_sum(LOAD_C_ready);
        }
        return;
    }

    load_connect(r);
    now = load_ns();
    from = now + SEC / 10 + (int64_t) (opt->warm * SEC);
    to = from + (int64_t) (opt->secs * SEC);
    atomic_store(&load_shared->to, to);
    atomic_store(&load_shared->from, from);
    atomic_store(&load_shared->base, now + SEC / 10);
    load_measure(r, from, to);
    load_drain(r);
}


static void
load_connect(load_report_t *r)
{
    int                i, all;
    int64_t            began, now, said;
    uint64_t           failed;
    const load_opt_t  *opt = r->opt;

    began = load_ns();
    said = began;
    for ( ;; ) {
        load_sleep_until(load_ns() + SEC / 50);
        now = load_ns();
        all = 1;
        r->planned = 0;
        for (i = 0; i < opt->procs; i++) {
            all &= load_shared->loader[i].planned != 0;
            r->planned += load_shared->loader[i].planned;
        }
        r->ready = load_stat_sum(LOAD_C_ready);
        failed = load_stat_sum(LOAD_C_failed)
                 + load_stat_sum(LOAD_C_lost_connections);
        if (!opt->quiet && now - said > SEC) {
            said = now;
            fprintf(stderr, "  connecting: %llu of %llu, %llu failed\n",
                    (unsigned long long) r->ready,
                    (unsigned long long) r->planned,
                    (unsigned long long) failed);
        }
        if ((all && r->ready + failed >= r->planned) || load_interrupted
            || now - began > (int64_t) (opt->patience * SEC))
        {
            break;
        }
    }
    r->connect_secs = (double) (load_ns() - began) / SEC;
}


static void
load_measure(load_report_t *r, int64_t from, int64_t to)
{
    int64_t                tick, end;
    load_cpu_t             tool[2];
    struct hdr_histogram  *last;

    load_sleep_until(from);
    load_cpu_take(load_pids, 0, &tool[0]);
    load_cpu_take(r->opt->cpu, 1, &r->start);
    last = load_stat_merge(load_report_subject(r->opt));
    for (tick = from + SEC; ; tick += SEC) {
        do {
            load_sleep_until(load_ns() + SEC / 50 < tick
                             ? load_ns() + SEC / 50 : tick);
        } while (load_ns() < tick && load_ns() < to && !load_interrupted
                 && !load_ended(r));
        load_second(r, from, &last);
        if (load_ns() >= to || load_interrupted || load_ended(r)) {
            break;
        }
    }
    hdr_close(last);
    end = load_ns();
    load_cpu_take(r->opt->cpu, 0, &r->end);
    if (end < to) {
        atomic_store(&load_shared->to, end);
    }
    load_cpu_take(load_pids, 0, &tool[1]);
    r->secs = (double) ((end < to ? end : to) - from) / SEC;
    r->cpu_secs = (double) (r->end.at - r->start.at) / SEC;
    r->tool_cpu = (double) load_cpu_since(&tool[0], &tool[1], NULL)
                  * load_tick_us() / 1e6 / r->cpu_secs;
}


/* catchup: every connection has caught up or has ended */
static int
load_ended(const load_report_t *r)
{
    return r->opt->workload == LOAD_CATCHUP
           && load_stat_sum(LOAD_C_ready) + load_stat_sum(LOAD_C_failed)
              + load_stat_sum(LOAD_C_lost_connections)
              >= (uint64_t) r->opt->users;
}


/* Waits for messages that are still under way. */
static void
load_drain(const load_report_t *r)
{
    int64_t  until;

    until = load_ns() + (int64_t) (r->opt->drain * SEC);
    while (load_ns() < until && !load_interrupted) {
        if (load_stat_sum(LOAD_C_received) >= load_stat_sum(LOAD_C_expected)
            && load_stat_sum(LOAD_C_pages) + load_stat_sum(LOAD_C_bad_pages)
               >= load_stat_sum(LOAD_C_reads)
            && (load_stat_sum(LOAD_C_acked) == 0
                || load_stat_sum(LOAD_C_acked)
                   >= load_stat_sum(LOAD_C_sent)))
        {
            return;
        }
        load_sleep_until(load_ns() + SEC / 50);
    }
}


static void
load_second(load_report_t *r, int64_t from, struct hdr_histogram **last)
{
    load_cpu_t             cpu;
    load_point_t          *p;
    struct hdr_histogram  *now, *since;
    static int64_t         at, ticks;
    static double          had[3];
    double                 have[3], secs;

    if (at == 0) {
        at = r->start.at;
        ticks = load_cpu_since(&(load_cpu_t) { .n = 0 }, &r->start, NULL);
    }
    load_cpu_take(r->opt->cpu, 0, &cpu);
    secs = (double) (cpu.at - at) / SEC;
    if (secs <= 0 || r->npoints == LOAD_POINTS_MAX) {
        return;
    }
    now = load_stat_merge(load_report_subject(r->opt));
    since = load_stat_merge(load_report_subject(r->opt));
    load_stat_since(since, *last);
    hdr_close(*last);
    *last = now;

    p = &r->point[r->npoints++];
    have[0] = (double) (load_stat_sum(LOAD_C_sent)
                        + load_stat_sum(LOAD_C_reads)
                        + load_stat_sum(LOAD_C_done));
    have[1] = (double) load_stat_sum(LOAD_C_acked);
    have[2] = (double) (load_stat_sum(LOAD_C_received)
                        + load_stat_sum(LOAD_C_pages));
    p->t = (double) (cpu.at - from) / SEC;
    p->sent = (have[0] - had[0]) / secs;
    p->acked = (have[1] - had[1]) / secs;
    p->received = (have[2] - had[2]) / secs;
    p->p50 = since->total_count
             ? (double) hdr_value_at_percentile(since, 50) / 1000 : 0;
    p->p99 = since->total_count
             ? (double) hdr_value_at_percentile(since, 99) / 1000 : 0;
    hdr_close(since);
    p->cpu = (double) (load_cpu_since(&(load_cpu_t) { .n = 0 }, &cpu, NULL)
                       - ticks) * load_tick_us() / 1e6 / secs;
    memcpy(had, have, sizeof(had));
    ticks = load_cpu_since(&(load_cpu_t) { .n = 0 }, &cpu, NULL);
    at = cpu.at;

    if (!r->opt->quiet) {
        fprintf(stderr, "  %5.1f s  sent %8.1f/s  acked %8.1f/s  received "
                "%8.1f/s  p50 %7.2f  p99 %8.2f ms  under way %lld  doubled "
                "%llu  servers %.2f cores\n", p->t, p->sent, p->acked,
                p->received, p->p50, p->p99,
                (long long) load_stat_sum(LOAD_C_expected)
                    - (long long) load_stat_sum(LOAD_C_received),
                (unsigned long long) load_stat_sum(LOAD_C_doubled),
                p->cpu);
    }
}


static void
load_sleep_until(int64_t at)
{
    struct timespec  ts;

    ts.tv_sec = at / SEC;
    ts.tv_nsec = at % SEC;
    while (!load_interrupted
           && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL)
              == EINTR)
    { /* void */ }
}
