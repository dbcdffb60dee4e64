/*
 * worker_time.c: clocks, sleeps and backoff.
 *
 * Called from everywhere in workers/. Defines worker_stopping, which ends a
 * sleep early.
 */

#include <poll.h>
#include <pthread.h>
#include <time.h>

#include <sodium.h>

#include "worker.h"

/* A thread that has the signals blocked polls worker_stopping this often. */
#define WORKER_SLICE_MS  200

volatile sig_atomic_t  worker_stopping;

static int64_t worker_clock_us(clockid_t clock);


int64_t
worker_ms(void)
{
    return worker_us() / 1000;
}


int64_t
worker_us(void)
{
    return worker_clock_us(CLOCK_REALTIME);
}


int64_t
worker_mono_ms(void)
{
    return worker_mono_us() / 1000;
}


int64_t
worker_mono_us(void)
{
    return worker_clock_us(CLOCK_MONOTONIC);
}


static int64_t
worker_clock_us(clockid_t clock)
{
    struct timespec  now;

    clock_gettime(clock, &now);

    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}


/* The signals are blocked between the check of worker_stopping and ppoll(),
 * which unblocks them: a signal that arrives in between ends the sleep at
 * once. */

void
worker_sleep(int ms)
{
    int              blocked;
    int64_t          left, end;
    sigset_t         stop, old;
    struct timespec  slice;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);

    pthread_sigmask(SIG_BLOCK, &stop, &old);

    blocked = sigismember(&old, SIGTERM);
    end = worker_mono_ms() + ms;

    while (!worker_stopping) {
        left = end - worker_mono_ms();
        if (left <= 0) {
            break;
        }

        if (blocked && left > WORKER_SLICE_MS) {
            left = WORKER_SLICE_MS;
        }

        slice.tv_sec = left / 1000;
        slice.tv_nsec = left % 1000 * 1000000;
        (void) ppoll(NULL, 0, &slice, &old);
    }

    pthread_sigmask(SIG_SETMASK, &old, NULL);
}


void
worker_sleep_us(int64_t us)
{
    struct timespec  ts;

    if (us > 0) {
        ts.tv_sec = us / 1000000;
        ts.tv_nsec = us % 1000000 * 1000;
        (void) nanosleep(&ts, NULL);
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
