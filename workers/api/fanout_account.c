/*
 * fanout_account.c: see fanout_account.h.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "chat_batch.h"
#include "chat_event.h"
#include "chat_keys.h"
#include "fanout_account.h"

#define FANOUT_ACCOUNT_CHUNK   256      /* devices of one ZADD and batch */

/* beyond every time, exact in a double */
#define FANOUT_ACCOUNT_FOREVER "9007199254740991"

static int fanout_account_open(fanout_account_t *f);
static redisReply *fanout_account_query(fanout_account_t *f, const char *fmt,
    ...);
static redisReply *fanout_account_argv(fanout_account_t *f, int argc,
    const char **argv, const size_t *lens);
static redisReply *fanout_account_judge(fanout_account_t *f,
    redisReply *reply);
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
    if (f->redis != NULL) {
        redisFree(f->redis);
        f->redis = NULL;
    }

    pthread_mutex_destroy(&f->lock);
}


int
fanout_account_count(fanout_account_t *f, const char *policy,
    const char *subject, int window, long long *count_r, long long *left_r)
{
    int          rc;
    char         key[160];
    redisReply  *reply;

    /* a counter without expiry, left by a crash of Redis between the two,
     * would lock its subject out for ever */
    static const char  script[] =
        "local n = redis.call('INCR', KEYS[1]) "
        "local t = redis.call('TTL', KEYS[1]) "
        "if t < 0 then "
            "redis.call('EXPIRE', KEYS[1], ARGV[1]) t = tonumber(ARGV[1]) "
        "end "
        "return {n, t}";

    snprintf(key, sizeof(key), CHAT_KEY_LIMIT, policy, subject);

    pthread_mutex_lock(&f->lock);

    rc = -1;
    reply = fanout_account_query(f, "EVAL %s 1 %s %d", script, key, window);

    if (reply != NULL) {
        if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
            *count_r = reply->element[0]->integer;
            *left_r = reply->element[1]->integer;
            rc = 0;
        }
        freeReplyObject(reply);
    }

    pthread_mutex_unlock(&f->lock);

    return rc;
}


int
fanout_account_revoke(fanout_account_t *f, const fanout_revoked_t *list,
    size_t n, int marker)
{
    int          rc;
    size_t       part;
    redisReply  *reply;

    rc = 0;
    pthread_mutex_lock(&f->lock);

    while (n > 0 && rc == 0) {
        part = n < FANOUT_ACCOUNT_CHUNK ? n : FANOUT_ACCOUNT_CHUNK;
        rc = fanout_account_chunk(f, list, part);
        list += part;
        n -= part;
    }

    if (rc == 0 && marker) {
        reply = fanout_account_query(f, "ZADD " CHAT_KEY_REVOKED " "
                                   FANOUT_ACCOUNT_FOREVER " 0:0");
        if (reply == NULL) {
            rc = -1;
        } else {
            freeReplyObject(reply);
        }
    }

    pthread_mutex_unlock(&f->lock);

    return rc;
}


int
fanout_account_marked(fanout_account_t *f, int *marked_r)
{
    int          rc;
    redisReply  *reply;

    rc = -1;
    pthread_mutex_lock(&f->lock);

    reply = fanout_account_query(f, "ZSCORE " CHAT_KEY_REVOKED " 0:0");
    if (reply != NULL) {
        *marked_r = reply->type == REDIS_REPLY_STRING;
        freeReplyObject(reply);
        rc = 0;
    }

    pthread_mutex_unlock(&f->lock);

    return rc;
}


int
fanout_account_trim(fanout_account_t *f, int64_t now)
{
    int          rc;
    char         score[24];
    redisReply  *reply;

    rc = -1;
    snprintf(score, sizeof(score), "(%lld", (long long) now);

    pthread_mutex_lock(&f->lock);

    reply = fanout_account_query(f, "ZREMRANGEBYSCORE " CHAT_KEY_REVOKED
                               " -inf %s", score);
    if (reply != NULL) {
        freeReplyObject(reply);
        rc = 0;
    }

    pthread_mutex_unlock(&f->lock);

    return rc;
}


