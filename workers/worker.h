/*
 * worker.h: the map of a worker process.
 *
 * `chat-worker pool` (worker_pool.c) starts one process per role and count of
 * workers.conf; each runs one worker_role_t until worker_stopping. Knows
 * processes, configuration, log and signals; nothing of chats.
 *
 * worker_main.c   options, picks the role
 * worker_roles.c  the table of roles
 * worker_pool.c   starts, restarts with backoff, drains, re-reads
 * worker_child.c  one child of the pool
 * worker_pid.c    one pool per run_dir
 * worker_conf.c   workers.conf: one table row per key
 * worker_log.c    log lines to stderr
 * worker_mem.c    allocators that abort when out of memory
 * worker_time.c   clocks, sleeps, backoff
 */

#ifndef WORKER_H
#define WORKER_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ------------------------------------------------------------ configuration */

/* Every key of workers.conf: one `key value` per line, '#' comments; the
 * environment variable CHAT_<KEY in capitals> overrides the file. An unknown
 * key or a value out of range fails at start, naming file and line. */
typedef struct {
    char      *pg;                  /* libpq DSN                            */
    char      *chat_store;          /* a name of store_open.c               */
    char      *redis;               /* redis://[[user]:pass@]host[:port][/db]
                                       or unix:///path[?db=n]               */
    char      *keys_dir;            /* token.jwk, jwks.json, chat_id.key    */
    char      *run_dir;             /* sockets, pid file                    */
    char      *api_socket;          /* default <run_dir>/api.sock           */
    char      *code_sender;         /* "dev" or "webhook"                   */
    char      *code_webhook_url;
    char      *code_webhook_secret;
    char      *listen_hint;         /* the addresses nginx listens on, for the
                                       dev sender's loopback check          */
    char      *public_url;          /* for invite links                     */
    char      *log_level;           /* error warn info debug                */
    int        code_dev_force;      /* dev sender although not on loopback  */
    int        code_limit_number;   /* codes per number and hour            */
    int        code_limit_address;  /* codes per address and hour           */
    int        login_limit_address; /* login tries per address and hour     */
    int        limits_forced;       /* limits were set by hand (dev sender) */
    int        api_threads;         /* database connections of the API      */
    int        batch_max;           /* most entries per message batch       */
    int        block_ms;            /* longest wait for new entries         */
    int        linger_us;           /* batch window: under steady load a
                                       message worker reads once in each    */
    int        feed_limit;          /* stream entries kept of a shard's feed of
                                       committed entries, docs/feed.md      */
    int       *processes;           /* by row of the key table, set for
                                       n_<role>; worker_conf_processes()    */
} worker_conf_t;

/* The path of workers.conf without -c: the environment variable, else this
 * file, which need not exist. */
#define WORKER_CONF_ENV   "CHAT_CONF_FILE"
#define WORKER_CONF_FILE  "/etc/chat/workers.conf"

/* 0, or -1 after reporting the mistakes on stderr. With a NULL file only the
 * defaults and the environment are used. */
int worker_conf_load(const char *file, worker_conf_t *conf_r);
/* Frees the values, not conf itself, and zeroes it. */
void worker_conf_free(worker_conf_t *conf);

/* `option` (of -c, may be NULL), else the environment variable, else the
 * default file if it exists, else NULL. Borrowed. */
const char *worker_conf_where(const char *option);

/* The i-th key of the table and its default; NULL behind the last. */
const char *worker_conf_key(size_t i, const char **value_r);

/* The value of the key n_<role>: how many processes of the role the pool runs.
 * -1 when the table has no such key. */
int worker_conf_processes(const worker_conf_t *conf, const char *role);

/* ------------------------------------------------------------------- roles */

typedef struct {
    const worker_conf_t  *conf;
    char                  id[64];   /* host.pid.random: consumer, heartbeat */
} worker_t;

typedef struct {
    const char  *name;              /* as in `chat-worker message`          */
    /* Runs until worker_stopping; the process's exit code. */
    int        (*run)(worker_t *w);
} worker_role_t;

/* Every role of this program in the order the pool starts them, NULL behind
 * the last. worker_roles.c says what a new role needs. */
extern const worker_role_t *const  worker_roles[];

/* By name; NULL when there is none. */
const worker_role_t *worker_role_find(const char *name);

/* The pool: starts and watches the processes until SIGTERM or SIGINT; its exit
 * code. `conf` is taken, `file` (may be NULL) is borrowed. */
int worker_pool_run(const char *program, const char *file,
    worker_conf_t *conf);

/* Forks and runs `program` as `role`, with `signals` unblocked. The child is
 * terminated when its parent dies. The pid, or -1 after logging the reason. */
pid_t worker_child_start(const char *program, const char *role,
    const sigset_t *signals);

/* Creates run_dir and locks its pid file: a descriptor that holds the lock and
 * the new path, or -1 after logging the reason. */
int worker_pid_take(const char *run_dir, char **path_r);
void worker_pid_drop(int fd, char **path);

/* Set by SIGTERM and SIGINT: finish the batch, hand over, return. */
extern volatile sig_atomic_t  worker_stopping;

/* --------------------------------------------------------------------- log */

enum { WORKER_ERROR, WORKER_WARN, WORKER_INFO, WORKER_DEBUG };

/* Sets the name in the log lines and the level: `role` is borrowed for the life
 * of the process, `level` is a word of log_level, or NULL to keep the level.
 * Before the first call: "chat-worker", info. */
void worker_log_open(const char *role, const char *level);

/* "2026-01-02T03:04:05.678Z warn message[123] shard=7 ...": never bodies,
 * tokens, codes or phone numbers. */
void worker_log(int level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* For a bug or a lack of memory: logs an error and aborts. */
void worker_die(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/* Allocators that abort when out of memory. Results are new. */
void *worker_calloc(size_t n, size_t size);
void *worker_realloc(void *p, size_t size);
char *worker_strdup(const char *s);

/* Makes room for one more element behind the n of `array`, a pointer in which
 * `max` fit now; at 0 it may be NULL. Dies out of memory. */
#define WORKER_GROW(array, n, max)                                           \
    do {                                                                     \
        if ((n) == (max)) {                                                  \
            (max) = (max) ? 2 * (max) : 64;                                  \
            (array) = worker_realloc((array), (max) * sizeof(*(array)));     \
        }                                                                    \
    } while (0)

int64_t worker_ms(void);            /* wall clock, ms since 1970            */
int64_t worker_us(void);            /* the same, us                         */
int64_t worker_mono_ms(void);       /* monotonic                            */
int64_t worker_mono_us(void);

/* Sleeps up to ms, less when worker_stopping is set. */
void worker_sleep(int ms);

/* Sleeps up to us and ignores worker_stopping: for a few milliseconds only. */
void worker_sleep_us(int64_t us);

/* Full-jitter backoff: the next wait in ms for the n-th failure (n from 0),
 * random in [base/2, min(cap, base * 2^n)]. */
int worker_backoff(int n, int base, int cap);

#endif
