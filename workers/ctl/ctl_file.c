/*
 * ctl_file.c: reads small files, writes them atomically.
 *
 * Called from ctl_migrate.c and ctl_keys.c.
 */

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl.h"

static int ctl_file_fill(int fd, const char *path, const char *text,
    size_t len, int mode);
static int ctl_file_owner(int fd, const char *path);
static void ctl_file_sync_dir(const char *path);


char *
ctl_file_read(const char *path, size_t max, size_t *len_r)
{
    int      fd;
    char    *text;
    size_t   len;
    ssize_t  n;

    fd = open(path, O_RDONLY|O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }

    text = worker_calloc(1, max + 2);
    len = 0;

    while ((n = read(fd, text + len, max + 1 - len)) > 0) {
        len += (size_t) n;
    }

    if (n == 0 && len > max) {
        errno = EFBIG;
        n = -1;
    }

    close(fd);

    if (n < 0) {
        free(text);
        return NULL;
    }

    text[len] = '\0';
    *len_r = len;

    return text;
}


int
ctl_file_write(const char *path, const char *text, size_t len, int mode,
    int replace)
{
    int    fd, rc;
    char  *temp;

    if (asprintf(&temp, "%s.XXXXXX", path) < 0) {
        worker_die("out of memory");
    }

    fd = mkstemp(temp);
    if (fd < 0) {
        free(temp);
        return -1;
    }

    rc = ctl_file_fill(fd, path, text, len, mode);

    if (close(fd) != 0) {
        rc = -1;
    }

    /* link() fails on an existing name, rename() replaces it: both atomic */
    if (rc == 0) {
        rc = replace ? rename(temp, path) : link(temp, path);
    }

    if (rc != 0 || !replace) {
        fd = errno;
        unlink(temp);
        errno = fd;
    }

    if (rc == 0) {
        ctl_file_sync_dir(path);
    }

    free(temp);

    return rc;
}


static int
ctl_file_fill(int fd, const char *path, const char *text, size_t len, int mode)
{
    ssize_t  n;

    if (ctl_file_owner(fd, path) != 0 || fchmod(fd, (mode_t) mode) != 0) {
        return -1;
    }

    while (len > 0) {
        n = write(fd, text, len);
        if (n < 0) {
            return -1;
        }

        text += n;
        len -= (size_t) n;
    }

    return fsync(fd);
}


/* Root prepares the directory for the workers' user: what root then writes
 * into it must be readable by that user. */

static int
ctl_file_owner(int fd, const char *path)
{
    int          rc;
    char        *copy;
    struct stat  st;

    if (geteuid() != 0) {
        return 0;
    }

    copy = worker_strdup(path);
    rc = stat(dirname(copy), &st);
    free(copy);

    return rc == 0 ? fchown(fd, st.st_uid, st.st_gid) : -1;
}


static void
ctl_file_sync_dir(const char *path)
{
    int    fd;
    char  *copy;

    copy = worker_strdup(path);
    fd = open(dirname(copy), O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    free(copy);

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}
