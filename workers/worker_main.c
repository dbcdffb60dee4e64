/*
 * worker_main.c: options, then the pool or one role.
 *
 * Hands to worker_pool_run() or to the run() of a role. Sets up what every
 * worker process needs: the log, the signals, libsodium, its name.
 */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "chat_version.h"
#include "worker.h"

static int worker_main_options(int argc, char **argv, const char **file_r,
    const char **role_r);
static void worker_main_usage(FILE *to);
static char *worker_main_program(void);
static void worker_main_title(const char *program, const char *role,
    int argc, char **argv, const char *file);
static int worker_main_role(const worker_role_t *role,
    const worker_conf_t *conf);
static void worker_main_signals(void);
static void worker_main_stop(int signo);


int
main(int argc, char **argv)
{
    int                   rc;
    char                 *program;
    const char           *file, *name;
    worker_conf_t         conf;
    const worker_role_t  *role;

    rc = worker_main_options(argc, argv, &file, &name);
    if (rc >= 0) {
        return rc;
    }

    role = worker_role_find(name);

    if (role == NULL && strcmp(name, "pool") != 0) {
        fprintf(stderr, "chat-worker: no role \"%s\"\n", name);
        worker_main_usage(stderr);
        return 2;
    }

    file = worker_conf_where(file);
    program = worker_main_program();

    worker_main_title(program, name, argc, argv, file);

    worker_log_open(name, NULL);

    if (sodium_init() < 0) {
        worker_die("libsodium cannot be initialised");
    }

    if (worker_conf_load(file, &conf) != 0) {
        return 1;
    }

    worker_log_open(name, conf.log_level);

    signal(SIGPIPE, SIG_IGN);

    if (role == NULL) {
        rc = worker_pool_run(program, file, &conf);

    } else {
        rc = worker_main_role(role, &conf);
        worker_conf_free(&conf);
    }

    free(program);

    return rc;
}


/* The exit code, or -1 to continue. */

static int
worker_main_options(int argc, char **argv, const char **file_r,
    const char **role_r)
{
    int  c;

    static const struct option  options[] = {
        { "conf",    required_argument, NULL, 'c' },
        { "help",    no_argument,       NULL, 'h' },
        { "version", no_argument,       NULL, 'v' },
        { NULL,      0,                 NULL, 0 }
    };

    *file_r = NULL;

    while ((c = getopt_long(argc, argv, "c:hv", options, NULL)) != -1) {
        switch (c) {

        case 'c':
            *file_r = optarg;
            break;

        case 'h':
            worker_main_usage(stdout);
            return 0;

        case 'v':
            printf("chat-worker %s\n", CHAT_VERSION_TEXT);
            return 0;

        default:
            worker_main_usage(stderr);
            return 2;
        }
    }

    if (optind != argc - 1) {
        worker_main_usage(stderr);
        return 2;
    }

    *role_r = argv[optind];

    return -1;
}


static void
worker_main_usage(FILE *to)
{
    size_t  i;

    fprintf(to,
        "Usage: chat-worker [-c FILE] ROLE\n"
        "\n"
        "Runs one process of the chat backend's worker pool, or the pool.\n"
        "\n"
        "Options:\n"
        "  -c, --conf=FILE   read this configuration file\n"
        "  -h, --help        print this text\n"
        "  -v, --version     print the version\n"
        "\n"
        "Roles:\n"
        "  pool              starts the processes of every other role and\n"
        "                    restarts those that exit; the configuration\n"
        "                    sets how many there are of each\n");

    for (i = 0; worker_roles[i] != NULL; i++) {
        fprintf(to, "  %-16s  one process of this role\n",
                worker_roles[i]->name);
    }

    fprintf(to,
        "\n"
        "Signals:\n"
        "  SIGTERM, SIGINT   finish the work in progress, then exit\n"
        "  SIGHUP            of the pool: read the configuration again and\n"
        "                    replace every process by a new one\n"
        "\n"
        "Files:\n"
        "  " WORKER_CONF_FILE "\n"
        "                    the configuration, when neither --conf nor the\n"
        "                    environment variable " WORKER_CONF_ENV "\n"
        "                    names another file\n"
        "\n"
        "Exit status:\n"
        "  0                 stopped by a signal after finishing its work\n"
        "  1                 wrong configuration or a failed start\n"
        "  2                 wrong usage\n");
}


/* The path of the running program, new. The pool keeps the path and not a
 * descriptor, because after an upgrade the path leads to the new program. */

static char *
worker_main_program(void)
{
    char     path[4096];
    ssize_t  n;

    n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n < 0) {
        worker_die("/proc/self/exe cannot be read");
    }

    path[n] = '\0';

    return worker_strdup(path);
}


/* Makes the process list show only the role, by executing the program again
 * with that title. Returns when the title is set already, or on failure. */

static void
worker_main_title(const char *program, const char *role, int argc,
    char **argv, const char *file)
{
    char  *path, *title[3];

    if (argc == 2 && strcmp(argv[0], "chat-worker") == 0) {
        return;
    }

    if (file != NULL) {
        path = realpath(file, NULL);
        setenv(WORKER_CONF_ENV, path ? path : file, 1);
        free(path);
    }

    title[0] = (char *) "chat-worker";
    title[1] = (char *) role;
    title[2] = NULL;

    execv(program, title);
}


static int
worker_main_role(const worker_role_t *role, const worker_conf_t *conf)
{
    char      host[33];
    worker_t  w;

    memset(host, 0, sizeof(host));
    if (gethostname(host, sizeof(host) - 1) != 0) {
        strcpy(host, "host");
    }

    memset(&w, 0, sizeof(w));
    w.conf = conf;
    snprintf(w.id, sizeof(w.id), "%s.%d.%08x", host, (int) getpid(),
             randombytes_random());

    worker_main_signals();

    return role->run(&w);
}


/* No SA_RESTART: a blocking call that a signal interrupts must return, so that
 * the role checks worker_stopping. SIGHUP is for the pool only, and is sent
 * when a terminal closes, too. */

static void
worker_main_signals(void)
{
    struct sigaction  sa;

    memset(&sa, 0, sizeof(sa));
    sigemptyset(&sa.sa_mask);

    sa.sa_handler = worker_main_stop;
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);

    sa.sa_handler = SIG_IGN;
    sigaction(SIGHUP, &sa, NULL);
}


static void
worker_main_stop(int signo)
{
    worker_stopping = 1;
}
