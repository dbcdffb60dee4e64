/*
 * load_plot.c: the plot at the end of a run, drawn by gnuplot.
 *
 * Called from chatload.c; starts a gnuplot process, which gets the data
 * inline. Above: latency by percentile, the tail stretched. Below: rates and
 * p99 per second. Without gnuplot it prints a message and draws nothing.
 */

#include <stdio.h>
#include <string.h>
#include <signal.h>

#include "load_report.h"

static void load_plot_curve(FILE *g, const struct hdr_histogram *h);
static void load_plot_seconds(FILE *g, const load_report_t *r);


/* A shell gets the path, so only plain characters are allowed. */
int
load_plot(const load_report_t *r, const char *path)
{
    int    h, first;
    FILE  *g;

    if (strpbrk(path, "'\"\\\n") != NULL) {
        return -1;
    }
    signal(SIGPIPE, SIG_IGN);
    g = popen("gnuplot 2>/dev/null", "w");
    if (g == NULL) {
        return -1;
    }
    fprintf(g, "set terminal pngcairo size 1000,800 noenhanced\n"
            "set output '%s'\nset multiplot layout 2,1 title \"%s %s %s\"\n"
            "set grid\nset key left top\nset ylabel 'ms'\n"
            "set logscale xy\nset xtics ('p50' 2, 'p90' 10, 'p99' 100, "
            "'p99.9' 1000, 'p99.99' 10000)\nset xrange [1:100000]\n",
            path, r->opt->proto_name, r->opt->workload_name, r->opt->title);

    first = 1;
    for (h = 0; h < LOAD_NHIST; h++) {
        if (r->hist[h]->total_count > 0) {
            fprintf(g, "%s '-' with lines lw 2 title '%s'",
                    first ? "plot" : ",", load_hist_words[h]);
            first = 0;
        }
    }
    if (first) {
        fputs("plot 1", g);
    }
    fputs("\n", g);
    for (h = 0; h < LOAD_NHIST; h++) {
        if (r->hist[h]->total_count > 0) {
            load_plot_curve(g, r->hist[h]);
        }
    }
    load_plot_seconds(g, r);
    fputs("unset multiplot\n", g);
    return pclose(g) == 0 ? 0 : -1;
}


/* x is 1 / (1 - p): every nine of the tail has the same width. */
static void
load_plot_curve(FILE *g, const struct hdr_histogram *h)
{
    int     i;
    double  x;

    for (i = 0, x = 1.1; i < 60 && x < (double) h->total_count * 2; i++) {
        fprintf(g, "%g %g\n", x, (double) hdr_value_at_percentile(
                h, 100.0 * (1 - 1 / x)) / 1000);
        x *= 1.21;
    }
    fputs("e\n", g);
}


static void
load_plot_seconds(FILE *g, const load_report_t *r)
{
    int  i, k;

    fputs("unset logscale\nset xtics auto\nset xrange [*:*]\n"
          "set xlabel 's'\nset ylabel 'per second'\nset yrange [0:*]\n"
          "set y2label 'ms'\nset y2tics\nset y2range [0:*]\n"
          "plot '-' with lines lw 2 title 'sent', "
          "'-' with lines lw 2 title 'received', "
          "'-' axes x1y2 with lines title 'p50', "
          "'-' axes x1y2 with lines title 'p99'\n", g);
    for (k = 0; k < 4; k++) {
        for (i = 0; i < r->npoints; i++) {
            fprintf(g, "%g %g\n", r->point[i].t,
                    k == 0 ? r->point[i].sent : k == 1 ? r->point[i].received
                    : k == 2 ? r->point[i].p50 : r->point[i].p99);
        }
        if (r->npoints == 0) {
            fputs("0 0\n", g);
        }
        fputs("e\n", g);
    }
}
