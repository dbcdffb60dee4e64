/*
 * worker_child.c: starts one child of the pool: this program in one role.
 *
 * Called from worker_pool.c.
 */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "worker.h"

static void worker_child_exec(const char *program, const char *role,
    const sigset_t *signals, pid_t parent);


pid_t
worker_child_start(const char *program, const char *role,
    const sigset_t *signals)
{
    pid_t  pid, parent;

    parent = getpid();
    pid = fork();

    if (pid == 0) {
        worker_child_exec(program, role, signals, parent);
    }

    if (pid < 0) {
        worker_log(WORKER_ERROR, "fork: %s", strerror(errno));
    }

    return pid;
}


/* Runs in the child. A separate process group, so that Ctrl-C at the terminal
 * reaches only the pool, which then drains in order. */

static void
worker_child_exec(const char *program, const char *role,
    const sigset_t *signals, pid_t parent)
{
    char  *argv[3];

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);

    if (getppid() != parent) {
        _exit(1);                   /* the pool died before prctl() */
    }

    sigprocmask(SIG_UNBLOCK, signals, NULL);

    argv[0] = (char *) "chat-worker";
    argv[1] = (char *) role;
    argv[2] = NULL;

    execv(program, argv);

    worker_log(WORKER_ERROR, "%s: %s", program, strerror(errno));
    _exit(127);
}
