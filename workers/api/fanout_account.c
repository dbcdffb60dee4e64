/*
 * fanout_account.c: see fanout_account.h.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_batch.h"
#include "chat_event.h"
#include "chat_keys.h"
#include "fanout_account.h"

#define FANOUT_ACCOUNT_CHUNK   256      /* devices of one ZADD and batch */

/* beyond every time, exact in a double */
#define FANOUT_ACCOUNT_FOREVER "9007199254740991"

/* One command and its reply; NULL when Redis is unavailable. Under the lock. */
#define fanout_account_query(f, key, ...)                                     \
    (fanout_account_open(f) != 0                                              \
     ? NULL : fanout_account_check(f, redis_call((f)->redis, key,             \
                                                 __VA_ARGS__)))

static int fanout_account_open(fanout_account_t *f);
static redis_reply_t *fanout_account_argv(fanout_account_t *f,
    const char *key, int argc, const char **argv);
static redis_reply_t *fanout_account_check(fanout_account_t *f,
    redis_reply_t *reply);
static int fanout_account_chunk(fanout_account_t *f,
    const fanout_revoked_t *list, size_t n);


void
fanout_account_init(fanout_account_t *f, const worker_conf_t *conf)
{
    memset(f, 0, sizeof(*f));
    f->conf = conf;
    pthread_mutex_init(&f->lock, NULL);
}


void
fanout_account_close(fanout_account_t *f)
{
    redis_close(&f->redis);
    pthread_mutex_destroy(&f->lock);
}


int
fanout_account_count(fanout_account_t *f, const char *policy,
    const char *subject, int window, long long *count_r, long long *left_r)
{
    int             rc;
    char            key[REDIS_KEY_SIZE];
    int64_t         count, left;
    redis_reply_t  *reply;

    /* a counter without expiry, left by a crash of Redis between the two
     * commands, would lock its subject out for ever */
    static const char  script[] =
        "local n = redis.call('INCR', KEYS[1]) "
        "local t = redis.call('TTL', KEYS[1]) "
        "if t < 0 then "
            "redis.call('EXPIRE', KEYS[1], ARGV[1]) t = tonumber(ARGV[1]) "
        "end "
        "return {n, t}";

    redis_key(key, CHAT_KEY_LIMIT, policy, subject);

    pthread_mutex_lock(&f->lock);

    rc = -1;
    reply = fanout_account_query(f, key, "EVAL %s 1 %s %d", script, key,
                                 window);

    if (reply != NULL) {
        if (redis_reply_integer(redis_reply_at(reply, 0), &count) == 0
            && redis_reply_integer(redis_reply_at(reply, 1), &left) == 0)
        {
            *count_r = count;
            *left_r = left;
            rc = 0;
        }
        redis_reply_free(reply);
    }

    pthread_mutex_unlock(&f->lock);

    return rc;
}


int
fanout_account_revoke(fanout_account_t *f, const fanout_revoked_t *list,
    size_t n, int marker)
{
    int             rc;
    size_t          part;
    redis_reply_t  *reply;

    rc = 0;
    pthread_mutex_lock(&f->lock);

    while (n > 0 && rc == 0) {
        part = n < FANOUT_ACCOUNT_CHUNK ? n : FANOUT_ACCOUNT_CHUNK;
        rc = fanout_account_chunk(f, list, part);
        list += part;
        n -= part;
    }

    if (rc == 0 && marker) {
        reply = fanout_account_query(f, CHAT_KEY_REVOKED,
                                     "ZADD " CHAT_KEY_REVOKED " "
                                     FANOUT_ACCOUNT_FOREVER " 0:0");
        if (reply == NULL) {
            rc = -1;
        } else {
            redis_reply_free(reply);
        }
    }

    pthread_mutex_unlock(&f->lock);

    return rc;
}


int
fanout_account_marked(fanout_account_t *f, int *marked_r)
{
    int             rc;
    redis_reply_t  *reply;

    rc = -1;
    pthread_mutex_lock(&f->lock);

    reply = fanout_account_query(f, CHAT_KEY_REVOKED,
                                 "ZSCORE " CHAT_KEY_REVOKED " 0:0");
    if (reply != NULL) {
        *marked_r = redis_reply_text(reply) != NULL;
        redis_reply_free(reply);
        rc = 0;
    }

    pthread_mutex_unlock(&f->lock);

    return rc;
}


int
fanout_account_trim(fanout_account_t *f, int64_t now)
{
    int             rc;
    char            score[24];
    redis_reply_t  *reply;

    rc = -1;
    snprintf(score, sizeof(score), "(%lld", (long long) now);

    pthread_mutex_lock(&f->lock);

    reply = fanout_account_query(f, CHAT_KEY_REVOKED, "ZREMRANGEBYSCORE "
                                 CHAT_KEY_REVOKED " -inf %s", score);
    if (reply != NULL) {
        redis_reply_free(reply);
        rc = 0;
    }

    pthread_mutex_unlock(&f->lock);

    return rc;
}


