/*
 * worker_pool.c: starts, restarts, drains and replaces the worker processes.
 *
 * Called from worker_main.c; hands to worker_pid.c and worker_child.c. All
 * signals are blocked and received one at a time by sigtimedwait(), so there is
 * no handler and no race. A slot is one process that should run; a reload
 * replaces the slots of older generations.
 */

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "chat_version.h"
#include "worker.h"

#define POOL_RESTART_MS  100        /* backoff after the first failure      */
#define POOL_CAP_MS      10000      /* longest backoff before a restart     */
#define POOL_ALIVE_MS    30000      /* an uptime that resets the backoff    */
#define POOL_SETTLE_MS   1000       /* an uptime after which a process of a
                                       new generation counts as running     */
#define POOL_DRAIN_MS    10000      /* from SIGTERM to SIGKILL              */

typedef struct {
    const worker_role_t  *role;
    pid_t                 pid;          /* 0: not running until restart_at  */
    unsigned              generation;
    unsigned              stopping:1;   /* SIGTERM sent; not restarted      */
    int                   failures;     /* consecutive failures             */
    int64_t               started;      /* monotonic ms, as all here        */
    int64_t               restart_at;
    int64_t               kill_at;
} pool_slot_t;

typedef struct {
    const char     *program;
    const char     *file;
    worker_conf_t  *conf;
    pool_slot_t    *slots;
    size_t          n, cap;
    unsigned        generation;
    unsigned        draining:1;
    unsigned        rolling:1;          /* a reload is in progress          */
    sigset_t        signals;
} worker_pool_t;

static void pool_signal(worker_pool_t *pool, int signo);
static void pool_reload(worker_pool_t *pool);
static void pool_drain(worker_pool_t *pool);
static void pool_fill(worker_pool_t *pool);
static void pool_reap(worker_pool_t *pool);
static void pool_died(worker_pool_t *pool, size_t i, int status);
static void pool_remove(worker_pool_t *pool, size_t i);
static int64_t pool_tick(worker_pool_t *pool);
static void pool_roll(worker_pool_t *pool, int64_t now);
static int pool_settled(const worker_pool_t *pool, const worker_role_t *role,
    int64_t now);
static void pool_start(worker_pool_t *pool, pool_slot_t *slot);
static void pool_stop(pool_slot_t *slot);


int
worker_pool_run(const char *program, const char *file, worker_conf_t *conf)
{
    int              fd, signo;
    char            *pid_path;
    int64_t          wait;
    worker_pool_t    pool;
    struct timespec  ts;

    fd = worker_pid_take(conf->run_dir, &pid_path);
    if (fd < 0) {
        worker_conf_free(conf);
        return 1;
    }

    memset(&pool, 0, sizeof(pool));
    pool.program = program;
    pool.file = file;
    pool.conf = conf;

    sigemptyset(&pool.signals);
    sigaddset(&pool.signals, SIGTERM);
    sigaddset(&pool.signals, SIGINT);
    sigaddset(&pool.signals, SIGHUP);
    sigaddset(&pool.signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &pool.signals, NULL);

    worker_log(WORKER_INFO, "pool starts version=%s", CHAT_VERSION_TEXT);
    pool_fill(&pool);

    for ( ;; ) {
        pool_reap(&pool);
        wait = pool_tick(&pool);

        if (pool.draining && pool.n == 0) {
            break;
        }

        ts.tv_sec = wait / 1000;
        ts.tv_nsec = wait % 1000 * 1000000;

        signo = sigtimedwait(&pool.signals, NULL, &ts);
        if (signo > 0) {
            pool_signal(&pool, signo);
        }
    }

    worker_log(WORKER_INFO, "pool ends");

    free(pool.slots);
    worker_pid_drop(fd, &pid_path);
    worker_conf_free(conf);

    return 0;
}


static void
pool_signal(worker_pool_t *pool, int signo)
{
    switch (signo) {

    case SIGTERM:
    case SIGINT:
        pool_drain(pool);
        break;

    case SIGHUP:
        pool_reload(pool);
        break;
    }
}


static void
pool_reload(worker_pool_t *pool)
{
    worker_conf_t  conf;

    if (pool->draining) {
        return;
    }

    if (worker_conf_load(pool->file, &conf) != 0) {
        worker_log(WORKER_ERROR, "new configuration refused, the old stays");
        return;
    }

    worker_conf_free(pool->conf);
    *pool->conf = conf;
    worker_log_open("pool", conf.log_level);

    pool->generation++;
    pool->rolling = 1;

    worker_log(WORKER_INFO, "reload generation=%u", pool->generation);
    pool_fill(pool);
}


static void
pool_drain(worker_pool_t *pool)
{
    size_t  i;

    if (!pool->draining) {
        worker_log(WORKER_INFO, "draining");
    }

    pool->draining = 1;

    for (i = pool->n; i-- > 0; /* void */) {
        if (pool->slots[i].pid == 0) {
            pool_remove(pool, i);

        } else if (!pool->slots[i].stopping) {
            pool_stop(&pool->slots[i]);
        }
    }
}


/* Adds one slot per configured process; pool_tick() starts them. Slots of an
 * older generation that wait for a restart are removed. */

