/*
 * redis_tracking.c: client-side caching: which keys have changed.
 *
 * Called from fanout_route.c. Hands to hiredis. CLIENT TRACKING with REDIRECT:
 * what was read on one connection and then changed is named on a second one,
 * which subscribes to __redis__:invalidate (RESP2). OPTIN, for the first
 * connection reads streams too and every XADD would be named; NOLOOP, for the
 * caller knows what it changes itself.
 */

#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "redis_private.h"

#define REDIS_TRACKING_MS  2000     /* limit of one reply                   */

struct redis_tracking_s {
    redis_t                  *redis;    /* borrowed                         */
    redis_t                  *invalid;  /* the second connection            */
    redis_tracking_handler_t  handler;
};

static int redis_tracking_start(redis_tracking_t *t);
static int redis_tracking_refused(redis_reply_t *reply, int type);
static void redis_tracking_notify(redis_tracking_t *t,
    const redisReply *reply);


redis_tracking_t *
redis_tracking_open(redis_t *r, const worker_conf_t *conf,
    const redis_tracking_handler_t *handler)
{
    redis_tracking_t  *t;

    t = worker_calloc(1, sizeof(*t));
    t->redis = r;
    t->handler = *handler;
    t->invalid = redis_connect(conf, REDIS_TRACKING_MS);

    if (t->invalid == NULL || redis_tracking_start(t) != 0) {
        redis_tracking_close(&t);
    }

    return t;
}


void
redis_tracking_close(redis_tracking_t **tp)
{
    if (*tp == NULL) {
        return;
    }

    redis_close(&(*tp)->invalid);
    free(*tp);
    *tp = NULL;
}


int
redis_tracking_drain(redis_tracking_t *t)
{
    redisReply     *reply;
    redisContext   *c;
    struct pollfd   fd;

    c = t->invalid->context;

    for ( ;; ) {
        fd.fd = c->fd;
        fd.events = POLLIN;
        fd.revents = 0;

        if (poll(&fd, 1, 0) <= 0) {
            return 0;
        }

        if (redisBufferRead(c) != REDIS_OK) {
            worker_log(WORKER_WARN, "redis: invalidations lost: %s",
                       c->errstr);
            return -1;
        }

        for ( ;; ) {
            if (redisGetReplyFromReader(c, (void **) &reply) != REDIS_OK) {
                return -1;
            }

            if (reply == NULL) {
                break;
            }

            redis_tracking_notify(t, reply);
            freeReplyObject(reply);
        }
    }
}


void
redis_tracking_append(redis_tracking_t *t, const char *key, const char *fmt,
    ...)
{
    va_list  args;

    redis_append(t->redis, key, "CLIENT CACHING YES");

    va_start(args, fmt);
    redis_appendv(t->redis, key, fmt, args);
    va_end(args);
}


redis_reply_t *
redis_tracking_read(redis_tracking_t *t)
{
    redis_reply_t  *caching, *reply;

    caching = redis_read(t->redis);

    if (caching == NULL) {
        return NULL;
    }

    reply = redis_read(t->redis);

    /* keys that are not tracked would be believed for ever */
    if (reply != NULL && caching->type == REDIS_REPLY_ERROR) {
        redis_reply_free(reply);
        return caching;
    }

    redis_reply_free(caching);

    return reply;
}


static int
redis_tracking_start(redis_tracking_t *t)
{
    int64_t         id;
    redis_reply_t  *reply;

    reply = redis_call(t->invalid, REDIS_ANY_NODE, "CLIENT ID");
    (void) redis_reply_integer(reply, &id);

    if (redis_tracking_refused(reply, REDIS_REPLY_INTEGER)) {
        return -1;
    }

    reply = redis_call(t->invalid, REDIS_ANY_NODE,
                       "SUBSCRIBE __redis__:invalidate");

    if (redis_tracking_refused(reply, REDIS_REPLY_ARRAY)) {
        return -1;
    }

    reply = redis_call(t->redis, REDIS_ANY_NODE, "CLIENT TRACKING ON "
                       "REDIRECT %lld OPTIN NOLOOP", (long long) id);

    return redis_tracking_refused(reply, REDIS_REPLY_STATUS) ? -1 : 0;
}


/* Frees the reply. 1 after logging, when it is of another type. */

static int
redis_tracking_refused(redis_reply_t *reply, int type)
{
    int          refused;
    const char  *error;

    refused = reply == NULL || reply->type != type;

    if (refused) {
        error = redis_reply_error(reply);
        worker_log(WORKER_WARN, "redis: tracking cannot be turned on%s%s",
                   error ? ": " : "", error ? error : "");
    }

    redis_reply_free(reply);

    return refused;
}


/* ["message", "__redis__:invalidate", [keys]]; without keys: all of them */

static void
redis_tracking_notify(redis_tracking_t *t, const redisReply *reply)
{
    size_t                i;
    chat_str_t            key;
    const char           *kind;
    const redis_reply_t  *keys;

    kind = redis_reply_text(redis_reply_at(reply, 0));

    if (redis_reply_count(reply) != 3 || kind == NULL
        || strcmp(kind, "message") != 0)
    {
        return;
    }

    keys = redis_reply_at(reply, 2);

    if (!redis_reply_is_array(keys)) {
        t->handler.flushed(t->handler.data);
        return;
    }

    for (i = 0; i < redis_reply_count(keys); i++) {
        if (redis_reply_str(redis_reply_at(keys, i), &key) == 0) {
            t->handler.invalid(t->handler.data, &key);
        }
    }
}