int
fanout_account_refresh(fanout_account_t *f, uint64_t user)
{
    int             rc;
    uint8_t         body[CHAT_USER_SIZE], data[512];
    chat_event_t    ev;
    redis_reply_t  *reply;

    chat_user_encode(user, body);

    memset(&ev, 0, sizeof(ev));
    ev.type = CHAT_EV_REFRESH;
    ev.received = worker_ms();
    ev.body.data = (const char *) body;
    ev.body.len = sizeof(body);

    chat_event_encode(&ev, data);

    rc = -1;
    pthread_mutex_lock(&f->lock);

    reply = fanout_account_query(f, CHAT_KEY_PRESENCE, "XADD "
                                 CHAT_KEY_PRESENCE " MAXLEN ~ %d * "
                                 CHAT_EVENT_FIELD " %b", CHAT_PRESENCE_MAXLEN,
                                 data, chat_event_size(&ev));
    if (reply != NULL) {
        redis_reply_free(reply);
        rc = 0;
    }

    pthread_mutex_unlock(&f->lock);

    return rc;
}


int
fanout_account_ping(fanout_account_t *f)
{
    int             rc;
    redis_reply_t  *reply;

    rc = -1;
    pthread_mutex_lock(&f->lock);

    reply = fanout_account_query(f, REDIS_ANY_NODE, "PING");
    if (reply != NULL) {
        redis_reply_free(reply);
        rc = 0;
    }

    pthread_mutex_unlock(&f->lock);

    return rc;
}


/* Under the lock. */

static int
fanout_account_chunk(fanout_account_t *f, const fanout_revoked_t *list,
    size_t n)
{
    int             argc, rc;
    char            scores[FANOUT_ACCOUNT_CHUNK][24];
    char            members[FANOUT_ACCOUNT_CHUNK][48];
    size_t          i, mark;
    chat_buf_t      batch = CHAT_BUF_INIT;
    chat_rec_t      rec;
    redis_reply_t  *reply;
    const char     *argv[2 + 2 * FANOUT_ACCOUNT_CHUNK];

    argc = 0;
    argv[argc++] = "ZADD";
    argv[argc++] = CHAT_KEY_REVOKED;
    chat_batch_begin(&batch);

    for (i = 0; i < n; i++) {
        snprintf(scores[i], sizeof(scores[i]), "%lld",
                 (long long) list[i].until);
        snprintf(members[i], sizeof(members[i]), "%llu:%llu",
                 (unsigned long long) list[i].user,
                 (unsigned long long) list[i].device);
        argv[argc++] = scores[i];
        argv[argc++] = members[i];

        memset(&rec, 0, sizeof(rec));
        rec.type = CHAT_REC_REVOKE;
        rec.user = list[i].user;
        rec.device = list[i].device;
        rec.expires = list[i].until;
        chat_batch_rec(&batch, &rec, &mark);
        chat_batch_end(&batch, mark);
    }

    rc = -1;
    reply = batch.failed ? NULL : fanout_account_argv(f, CHAT_KEY_REVOKED, argc,
                                                     argv);

    if (reply != NULL) {
        redis_reply_free(reply);

        reply = fanout_account_query(f, CHAT_CHANNEL_ALL, "PUBLISH "
                                     CHAT_CHANNEL_ALL " %b", batch.data,
                                     batch.len);
        if (reply != NULL) {
            redis_reply_free(reply);
            rc = 0;
        }
    }

    chat_buf_free(&batch);

    return rc;
}


static redis_reply_t *
fanout_account_argv(fanout_account_t *f, const char *key, int argc,
    const char **argv)
{
    if (fanout_account_open(f) != 0) {
        return NULL;
    }

    return fanout_account_check(f, redis_call_argv(f->redis, key, argc, argv,
                                                   NULL));
}


static int
fanout_account_open(fanout_account_t *f)
{
    if (f->redis != NULL) {
        return 0;
    }

    if (worker_mono_ms() < f->next_try) {
        return -1;
    }

    f->redis = redis_connect(f->conf, FANOUT_ACCOUNT_MS);
    if (f->redis == NULL) {
        f->next_try = worker_mono_ms()
                      + worker_backoff(f->failures++, 200, 1000);
        return -1;
    }

    f->failures = 0;

    return 0;
}


/* A connection that timed out may deliver its reply to the next command, so it
 * is closed. An error reply (loading, read-only replica) counts as Redis being
 * unavailable, too. */

static redis_reply_t *
fanout_account_check(fanout_account_t *f, redis_reply_t *reply)
{
    const char  *error;

    if (reply == NULL) {
        worker_log(WORKER_WARN, "redis lost: %s", redis_error(f->redis));
        redis_close(&f->redis);
        return NULL;
    }

    error = redis_reply_error(reply);
    if (error == NULL) {
        return reply;
    }

    worker_log(WORKER_WARN, "redis refuses: %.*s", (int) strcspn(error, " "),
               error);
    redis_reply_free(reply);
    redis_close(&f->redis);
    f->next_try = worker_mono_ms() + 200;

    return NULL;
}
