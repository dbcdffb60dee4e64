/*
 * clock.c: a wall clock that can be set, for the processes of one stack.
 *
 * faults.py preloads the library (LD_PRELOAD) into every process of a stack.
 * It reads a number of seconds from the file $CHAT_TEST_CLOCK (8 bytes, mapped
 * by all processes) and adds it to the clocks that return the time of day.
 * Monotonic clocks are not changed, as when a host's clock is set. libfaketime
 * is not used because it does not work with the allocator of Redis. The
 * library allocates nothing and takes no locks.
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t  *clock_offset;


static void __attribute__((constructor))
clock_map(void)
{
    int          fd;
    void        *p;
    const char  *path;

    path = getenv("CHAT_TEST_CLOCK");
    if (path == NULL) {
        return;
    }

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }

    p = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);

    if (p != MAP_FAILED) {
        clock_offset = p;
    }
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int  rc;

    rc = (int) syscall(SYS_clock_gettime, id, ts);

    if (rc == 0 && clock_offset != NULL
        && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
    {
        ts->tv_sec += *clock_offset;
    }

    return rc;
}


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    (void) tz;

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0) {
        return -1;
    }

    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}


time_t
time(time_t *t)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0) {
        return (time_t) -1;
    }

    if (t != NULL) {
        *t = ts.tv_sec;
    }

    return ts.tv_sec;
}
