/*
 * load_stage.c: the time of a message before and after its commit.
 *
 * Called from load_chat.c for each delivery; updates the figures. A timestamp
 * is truncated to milliseconds, so half a millisecond is added: this is
 * correct on average, but not for a single message.
 */

#include <time.h>

#include "load_stat.h"

#define LOAD_DAY_MS  86400000ll
#define LOAD_HALF    500000ll       /* ns */

static int64_t load_stage_wall(void);
static int load_stage_digits(const char *s, int n);


void
load_on_stamp(load_conn_t *c, int64_t due, const char *stamp, size_t len)
{
    int64_t  ms, now, commit, age;

    /* 2026-01-02T03:04:05.678Z */
    if (len != 24 || !load_counted(due)) {
        return;
    }
    ms = ((int64_t) load_stage_digits(stamp + 11, 2) * 3600
          + load_stage_digits(stamp + 14, 2) * 60
          + load_stage_digits(stamp + 17, 2)) * 1000
         + load_stage_digits(stamp + 20, 3);

    /* from the times of day; negative over midnight */
    now = load_stage_wall();
    age = now - (ms * 1000000 + LOAD_HALF);
    if (age < -LOAD_DAY_MS * 500000) {
        age += LOAD_DAY_MS * 1000000;
    }
    commit = load_ns() - age;
    load_rec(c->load, COMMIT, commit - due);
    load_rec(c->load, FANOUT, age);
}


/* ns since midnight, UTC */
static int64_t
load_stage_wall(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec % 86400 * 1000000000ll + ts.tv_nsec;
}


static int
load_stage_digits(const char *s, int n)
{
    int  v;

    for (v = 0; n > 0; n--, s++) {
        v = v * 10 + (*s - '0');
    }
    return v;
}