static void
pool_fill(worker_pool_t *pool)
{
    int           count;
    size_t        i;
    pool_slot_t  *slot;

    for (i = pool->n; i-- > 0; /* void */) {
        if (pool->slots[i].pid == 0) {
            pool_remove(pool, i);
        }
    }

    for (i = 0; worker_roles[i] != NULL; i++) {

        count = worker_conf_processes(pool->conf, worker_roles[i]->name);

        if (count < 0) {
            worker_die("no key n_%s in worker_conf.c", worker_roles[i]->name);
        }

        for ( /* void */ ; count > 0; count--) {
            WORKER_GROW(pool->slots, pool->n, pool->cap);
            slot = &pool->slots[pool->n++];
            memset(slot, 0, sizeof(*slot));
            slot->role = worker_roles[i];
            slot->generation = pool->generation;
        }
    }
}


static void
pool_reap(worker_pool_t *pool)
{
    int     status;
    pid_t   pid;
    size_t  i;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {

        /* process 1 of a container also inherits unrelated children */
        for (i = 0; i < pool->n; i++) {
            if (pool->slots[i].pid == pid) {
                pool_died(pool, i, status);
                break;
            }
        }
    }
}


static void
pool_died(worker_pool_t *pool, size_t i, int status)
{
    int           wait;
    int64_t       now;
    pool_slot_t  *slot;

    slot = &pool->slots[i];
    now = worker_mono_ms();

    if (slot->stopping || slot->generation != pool->generation) {
        worker_log(WORKER_INFO, "ended role=%s pid=%d %s=%d", slot->role->name,
                   (int) slot->pid, WIFSIGNALED(status) ? "signal" : "code",
                   WIFSIGNALED(status) ? WTERMSIG(status)
                                       : WEXITSTATUS(status));
        pool_remove(pool, i);
        return;
    }

    if (now - slot->started >= POOL_ALIVE_MS) {
        slot->failures = 0;
    }

    wait = worker_backoff(slot->failures++, POOL_RESTART_MS, POOL_CAP_MS);

    worker_log(WORKER_WARN, "died role=%s pid=%d %s=%d restart_ms=%d",
               slot->role->name, (int) slot->pid,
               WIFSIGNALED(status) ? "signal" : "code",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
               wait);

    slot->pid = 0;
    slot->restart_at = now + wait;
}


static void
pool_remove(worker_pool_t *pool, size_t i)
{
    memmove(&pool->slots[i], &pool->slots[i + 1],
            (pool->n - i - 1) * sizeof(pool->slots[0]));
    pool->n--;
}


/* Starts and kills the processes that are due; returns the ms until the next
 * one is. */

static int64_t
pool_tick(worker_pool_t *pool)
{
    size_t        i;
    int64_t       now, next;
    pool_slot_t  *slot;

    now = worker_mono_ms();
    next = now + 60000;

    if (pool->rolling) {
        pool_roll(pool, now);
        next = now + POOL_SETTLE_MS / 5;
    }

    for (i = 0; i < pool->n; i++) {
        slot = &pool->slots[i];

        if (slot->pid == 0) {
            if (slot->restart_at <= now) {
                pool_start(pool, slot);
            }

            if (slot->pid == 0 && slot->restart_at < next) {
                next = slot->restart_at;
            }
        }

        if (!slot->stopping) {
            continue;
        }

        if (slot->kill_at <= now) {
            worker_log(WORKER_WARN, "does not end, killed role=%s pid=%d",
                       slot->role->name, (int) slot->pid);
            kill(-slot->pid, SIGKILL);
            kill(slot->pid, SIGKILL);
            slot->kill_at = now + POOL_DRAIN_MS;
        }

        if (slot->kill_at < next) {
            next = slot->kill_at;
        }
    }

    return next > now ? next - now : 0;
}


/* Stops the old processes of each role whose new processes run. If the new ones
 * never run, the old ones stay: a bad upgrade costs only log lines. */

static void
pool_roll(worker_pool_t *pool, int64_t now)
{
    size_t        i;
    pool_slot_t  *slot;

    pool->rolling = 0;

    for (i = 0; i < pool->n; i++) {
        slot = &pool->slots[i];

        if (slot->generation == pool->generation || slot->stopping) {
            continue;
        }

        if (pool_settled(pool, slot->role, now)) {
            pool_stop(slot);

        } else {
            pool->rolling = 1;
        }
    }
}


static int
pool_settled(const worker_pool_t *pool, const worker_role_t *role, int64_t now)
{
    size_t              i;
    const pool_slot_t  *slot;

    for (i = 0; i < pool->n; i++) {
        slot = &pool->slots[i];

        if (slot->role != role || slot->generation != pool->generation) {
            continue;
        }

        if (slot->pid == 0 || now - slot->started < POOL_SETTLE_MS) {
            return 0;
        }
    }

    return 1;
}


static void
pool_start(worker_pool_t *pool, pool_slot_t *slot)
{
    pid_t  pid;

    pid = worker_child_start(pool->program, slot->role->name, &pool->signals);
    slot->started = worker_mono_ms();

    if (pid < 0) {
        slot->restart_at = slot->started
                           + worker_backoff(slot->failures++, POOL_RESTART_MS,
                                            POOL_CAP_MS);
        return;
    }

    slot->pid = pid;
    worker_log(WORKER_INFO, "started role=%s pid=%d", slot->role->name,
               (int) pid);
}


static void
pool_stop(pool_slot_t *slot)
{
    slot->stopping = 1;
    slot->kill_at = worker_mono_ms() + POOL_DRAIN_MS;
    kill(slot->pid, SIGTERM);
}
