/*
 * load_cpu.c: CPU time and memory of the servers, from /proc.
 *
 * Called from chatload.c when counting begins and ends, and once a second.
 * Walks the process trees below the given roots, which includes a database's
 * backends and nginx's workers, and adds up by name. The cutime and cstime of
 * the parent include a process that has ended.
 */

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load_report.h"

#define LOAD_CPU_PIDS  4096

typedef struct {
    int      pid, parent;
    int64_t  ticks;
    int      in;                /* below a root */
} load_proc_t;

static int load_cpu_scan(load_proc_t *p, int max);
static int load_cpu_stat(int pid, load_proc_t *p);
static int load_cpu_roots(const char *roots, load_proc_t *p, int n);
static void load_cpu_add(load_cpu_t *r, const load_proc_t *p, int with_pss);
static void load_cpu_name(int pid, char *dst, size_t size);
static int64_t load_proc_field(const char *path, const char *field);


int
load_cpu_take(const char *roots, int with_pss, load_cpu_t *r)
{
    int                 i, k, n, more;
    static load_proc_t  procs[LOAD_CPU_PIDS];

    memset(r, 0, sizeof(*r));
    r->at = load_ns();
    if (with_pss) {
        r->slab = load_proc_field("/proc/meminfo", "Slab:");
        r->tcp = load_proc_field("/proc/net/sockstat", "mem ") * 4;
    }
    if (roots == NULL) {
        return 0;
    }
    n = load_cpu_scan(procs, LOAD_CPU_PIDS);
    if (load_cpu_roots(roots, procs, n) != 0) {
        return -1;
    }
    /* each round finds the children of one generation */
    do {
        more = 0;
        for (i = 0; i < n; i++) {
            for (k = 0; !procs[i].in && k < n; k++) {
                if (procs[k].pid == procs[i].parent && procs[k].in) {
                    procs[i].in = 1;
                    more = 1;
                }
            }
        }
    } while (more);

    for (i = 0; i < n; i++) {
        if (procs[i].in) {
            load_cpu_add(r, &procs[i], with_pss);
        }
    }
    return 0;
}