int
fanout_account_refresh(fanout_account_t *f, uint64_t user)
{
    int            rc;
    uint8_t        body[CHAT_USER_SIZE], data[512];
    redisReply    *reply;
    chat_event_t   ev;

    chat_user_encode(user, body);

    memset(&ev, 0, sizeof(ev));
    ev.type = CHAT_EV_REFRESH;
    ev.received = worker_ms();
    ev.body.data = (const char *) body;
    ev.body.len = sizeof(body);

    chat_event_encode(&ev, data);

    rc = -1;
    pthread_mutex_lock(&f->lock);

    reply = fanout_account_query(f, "XADD " CHAT_KEY_PRESENCE " MAXLEN ~ %d * "
                               CHAT_EVENT_FIELD " %b", CHAT_PRESENCE_MAXLEN,
                               data, chat_event_size(&ev));
    if (reply != NULL) {
        freeReplyObject(reply);
        rc = 0;
    }

    pthread_mutex_unlock(&f->lock);

    return rc;
}


int
fanout_account_ping(fanout_account_t *f)
{
    int          rc;
    redisReply  *reply;

    rc = -1;
    pthread_mutex_lock(&f->lock);

    reply = fanout_account_query(f, "PING");
    if (reply != NULL) {
        freeReplyObject(reply);
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
    int          argc, rc;
    char         scores[FANOUT_ACCOUNT_CHUNK][24];
    char         members[FANOUT_ACCOUNT_CHUNK][48];
    size_t       i, mark, lens[2 + 2 * FANOUT_ACCOUNT_CHUNK];
    chat_buf_t   batch = CHAT_BUF_INIT;
    chat_rec_t   rec;
    redisReply  *reply;
    const char  *argv[2 + 2 * FANOUT_ACCOUNT_CHUNK];

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

    for (i = 0; i < (size_t) argc; i++) {
        lens[i] = strlen(argv[i]);
    }

    rc = -1;
    reply = batch.failed ? NULL : fanout_account_argv(f, argc, argv, lens);

    if (reply != NULL) {
        freeReplyObject(reply);

        reply = fanout_account_query(f, "PUBLISH " CHAT_CHANNEL_ALL " %b",
                                   batch.data, batch.len);
        if (reply != NULL) {
            freeReplyObject(reply);
            rc = 0;
        }
    }

    chat_buf_free(&batch);

    return rc;
}


static redisReply *
fanout_account_query(fanout_account_t *f, const char *fmt, ...)
{
    va_list      ap;
    redisReply  *reply;

    if (fanout_account_open(f) != 0) {
        return NULL;
    }

    va_start(ap, fmt);
    reply = redisvCommand(f->redis, fmt, ap);
    va_end(ap);

    return fanout_account_judge(f, reply);
}


static redisReply *
fanout_account_argv(fanout_account_t *f, int argc, const char **argv,
    const size_t *lens)
{
    if (fanout_account_open(f) != 0) {
        return NULL;
    }

    return fanout_account_judge(f, redisCommandArgv(f->redis, argc, argv,
                                                    lens));
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

    f->redis = worker_redis_connect(f->conf, FANOUT_ACCOUNT_MS);
    if (f->redis == NULL) {
        f->next_try = worker_mono_ms()
                      + worker_backoff(f->failures++, 200, 1000);
        return -1;
    }

    f->failures = 0;

    return 0;
}


/* A connection that gave no answer may give it to the next question: gone.
 * An error as answer (loading, read-only replica) is Redis being away, too. */

static redisReply *
fanout_account_judge(fanout_account_t *f, redisReply *reply)
{
    if (reply == NULL) {
        worker_log(WORKER_WARN, "redis lost: %s", f->redis->errstr);
        redisFree(f->redis);
        f->redis = NULL;
        return NULL;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        worker_log(WORKER_WARN, "redis refuses: %.*s",
                   (int) strcspn(reply->str, " "), reply->str);
        freeReplyObject(reply);
        redisFree(f->redis);
        f->redis = NULL;
        f->next_try = worker_mono_ms() + 200;
        return NULL;
    }

    return reply;
}
