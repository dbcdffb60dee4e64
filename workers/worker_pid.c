/*
 * worker_pid.c: <run_dir>/chat-worker.pid: one pool per directory.
 *
 * Called from worker_pool.c. The lock on the file excludes a second pool; the
 * kernel releases the lock however the process ends. The pid in the file is for
 * operators and scripts.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker.h"

static int worker_pid_open(const char *path);
static int worker_pid_is_current(int fd, const char *path);
static void worker_pid_log_holder(int fd, const char *path);


int
worker_pid_take(const char *run_dir, char **path_r)
{
    int   fd, n;
    char  text[32];

    /* 0755: nginx runs as another user and connects to the socket in it */
    if (mkdir(run_dir, 0755) != 0 && errno != EEXIST) {
        worker_log(WORKER_ERROR, "run_dir %s: %s", run_dir, strerror(errno));
        return -1;
    }

    if (asprintf(path_r, "%s/chat-worker.pid", run_dir) < 0) {
        worker_die("out of memory");
    }

    fd = worker_pid_open(*path_r);
    if (fd < 0) {
        free(*path_r);
        return -1;
    }

    n = snprintf(text, sizeof(text), "%d\n", (int) getpid());

    if (ftruncate(fd, 0) != 0 || write(fd, text, (size_t) n) != n) {
        worker_log(WORKER_ERROR, "%s: %s", *path_r, strerror(errno));
        worker_pid_drop(fd, path_r);
        return -1;
    }

    return fd;
}


void
worker_pid_drop(int fd, char **path)
{
    /* before the lock is released: then the file may belong to another pool */
    unlink(*path);
    close(fd);

    free(*path);
    *path = NULL;
}


static int
worker_pid_open(const char *path)
{
    int  fd;

    for ( ;; ) {
        fd = open(path, O_RDWR|O_CREAT|O_CLOEXEC, 0644);
        if (fd < 0) {
            worker_log(WORKER_ERROR, "%s: %s", path, strerror(errno));
            return -1;
        }

        if (flock(fd, LOCK_EX|LOCK_NB) != 0) {
            worker_pid_log_holder(fd, path);
            close(fd);
            return -1;
        }

        if (worker_pid_is_current(fd, path)) {
            return fd;
        }

        /* a pool that ended removed the file between open() and flock() */
        close(fd);
    }
}


static int
worker_pid_is_current(int fd, const char *path)
{
    struct stat  mine, there;

    return fstat(fd, &mine) == 0 && stat(path, &there) == 0
           && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}


static void
worker_pid_log_holder(int fd, const char *path)
{
    char     text[32];
    ssize_t  n;

    n = read(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';

    worker_log(WORKER_ERROR, "%s: a pool is running, pid=%s", path, text);
}
