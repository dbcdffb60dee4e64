/*
 * ctl_main.c: chatctl: options, then one subcommand.
 *
 * Hands to ctl_*.c. Reads workers.conf and the environment as a worker does,
 * so that the tool and the workers use the same database and the same Redis.
 * The text of --help is also the source of the manual page (`make man`); its
 * form is the one that help2man reads.
 */

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "chat_version.h"
#include "ctl.h"

static const ctl_command_t *const  ctl_commands[] = {
    &ctl_command_migrate,
    &ctl_command_keys,
    &ctl_command_dead,
    &ctl_command_status,
    &ctl_command_feed,
    NULL
};

static int ctl_options(int argc, char **argv, const char **file_r);
static void ctl_usage(FILE *to);
static void ctl_usage_of(FILE *to, const ctl_command_t *command);
static const ctl_command_t *ctl_find(const char *name);
static int ctl_wants_help(int argc, char **argv);


int
main(int argc, char **argv)
{
    int                   rc;
    const char           *file;
    worker_conf_t         conf;
    const ctl_command_t  *command;

    rc = ctl_options(argc, argv, &file);
    if (rc >= 0) {
        return rc;
    }

    argc -= optind;
    argv += optind;
    optind = 0;                     /* glibc: resets getopt */

    command = ctl_find(argv[0]);
    if (command == NULL) {
        fprintf(stderr, "chatctl: no command \"%s\"\n\n", argv[0]);
        ctl_usage(stderr);
        return 2;
    }

    if (ctl_wants_help(argc, argv)) {
        ctl_usage_of(stdout, command);
        return 0;
    }

    worker_log_open("chatctl", "warn");
    signal(SIGPIPE, SIG_IGN);

    if (sodium_init() < 0) {
        return ctl_fail("libsodium cannot be initialised");
    }

    if (worker_conf_load(worker_conf_where(file), &conf) != 0) {
        return 1;
    }

    rc = command->run(&conf, argc, argv);
    worker_conf_free(&conf);

    if (rc < 0) {
        ctl_usage_of(stderr, command);
        return 2;
    }

    if (fflush(stdout) != 0) {
        return ctl_fail("standard output cannot be written");
    }

    return rc;
}


int
ctl_fail(const char *fmt, ...)
{
    va_list  args;

    fflush(stdout);
    fputs("chatctl: ", stderr);

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);

    fputc('\n', stderr);

    return 1;
}


/* The exit code, or -1 to go on at argv[optind]. */

static int
ctl_options(int argc, char **argv, const char **file_r)
{
    int  c;

    static const struct option  options[] = {
        { "conf",    required_argument, NULL, 'c' },
        { "help",    no_argument,       NULL, 'h' },
        { "version", no_argument,       NULL, 'v' },
        { NULL,      0,                 NULL, 0 }
    };

    *file_r = NULL;

    /* '+': stop at the command; the options behind it are its own */
    while ((c = getopt_long(argc, argv, "+c:hv", options, NULL)) != -1) {
        switch (c) {

        case 'c':
            *file_r = optarg;
            break;

        case 'h':
            ctl_usage(stdout);
            return 0;

        case 'v':
            printf("chatctl %s\n", CHAT_VERSION_TEXT);
            return 0;

        default:
            ctl_usage(stderr);
            return 2;
        }
    }

    if (optind == argc) {
        ctl_usage(stderr);
        return 2;
    }

    return -1;
}


static void
ctl_usage(FILE *to)
{
    size_t  i;

    fprintf(to,
        "Usage: chatctl [-c FILE] COMMAND ...\n"
        "\n"
        "The operator's tool of the chat backend: it migrates the database,\n"
        "generates keys, shows the state of streams and workers, and handles\n"
        "events that failed.\n"
        "\n"
        "Options:\n"
        "  -c, --conf=FILE   read this configuration file\n"
        "  -h, --help        print this text; after a command, only the part\n"
        "                    about the command\n"
        "  -v, --version     print the version\n"
        "\n");

    for (i = 0; ctl_commands[i] != NULL; i++) {
        fprintf(to, "Command %s:\n  chatctl %s %s\n\n%s\n",
                ctl_commands[i]->name, ctl_commands[i]->name,
                ctl_commands[i]->synopsis, ctl_commands[i]->help);
    }

    fprintf(to,
        "Files:\n"
        "  " WORKER_CONF_FILE "\n"
        "                    configuration of chatctl and the workers, when\n"
        "                    neither --conf nor the environment variable\n"
        "                    " WORKER_CONF_ENV " names another file\n"
        "\n"
        "Exit status:\n"
        "  0                 success\n"
        "  1                 the command failed; the reason is on stderr\n"
        "  2                 wrong usage\n");
}


static void
ctl_usage_of(FILE *to, const ctl_command_t *command)
{
    fprintf(to, "Usage: chatctl [-c FILE] %s %s\n\n%s", command->name,
            command->synopsis, command->help);
}


static const ctl_command_t *
ctl_find(const char *name)
{
    size_t  i;

    for (i = 0; ctl_commands[i] != NULL; i++) {
        if (strcmp(ctl_commands[i]->name, name) == 0) {
            return ctl_commands[i];
        }
    }

    return NULL;
}


static int
ctl_wants_help(int argc, char **argv)
{
    int  i;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return 1;
        }
    }

    return 0;
}
