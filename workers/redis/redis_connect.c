/*
 * redis_connect.c: connects, authenticates, selects.
 *
 * Called from the roles and chatctl. Hands to redis_address.c and hiredis.
 * Does not reconnect: replies that were outstanding are lost with a connection,
 * and only the caller knows which commands to send again.
 */

#include <stdio.h>
#include <stdlib.h>

#include "redis_private.h"

#define REDIS_CONNECT_MS  2000

static redisContext *redis_context(const worker_conf_t *conf, int timeout_ms);
static int redis_greet(redisContext *c, const redis_address_t *a);
static int redis_command(redisContext *c, int argc, const char **argv);


redis_t *
redis_connect(const worker_conf_t *conf, int timeout_ms)
{
    redis_t       *r;
    redisContext  *c;

    c = redis_context(conf, timeout_ms);

    if (c == NULL) {
        return NULL;
    }

    r = worker_calloc(1, sizeof(*r));
    r->context = c;

    return r;
}


void
redis_close(redis_t **rp)
{
    redis_t  *r;

    r = *rp;

    if (r == NULL) {
        return;
    }

    redisFree(r->context);
    free(r);
    *rp = NULL;
}


const char *
redis_error(const redis_t *r)
{
    if (r == NULL) {
        return "not connected";
    }

    return r->context->err ? r->context->errstr : "no reply";
}


static redisContext *
redis_context(const worker_conf_t *conf, int timeout_ms)
{
    redisContext     *c;
    struct timeval    tv;
    redis_address_t   a;

    if (redis_address_parse(conf->redis, &a) != 0) {
        worker_log(WORKER_ERROR, "redis address is invalid");
        return NULL;
    }

    tv.tv_sec = REDIS_CONNECT_MS / 1000;
    tv.tv_usec = REDIS_CONNECT_MS % 1000 * 1000;

    c = a.port ? redisConnectWithTimeout(a.host, a.port, tv)
               : redisConnectUnixWithTimeout(a.host, tv);
    if (c == NULL) {
        worker_die("redisConnect: out of memory");
    }

    if (c->err) {
        worker_log(WORKER_WARN, "redis unavailable: %s", c->errstr);
        redisFree(c);
        return NULL;
    }

    if (a.port) {
        redisEnableKeepAlive(c);
    }

    if (redisSetTimeout(c, tv) != REDIS_OK || redis_greet(c, &a) != 0) {
        redisFree(c);
        return NULL;
    }

    tv.tv_sec = timeout_ms / 1000;
    tv.tv_usec = timeout_ms % 1000 * 1000;

    if (redisSetTimeout(c, tv) != REDIS_OK) {
        worker_log(WORKER_WARN, "redis: %s", c->errstr);
        redisFree(c);
        return NULL;
    }

    return c;
}


static int
redis_greet(redisContext *c, const redis_address_t *a)
{
    char         db[16];
    const char  *argv[3];

    if (a->pass[0] != '\0') {
        argv[0] = "AUTH";
        argv[1] = a->user[0] ? a->user : a->pass;
        argv[2] = a->pass;

        if (redis_command(c, a->user[0] ? 3 : 2, argv) != 0) {
            return -1;
        }
    }

    snprintf(db, sizeof(db), "%d", a->db);
    argv[0] = "SELECT";
    argv[1] = db;

    /* also for database 0: a Redis that still loads its file answers with an
     * error here, and not to the first command of the caller */
    return redis_command(c, 2, argv);
}


static int
redis_command(redisContext *c, int argc, const char **argv)
{
    int          rc;
    redisReply  *reply;

    reply = redisCommandArgv(c, argc, argv, NULL);
    if (reply == NULL) {
        worker_log(WORKER_WARN, "redis unavailable: %s: %s", argv[0],
                   c->errstr);
        return -1;
    }

    rc = 0;

    if (reply->type == REDIS_REPLY_ERROR) {
        worker_log(WORKER_WARN, "redis refuses %s: %s", argv[0], reply->str);
        rc = -1;
    }

    freeReplyObject(reply);

    return rc;
}


/* Not yet converted callers. */

struct redisContext *
worker_redis_connect(const worker_conf_t *conf, int timeout_ms)
{
    return redis_context(conf, timeout_ms);
}
