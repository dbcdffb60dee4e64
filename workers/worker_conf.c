/*
 * worker_conf.c: reads workers.conf by a table with one row per key.
 *
 * Called from worker_main.c, worker_pool.c (again on SIGHUP) and ctl_main.c. The
 * table alone defines keys, defaults and limits; a test compares
 * conf/workers.conf with it. All mistakes are reported, each with its file and
 * line, before the load fails.
 */

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "redis.h"
#include "worker.h"

#define WORKER_CONF_LINE  4096

typedef struct {
    const char  *name;
    size_t       offset;        /* in worker_conf_t                         */
    const char  *value;         /* the default, as it would be written      */
    const char  *words;         /* the allowed words, " one two "; NULL with
                                   max 0: any text                          */
    int          min, max;      /* a number when max > 0                    */
} worker_conf_key_t;

/* offset of a key whose value is in conf->processes, at the key's row */
#define WORKER_CONF_PROCESSES  ((size_t) -1)

#define TEXT(name, value)                                                     \
    { #name, offsetof(worker_conf_t, name), value, NULL, 0, 0 }
#define WORD(name, value, words)                                              \
    { #name, offsetof(worker_conf_t, name), value, words, 0, 0 }
#define NUMBER(name, value, min, max)                                         \
    { #name, offsetof(worker_conf_t, name), #value, NULL, min, max }
/* how many processes of a role the pool runs */
#define PROCESSES(role, value)                                                \
    { "n_" #role, WORKER_CONF_PROCESSES, #value, NULL, 0, 64 }

static const worker_conf_key_t  worker_conf_keys[] = {
    TEXT(pg, "host=/run/postgresql dbname=chat"),
    WORD(chat_store, "postgresql", " postgresql "),
    TEXT(redis, "redis://127.0.0.1:6379/0"),
    TEXT(keys_dir, "/etc/chat/keys"),
    TEXT(run_dir, "/run/chat"),
    TEXT(api_socket, ""),
    WORD(code_sender, "dev", " dev webhook "),
    TEXT(code_webhook_url, ""),
    TEXT(code_webhook_secret, ""),
    TEXT(listen_hint, "127.0.0.1"),
    TEXT(public_url, "http://127.0.0.1"),
    WORD(log_level, "info", " error warn info debug "),
    NUMBER(code_dev_force, 0, 0, 1),
    NUMBER(code_limit_number, 5, 1, 1000000),
    NUMBER(code_limit_address, 20, 1, 1000000),
    NUMBER(login_limit_address, 60, 1, 1000000),
    NUMBER(api_threads, 4, 1, 64),
    NUMBER(batch_max, 256, 1, 1000),
    NUMBER(block_ms, 250, 10, 1000),
    NUMBER(linger_us, 3000, 0, 20000),
    NUMBER(feed_limit, 100000, 1, 100000000),
    PROCESSES(message, 2),
    PROCESSES(api, 1),
    PROCESSES(sync, 1),
    PROCESSES(presence, 1),
};

#define WORKER_CONF_NKEYS                                                     \
    (sizeof(worker_conf_keys) / sizeof(worker_conf_keys[0]))

static int worker_conf_file(const char *file, worker_conf_t *conf,
    uint8_t *seen);
static int worker_conf_line(const char *where, char *line,
    worker_conf_t *conf, uint8_t *seen);
static char *worker_conf_cut(char *line);
static int worker_conf_env(worker_conf_t *conf, uint8_t *seen);
static int worker_conf_set(const char *where, const worker_conf_key_t *key,
    const char *value, worker_conf_t *conf);
static int *worker_conf_number(worker_conf_t *conf,
    const worker_conf_key_t *key);
static int worker_conf_finish(const char *file, worker_conf_t *conf,
    const uint8_t *seen);
static const worker_conf_key_t *worker_conf_find(const char *name);


int
worker_conf_load(const char *file, worker_conf_t *conf_r)
{
    int      bad;
    size_t   i;
    uint8_t  seen[WORKER_CONF_NKEYS];

    memset(conf_r, 0, sizeof(*conf_r));
    memset(seen, 0, sizeof(seen));

    conf_r->processes = worker_calloc(WORKER_CONF_NKEYS, sizeof(int));

    bad = 0;

    for (i = 0; i < WORKER_CONF_NKEYS; i++) {
        bad |= worker_conf_set("default", &worker_conf_keys[i],
                               worker_conf_keys[i].value, conf_r);
    }

    if (file != NULL) {
        bad |= worker_conf_file(file, conf_r, seen);
    }

    bad |= worker_conf_env(conf_r, seen);

    if (!bad) {
        bad = worker_conf_finish(file ? file : "defaults", conf_r, seen);
    }

    if (bad) {
        worker_conf_free(conf_r);
        return -1;
    }

    return 0;
}


void
worker_conf_free(worker_conf_t *conf)
{
    size_t   i;
    char   **text;

    for (i = 0; i < WORKER_CONF_NKEYS; i++) {
        /* max 0: a text; PROCESSES, which has no offset, is a number */
        if (worker_conf_keys[i].max == 0) {
            text = (char **) ((char *) conf + worker_conf_keys[i].offset);
            free(*text);
        }
    }

    free(conf->processes);
    memset(conf, 0, sizeof(*conf));
}


const char *
worker_conf_key(size_t i, const char **value_r)
{
    if (i >= WORKER_CONF_NKEYS) {
        return NULL;
    }

    *value_r = worker_conf_keys[i].value;

    return worker_conf_keys[i].name;
}


int
worker_conf_processes(const worker_conf_t *conf, const char *role)
{
    char                      name[64];
    const worker_conf_key_t  *key;

    snprintf(name, sizeof(name), "n_%s", role);

    key = worker_conf_find(name);
    if (key == NULL || key->offset != WORKER_CONF_PROCESSES) {
        return -1;
    }

    return conf->processes[key - worker_conf_keys];
}


const char *
worker_conf_where(const char *option)
{
    const char  *file;

    if (option != NULL) {
        return option;
    }

    file = getenv(WORKER_CONF_ENV);
    if (file != NULL && *file != '\0') {
        return file;
    }

    return access(WORKER_CONF_FILE, F_OK) == 0 ? WORKER_CONF_FILE : NULL;
}


static int
worker_conf_file(const char *file, worker_conf_t *conf, uint8_t *seen)
{
    int    n, bad;
    char   line[WORKER_CONF_LINE], where[512];
    FILE  *f;

    f = fopen(file, "re");
    if (f == NULL) {
        fprintf(stderr, "%s: %s\n", file, strerror(errno));
        return -1;
    }

    bad = 0;

    for (n = 1; fgets(line, sizeof(line), f) != NULL; n++) {
        snprintf(where, sizeof(where), "%s:%d", file, n);

        if (strchr(line, '\n') == NULL && !feof(f)) {
            fprintf(stderr, "%s: line is longer than %d bytes\n", where,
                    WORKER_CONF_LINE - 2);
            bad = -1;
            break;
        }

        bad |= worker_conf_line(where, line, conf, seen);
    }

    if (ferror(f)) {
        fprintf(stderr, "%s: %s\n", file, strerror(errno));
        bad = -1;
    }

    fclose(f);

    return bad;
}


static int
worker_conf_line(const char *where, char *line, worker_conf_t *conf,
    uint8_t *seen)
{
    char                     *name, *value;
    const worker_conf_key_t  *key;

    name = worker_conf_cut(line);
    if (*name == '\0') {
        return 0;
    }

    value = name + strcspn(name, " \t");

    if (*value != '\0') {
        *value++ = '\0';
        value += strspn(value, " \t");
    }

    key = worker_conf_find(name);
    if (key == NULL) {
        fprintf(stderr, "%s: unknown key \"%s\"\n", where, name);
        return -1;
    }

    if (seen[key - worker_conf_keys]++) {
        fprintf(stderr, "%s: \"%s\" is set twice\n", where, name);
        return -1;
    }

    return worker_conf_set(where, key, value, conf);
}


/* Strips the comment and the surrounding space. A '#' begins a comment at the
 * start of the line or after a space: a URL or a password may contain one. */

static char *
worker_conf_cut(char *line)
{
    char  *p, *end;

    line += strspn(line, " \t");

    for (p = line; *p != '\0'; p++) {
        if (*p == '#' && (p == line || p[-1] == ' ' || p[-1] == '\t')) {
            break;
        }
    }

    for (end = p; end > line && strchr(" \t\r\n", end[-1]) != NULL; end--) {
        /* void */
    }

    *end = '\0';

    return line;
}


/* The environment variable CHAT_<KEY> overrides the file. */

static int
worker_conf_env(worker_conf_t *conf, uint8_t *seen)
{
    int          bad;
    char         name[64];
    size_t       i, n;
    const char  *value;

    bad = 0;

    for (i = 0; i < WORKER_CONF_NKEYS; i++) {
        n = (size_t) snprintf(name, sizeof(name), "CHAT_%s",
                              worker_conf_keys[i].name);

        while (n-- > 0) {
            if (name[n] >= 'a' && name[n] <= 'z') {
                name[n] = (char) (name[n] - 'a' + 'A');
            }
        }

        value = getenv(name);
        if (value != NULL) {
            seen[i] = 1;
            bad |= worker_conf_set(name, &worker_conf_keys[i], value, conf);
        }
    }

    return bad;
}


static int
worker_conf_set(const char *where, const worker_conf_key_t *key,
    const char *value, worker_conf_t *conf)
{
    long    n;
    char   *end, word[64], **text;

    if (key->max > 0) {
        errno = 0;
        n = strtol(value, &end, 10);

        if (errno != 0 || end == value || *end != '\0' || *value == ' '
            || n < key->min || n > key->max)
        {
            fprintf(stderr, "%s: %s must be a number from %d to %d\n", where,
                    key->name, key->min, key->max);
            return -1;
        }

        *worker_conf_number(conf, key) = (int) n;

        return 0;
    }

    if (key->words != NULL) {
        snprintf(word, sizeof(word), " %s ", value);

        if (*value == '\0' || strchr(value, ' ') != NULL
            || strstr(key->words, word) == NULL)
        {
            fprintf(stderr, "%s: %s must be one of:%s\n", where, key->name,
                    key->words);
            return -1;
        }
    }

    text = (char **) ((char *) conf + key->offset);
    free(*text);
    *text = worker_strdup(value);

    return 0;
}


static int *
worker_conf_number(worker_conf_t *conf, const worker_conf_key_t *key)
{
    if (key->offset == WORKER_CONF_PROCESSES) {
        return &conf->processes[key - worker_conf_keys];
    }

    return (int *) ((char *) conf + key->offset);
}


/* Checks that involve more than one key. */

static int
worker_conf_finish(const char *file, worker_conf_t *conf, const uint8_t *seen)
{
    size_t  i;

    if (conf->api_socket[0] == '\0') {
        free(conf->api_socket);
        if (asprintf(&conf->api_socket, "%s/api.sock", conf->run_dir) < 0) {
            worker_die("out of memory");
        }
    }

    for (i = 0; i < WORKER_CONF_NKEYS; i++) {
        if (strstr(worker_conf_keys[i].name, "_limit_") != NULL && seen[i]) {
            conf->limits_forced = 1;
        }
    }

    if (redis_address_check(conf->redis) != 0) {
        fprintf(stderr, "%s: redis must be redis://[[user]:pass@]host[:port]"
                "[/db] or unix:///path[?db=n]\n", file);
        return -1;
    }

    if (strcmp(conf->code_sender, "webhook") == 0
        && strncmp(conf->code_webhook_url, "http://", 7) != 0
        && strncmp(conf->code_webhook_url, "https://", 8) != 0)
    {
        fprintf(stderr, "%s: code_sender webhook needs code_webhook_url\n",
                file);
        return -1;
    }

    return 0;
}


static const worker_conf_key_t *
worker_conf_find(const char *name)
{
    size_t  i;

    for (i = 0; i < WORKER_CONF_NKEYS; i++) {
        if (strcmp(worker_conf_keys[i].name, name) == 0) {
            return &worker_conf_keys[i];
        }
    }

    return NULL;
}
