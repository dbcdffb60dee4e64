/*
 * ctl.h: chatctl, the operator's tool: one file a subcommand.
 *
 * ctl_main.c     options, usage, picks the subcommand
 * ctl_migrate.c  migrate: sql/NNN_*.sql
 * ctl_keys.c     keys generate: signing keys, the key of direct chats
 * ctl_file.c     reads small files, writes them atomically
 * ctl_dead.c     dead list, show, retry, drop
 * ctl_dead_show.c  the output of list and show
 * ctl_feed.c     feed: roles that consume the feed of committed entries
 * ctl_status.c   status: streams, owners, workers
 *
 * Exit codes: 0 success, 1 failure (reported on stderr), 2 wrong usage.
 */

#ifndef CTL_H
#define CTL_H

#include <stdio.h>

#include "worker.h"

typedef struct {
    const char     *name;
    const char     *synopsis;
    const char     *help;           /* lines, ends with a newline           */
    /* argv[0] is the subcommand's name; getopt is reset. Returns the exit
     * code, or -1 for wrong usage. */
    int           (*run)(const worker_conf_t *conf, int argc, char **argv);
} ctl_command_t;

extern const ctl_command_t  ctl_command_migrate;
extern const ctl_command_t  ctl_command_keys;
extern const ctl_command_t  ctl_command_dead;
extern const ctl_command_t  ctl_command_status;
extern const ctl_command_t  ctl_command_feed;

/* "chatctl: ..." on stderr; returns 1, the exit code. */
int ctl_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The file's text, new and terminated; NULL with errno. Above `max` bytes is
 * EFBIG. */
char *ctl_file_read(const char *path, size_t max, size_t *len_r);

/* Writes a file atomically, with fsync. Without `replace` an existing file is
 * kept: EEXIST. When run as root, the owner of the directory becomes the owner
 * of the file. 0, or -1 with errno. */
int ctl_file_write(const char *path, const char *text, size_t len, int mode,
    int replace);

#endif
