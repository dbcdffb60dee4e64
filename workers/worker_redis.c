/*
 * worker_redis.c: a blocking connection to Redis.
 *
 * Called from the roles and chatctl; hands to hiredis. Parses the address of
 * workers.conf, connects within two seconds, authenticates, selects. Does not
 * reconnect: a role frees the broken connection and asks for a new one after
 * worker_backoff().
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <hiredis/hiredis.h>

#include "worker.h"

#define WORKER_REDIS_CONNECT_MS  2000

typedef struct {
    char  user[128];            /* "" when absent                           */
    char  pass[512];
    char  host[256];            /* or the socket's path                     */
    int   port;                 /* 0: host is a path                        */
    int   db;
} worker_redis_addr_t;

static int worker_redis_parse(const char *url, worker_redis_addr_t *a_r);
static int worker_redis_parse_login(const char *p, size_t len,
    worker_redis_addr_t *a_r);
static int worker_redis_parse_host(const char *p, size_t len,
    worker_redis_addr_t *a_r);
static int worker_redis_decode(const char *p, size_t len, char *dst,
    size_t size);
static int worker_redis_number(const char *p, size_t len, int max);
static int worker_redis_hex(int c);
static int worker_redis_greet(redisContext *c, const worker_redis_addr_t *a);
static int worker_redis_ask(redisContext *c, const char *what, int argc,
    const char **argv);