static int
load_cpu_scan(load_proc_t *p, int max)
{
    int             n;
    DIR            *dir;
    struct dirent  *e;

    n = 0;
    dir = opendir("/proc");
    while (dir != NULL && n < max && (e = readdir(dir)) != NULL) {
        if (isdigit((unsigned char) e->d_name[0])
            && load_cpu_stat(atoi(e->d_name), &p[n]) == 0)
        {
            n++;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return n;
}


/* The name in brackets may contain spaces and brackets, so fields are counted
 * from the last ')'. */
static int
load_cpu_stat(int pid, load_proc_t *p)
{
    int            n;
    char           path[64], buf[1024], *at;
    FILE          *f;
    long long      ut, st, cut, cst;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    f = fopen(path, "r");
    if (f == NULL) {
        return -1;
    }
    n = (int) fread(buf, 1, sizeof(buf) - 1, f);
    fclose(f);
    buf[n > 0 ? n : 0] = '\0';
    at = strrchr(buf, ')');
    if (at == NULL
        || sscanf(at + 2, "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
                  "%lld %lld %lld %lld", &p->parent, &ut, &st, &cut, &cst)
           != 5)
    {
        return -1;
    }
    p->pid = pid;
    p->ticks = ut + st + cut + cst;
    p->in = 0;
    return 0;
}


static int
load_cpu_roots(const char *roots, load_proc_t *p, int n)
{
    int          i;
    char        *end;
    long         pid;

    while (*roots != '\0') {
        pid = strtol(roots, &end, 10);
        if (end == roots) {
            fprintf(stderr, "chatload: --cpu: not a pid: %s\n", roots);
            return -1;
        }
        for (i = 0; i < n && p[i].pid != pid; i++) { /* void */ }
        if (i == n) {
            fprintf(stderr, "chatload: --cpu: no process %ld\n", pid);
            return -1;
        }
        p[i].in = 1;
        roots = *end == ',' ? end + 1 : end;
    }
    return 0;
}


static void
load_cpu_add(load_cpu_t *r, const load_proc_t *p, int with_pss)
{
    int                i;
    char               name[32], path[64];
    int64_t            pss;
    load_cpu_group_t  *g;

    load_cpu_name(p->pid, name, sizeof(name));
    for (i = 0; i < r->n && strcmp(r->group[i].name, name) != 0; i++) {
        /* void */
    }
    if (i == LOAD_CPU_GROUPS) {
        i--;
    }
    g = &r->group[i];
    if (i == r->n) {
        r->n++;
        strcpy(g->name, name);
        g->pss = with_pss ? 0 : -1;
    }
    g->procs++;
    g->ticks += p->ticks;
    if (with_pss) {
        snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", p->pid);
        pss = load_proc_field(path, "Pss:");
        g->pss += pss > 0 ? pss : 0;
    }
}


/* "nginx: worker process" becomes nginx, "postgres: walwriter" postgres. The
 * name of a chat worker includes its role, from its title or arguments. */
static void
load_cpu_name(int pid, char *dst, size_t size)
{
    int    n, i;
    char   path[64], buf[256], *word, *slash;
    FILE  *f;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    f = fopen(path, "r");
    n = f ? (int) fread(buf, 1, sizeof(buf) - 1, f) : 0;
    if (f != NULL) {
        fclose(f);
    }
    buf[n > 0 ? n : 0] = '\0';
    for (i = 0; i < n; i++) {
        if (buf[i] == '\0') {
            buf[i] = ' ';
        }
    }
    word = buf;
    i = (int) strcspn(word, " :");
    slash = memrchr(word, '/', (size_t) i);
    if (slash != NULL) {
        i -= (int) (slash + 1 - word);
        word = slash + 1;
    }
    if (strncmp(word, "chat-worker ", 12) == 0) {
        i = 12 + (int) strcspn(word + 12, " :");
    }
    snprintf(dst, size, "%.*s", i > 0 ? i : 1, i > 0 ? word : "?");
    if (strcmp(dst, "redis-server") == 0) {
        strcpy(dst, "redis");
    } else if (strcmp(dst, "beam.smp") == 0) {
        strcpy(dst, "ejabberd");
    }
}


/* The number after the first occurrence of a word; -1 without the word. */
static int64_t
load_proc_field(const char *path, const char *field)
{
    int    n;
    char   buf[8192], *at;
    FILE  *f;

    f = fopen(path, "r");
    if (f == NULL) {
        return -1;
    }
    n = (int) fread(buf, 1, sizeof(buf) - 1, f);
    fclose(f);
    buf[n > 0 ? n : 0] = '\0';
    at = strstr(buf, field);
    return at ? atoll(at + strlen(field)) : -1;
}


int64_t
load_cpu_since(const load_cpu_t *a, const load_cpu_t *b, const char *name)
{
    int      i;
    int64_t  n;

    n = 0;
    for (i = 0; i < b->n; i++) {
        if (name == NULL || strcmp(b->group[i].name, name) == 0) {
            n += b->group[i].ticks;
        }
    }
    for (i = 0; i < a->n; i++) {
        if (name == NULL || strcmp(a->group[i].name, name) == 0) {
            n -= a->group[i].ticks;
        }
    }
    return n;
}


int64_t
load_cpu_pss(const load_cpu_t *c, const char *name)
{
    int      i;
    int64_t  n;

    n = 0;
    for (i = 0; i < c->n; i++) {
        if (name == NULL || strcmp(c->group[i].name, name) == 0) {
            n += c->group[i].pss;
        }
    }
    return n;
}


double
load_tick_us(void)
{
    return 1e6 / (double) sysconf(_SC_CLK_TCK);
}
