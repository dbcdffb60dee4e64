/*
 * worker.h: the map of a worker process.
 *
 * `chat-worker pool` (worker_pool.c) starts one process per role and count of
 * workers.conf; each runs one worker_role_t until worker_stopping. Knows
 * processes, configuration, log and signals; nothing of chats.
 *
 * worker_main.c   options, picks the role
 * worker_roles.c  the roles there are
 * worker_pool.c   starts, restarts with backoff, drains, re-reads
 * worker_child.c  one child of the pool
 * worker_pid.c    one pool per run_dir
 * worker_conf.c   workers.conf: one table row per key
 * worker_log.c    one fact a line, to stderr
 * worker_mem.c    memory that is there, or the process is not
 * worker_time.c   clocks, waiting, backoff
 */

#ifndef WORKER_H
#define WORKER_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ------------------------------------------------------------ configuration */

/* Every key of workers.conf. `key value` a line, '#' comments; the
 * environment variable CHAT_<KEY in capitals> wins over the file. An unknown
 * key or a value out of range fails at start, naming file and line. */
typedef struct {
    char      *pg;                  /* libpq DSN                            */
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
    int        batch_max;           /* entries a message worker takes       */
    int        block_ms;            /* longest wait for new entries         */
    int        linger_us;           /* window in which a worker reads once
                                       while entries come without a pause   */
    int        feed_limit;          /* stream entries kept of a shard's feed of
                                       committed entries, docs/feed.md      */
    /* how many processes of each role the pool runs */
    int        n_message, n_api, n_sync, n_push, n_presence;
} worker_conf_t;

#define WORKER_VERSION    "0.1.0"

/* Where workers.conf is when -c does not say: the environment variable, else
 * this file, which then need not be there. */
#define WORKER_CONF_ENV   "CHAT_CONF_FILE"
#define WORKER_CONF_FILE  "/etc/chat/workers.conf"

/* 0, or -1 after saying why on stderr. A NULL file: defaults and environment
 * alone. */
int worker_conf_load(const char *file, worker_conf_t *conf_r);
void worker_conf_free(worker_conf_t *conf);

/* `option` (of -c, may be NULL), else the variable, else the usual file if it
 * is there, else NULL. Borrowed. */
const char *worker_conf_where(const char *option);

/* The i-th key of the table and its default; NULL behind the last. */
const char *worker_conf_key(size_t i, const char **value_r);

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

extern const worker_role_t  worker_role_message;    /* message/ */
extern const worker_role_t  worker_role_api;        /* api/     */
extern const worker_role_t  worker_role_sync;       /* sync/    */
extern const worker_role_t  worker_role_presence;   /* presence/ */

/* Every role this program knows, NULL behind the last; and how
 * many processes of it the configuration asks for. */
extern const worker_role_t *const  worker_roles[];
int worker_role_count(const worker_role_t *role, const worker_conf_t *conf);

/* By name; NULL when there is none. */
const worker_role_t *worker_role_find(const char *name);

/* A role the configuration asks for and this program does not have, or NULL. */
const char *worker_role_missing(const worker_conf_t *conf);

/* The pool: starts and watches the processes until SIGTERM or SIGINT; its exit
 * code. `conf` is taken, `file` (may be NULL) is borrowed. */
int worker_pool_run(const char *program, const char *file,
    worker_conf_t *conf);

/* Forks and runs `program` as `role`; unblocks `signals` there. The child ends
 * with its parent. The pid, or -1 after saying why. */
pid_t worker_child_start(const char *program, const char *role,
    const sigset_t *signals);

/* Makes run_dir and takes its pid file: a descriptor that holds the lock and
 * the new path, or -1 after saying why. */
int worker_pid_take(const char *run_dir, char **path_r);
void worker_pid_drop(int fd, char **path);

/* Set by SIGTERM and SIGINT: finish the batch, hand over, return. */
extern volatile sig_atomic_t  worker_stopping;

/* --------------------------------------------------------------------- log */

enum { WORKER_ERROR, WORKER_WARN, WORKER_INFO, WORKER_DEBUG };

/* Who speaks and how much: `role` is borrowed for ever, `level` is a word of
 * log_level or NULL for no change. Before it, "chat-worker" at info. */
void worker_log_open(const char *role, const char *level);

/* "2026-01-02T03:04:05.678Z warn message[123] shard=7 ...": never bodies,
 * tokens, codes or phone numbers. */
void worker_log(int level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* We are wrong: says where and aborts. */
void worker_die(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/* malloc and friends that die out of memory; calloc zeroes. */
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

/* Sleeps up to us, whatever happens: for a few milliseconds at most. */
void worker_sleep_us(int64_t us);

/* Full-jitter backoff: the next wait in ms for the n-th failure (n from 0),
 * random in [base/2, min(cap, base * 2^n)]. */
int worker_backoff(int n, int base, int cap);

/* ------------------------------------------------------------------- redis */

struct redisContext;

/* For callers that do not use redis/redis.h yet. */
struct redisContext *worker_redis_connect(const worker_conf_t *conf,
    int timeout_ms);

#endif
