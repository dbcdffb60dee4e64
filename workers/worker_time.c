/*
 * worker_time.c: clocks, waiting, and how long to wait after a failure.
 *
 * Called from everywhere in workers/. Holds worker_stopping, which is what
 * ends a wait early.
 */

#include <time.h>

#include <sodium.h>

#include "worker.h"

/* A signal that arrives between the look at worker_stopping and the sleep is
 * noticed this much later; the same goes for one another thread received. */
#define WORKER_SLICE_MS  50

volatile sig_atomic_t  worker_stopping;

static int64_t worker_clock(clockid_t clock);


int64_t
worker_ms(void)
{
    return worker_clock(CLOCK_REALTIME);
}


int64_t
worker_mono_ms(void)
{
    return worker_clock(CLOCK_MONOTONIC);
}


static int64_t
worker_clock(clockid_t clock)
{
    struct timespec  now;

    clock_gettime(clock, &now);

    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


void
worker_sleep(int ms)
{
    int64_t          left, end;
    struct timespec  slice;

    end = worker_mono_ms() + ms;

    while (!worker_stopping) {
        left = end - worker_mono_ms();
        if (left <= 0) {
            return;
        }

        if (left > WORKER_SLICE_MS) {
            left = WORKER_SLICE_MS;
        }

        slice.tv_sec = 0;
        slice.tv_nsec = left * 1000000;
        nanosleep(&slice, NULL);
    }
}


int
worker_backoff(int n, int base, int cap)
{
    int  low, high;

    high = base;

    while (n-- > 0 && high < cap) {
        high = high > cap / 2 ? cap : high * 2;
    }

    if (high > cap) {
        high = cap;
    }

    low = base / 2;
    if (low > high) {
        low = high;
    }

    return low + (int) randombytes_uniform((uint32_t) (high - low + 1));
}