redisContext *
worker_redis_connect(const worker_conf_t *conf, int timeout_ms)
{
    redisContext         *c;
    struct timeval        tv;
    worker_redis_addr_t   a;

    if (worker_redis_parse(conf->redis, &a) != 0) {
        worker_log(WORKER_ERROR, "redis address cannot be read");
        return NULL;
    }

    tv.tv_sec = WORKER_REDIS_CONNECT_MS / 1000;
    tv.tv_usec = WORKER_REDIS_CONNECT_MS % 1000 * 1000;

    c = a.port ? redisConnectWithTimeout(a.host, a.port, tv)
               : redisConnectUnixWithTimeout(a.host, tv);
    if (c == NULL) {
        worker_die("redisConnect: out of memory");
    }

    if (c->err) {
        worker_log(WORKER_WARN, "redis away: %s", c->errstr);
        redisFree(c);
        return NULL;
    }

    if (a.port) {
        redisEnableKeepAlive(c);
    }

    if (redisSetTimeout(c, tv) != REDIS_OK || worker_redis_greet(c, &a) != 0) {
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


int
worker_redis_check(const char *url)
{
    worker_redis_addr_t  a;

    return worker_redis_parse(url, &a);
}


static int
worker_redis_parse(const char *url, worker_redis_addr_t *a_r)
{
    size_t       len;
    const char  *p, *at, *query;

    memset(a_r, 0, sizeof(*a_r));

    if (strncmp(url, "unix://", 7) == 0) {
        p = url + 7;
        len = strcspn(p, "?");
        query = p + len;

        if (*query != '\0') {
            if (strncmp(query, "?db=", 4) != 0) {
                return -1;
            }

            a_r->db = worker_redis_number(query + 4, strlen(query + 4), 1023);
        }

        return (*p != '/' || a_r->db < 0) ? -1
               : worker_redis_decode(p, len, a_r->host, sizeof(a_r->host));
    }

    if (strncmp(url, "redis://", 8) != 0) {
        return -1;
    }

    p = url + 8;
    at = strrchr(p, '@');       /* the last: a password may hold one */

    if (at != NULL) {
        if (worker_redis_parse_login(p, (size_t) (at - p), a_r) != 0) {
            return -1;
        }

        p = at + 1;
    }

    len = strcspn(p, "/");

    if (p[len] == '/' && p[len + 1] != '\0') {
        a_r->db = worker_redis_number(p + len + 1, strlen(p + len + 1), 1023);
        if (a_r->db < 0) {
            return -1;
        }
    }

    return worker_redis_parse_host(p, len, a_r);
}


/* [user]:pass */

static int
worker_redis_parse_login(const char *p, size_t len, worker_redis_addr_t *a_r)
{
    const char  *colon;

    colon = memchr(p, ':', len);
    if (colon == NULL) {
        return -1;
    }

    if (worker_redis_decode(p, (size_t) (colon - p), a_r->user,
                            sizeof(a_r->user)) != 0)
    {
        return -1;
    }

    return worker_redis_decode(colon + 1, len - (size_t) (colon + 1 - p),
                               a_r->pass, sizeof(a_r->pass));
}


/* host[:port], an IPv6 address in [] */

static int
worker_redis_parse_host(const char *p, size_t len, worker_redis_addr_t *a_r)
{
    size_t       nhost;
    const char  *host, *end, *port;

    host = p;
    end = p + len;

    if (len > 0 && *p == '[') {
        host = p + 1;
        port = memchr(p, ']', len);
        if (port == NULL) {
            return -1;
        }

        nhost = (size_t) (port - host);
        port++;

    } else {
        port = memchr(p, ':', len);
        if (port == NULL) {
            port = end;
        }

        nhost = (size_t) (port - host);
    }

    a_r->port = 6379;

    if (port != end) {
        if (*port != ':') {
            return -1;
        }

        a_r->port = worker_redis_number(port + 1, (size_t) (end - port - 1),
                                        65535);
    }

    if (nhost == 0 || a_r->port <= 0) {
        return -1;
    }

    return worker_redis_decode(host, nhost, a_r->host, sizeof(a_r->host));
}


/* %XX, as in RFC 3986, section 2.1 */

static int
worker_redis_decode(const char *p, size_t len, char *dst, size_t size)
{
    int          high, low;
    size_t       n;
    const char  *end;

    end = p + len;

    for (n = 0; p < end; n++) {
        if (n + 1 == size) {
            return -1;
        }

        if (*p != '%') {
            dst[n] = *p++;
            continue;
        }

        if (end - p < 3) {
            return -1;
        }

        high = worker_redis_hex(p[1]);
        low = worker_redis_hex(p[2]);

        if (high < 0 || low < 0 || high + low == 0) {
            return -1;
        }

        dst[n] = (char) (high * 16 + low);
        p += 3;
    }

    dst[n] = '\0';

    return 0;
}


static int
worker_redis_hex(int c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}


static int
worker_redis_number(const char *p, size_t len, int max)
{
    int     n;
    size_t  i;

    if (len == 0 || len > 5) {
        return -1;
    }

    for (n = 0, i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return -1;
        }
        n = n * 10 + (p[i] - '0');
    }

    return n > max ? -1 : n;
}


static int
worker_redis_greet(redisContext *c, const worker_redis_addr_t *a)
{
    char         db[16];
    const char  *argv[3];

    if (a->pass[0] != '\0') {
        argv[0] = "AUTH";
        argv[1] = a->user[0] ? a->user : a->pass;
        argv[2] = a->pass;

        if (worker_redis_ask(c, "AUTH", a->user[0] ? 3 : 2, argv) != 0) {
            return -1;
        }
    }

    snprintf(db, sizeof(db), "%d", a->db);
    argv[0] = "SELECT";
    argv[1] = db;

    /* also when it is 0: a Redis that still loads its file says so here */
    return worker_redis_ask(c, "SELECT", 2, argv);
}


static int
worker_redis_ask(redisContext *c, const char *what, int argc,
    const char **argv)
{
    int          rc;
    redisReply  *reply;

    reply = redisCommandArgv(c, argc, argv, NULL);
    if (reply == NULL) {
        worker_log(WORKER_WARN, "redis away: %s: %s", what, c->errstr);
        return -1;
    }

    rc = 0;

    if (reply->type == REDIS_REPLY_ERROR) {
        worker_log(WORKER_WARN, "redis refuses %s: %s", what, reply->str);
        rc = -1;
    }

    freeReplyObject(reply);

    return rc;
}
