/*
 * worker_log.c: log lines, one fact each, to stderr.
 *
 * Called from everywhere in workers/; hands one write() per line to stderr,
 * so that lines of several processes on one pipe do not mix.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "worker.h"

#define WORKER_LOG_LINE  1024

static const char  *worker_log_role = "chat-worker";
static int          worker_log_level = WORKER_INFO;

static const char *const  worker_log_words[] = {
    "error", "warn", "info", "debug"
};

static void worker_log_write(int level, const char *fmt, va_list args);


void
worker_log_open(const char *role, const char *level)
{
    int  i;

    worker_log_role = role;

    for (i = WORKER_ERROR; level != NULL && i <= WORKER_DEBUG; i++) {
        if (strcmp(level, worker_log_words[i]) == 0) {
            worker_log_level = i;
        }
    }
}


void
worker_log(int level, const char *fmt, ...)
{
    va_list  args;

    if (level > worker_log_level) {
        return;
    }

    va_start(args, fmt);
    worker_log_write(level, fmt, args);
    va_end(args);
}


void
worker_die(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    worker_log_write(WORKER_ERROR, fmt, args);
    va_end(args);

    abort();
}


static void
worker_log_write(int level, const char *fmt, va_list args)
{
    int              n, len, i;
    char             line[WORKER_LOG_LINE];
    ssize_t          written;
    struct tm        tm;
    struct timespec  now;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);

    len = (int) strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
    len += snprintf(line + len, sizeof(line) - (size_t) len,
                    ".%03ldZ %s %.32s[%d] ", now.tv_nsec / 1000000,
                    worker_log_words[level], worker_log_role, (int) getpid());

    n = vsnprintf(line + len, sizeof(line) - (size_t) len, fmt, args);

    if (n > (int) sizeof(line) - len - 2) {
        n = (int) sizeof(line) - len - 2;
    }

    /* a value from outside must not be able to forge a second line */
    for (i = len; i < len + n; i++) {
        if ((unsigned char) line[i] < ' ' || line[i] == 0x7f) {
            line[i] = ' ';
        }
    }

    len += n > 0 ? n : 0;
    line[len++] = '\n';

    written = write(STDERR_FILENO, line, (size_t) len);
    (void) written;             /* a failed write cannot be reported */
}
