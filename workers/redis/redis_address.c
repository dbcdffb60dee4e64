/*
 * redis_address.c: the address of Redis in workers.conf.
 *
 * Called from redis_connect.c and worker_conf.c; pure.
 *
 *     redis://[[user]:password@]host[:port][/db]
 *     unix:///path[?db=n]
 *
 * Percent-encoding as in RFC 3986, section 2.1; an IPv6 address stands in [].
 */

#include <string.h>

#include "redis_private.h"

static int redis_address_parse_login(const char *p, size_t len,
    redis_address_t *a_r);
static int redis_address_parse_host(const char *p, size_t len,
    redis_address_t *a_r);
static int redis_address_decode(const char *p, size_t len, char *dst,
    size_t size);
static int redis_address_number(const char *p, size_t len, int max);
static int redis_address_hex(int c);


int
redis_address_check(const char *url)
{
    redis_address_t  a;

    return redis_address_parse(url, &a);
}


int
redis_address_parse(const char *url, redis_address_t *a_r)
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

            a_r->db = redis_address_number(query + 4, strlen(query + 4), 1023);
        }

        return (*p != '/' || a_r->db < 0) ? -1
               : redis_address_decode(p, len, a_r->host, sizeof(a_r->host));
    }

    if (strncmp(url, "redis://", 8) != 0) {
        return -1;
    }

    p = url + 8;
    at = strrchr(p, '@');       /* the last: a password may hold one */

    if (at != NULL) {
        if (redis_address_parse_login(p, (size_t) (at - p), a_r) != 0) {
            return -1;
        }

        p = at + 1;
    }

    len = strcspn(p, "/");

    if (p[len] == '/' && p[len + 1] != '\0') {
        a_r->db = redis_address_number(p + len + 1, strlen(p + len + 1), 1023);
        if (a_r->db < 0) {
            return -1;
        }
    }

    return redis_address_parse_host(p, len, a_r);
}


/* [user]:pass */

static int
redis_address_parse_login(const char *p, size_t len, redis_address_t *a_r)
{
    const char  *colon;

    colon = memchr(p, ':', len);
    if (colon == NULL) {
        return -1;
    }

    if (redis_address_decode(p, (size_t) (colon - p), a_r->user,
                            sizeof(a_r->user)) != 0)
    {
        return -1;
    }

    return redis_address_decode(colon + 1, len - (size_t) (colon + 1 - p),
                               a_r->pass, sizeof(a_r->pass));
}


/* host[:port], an IPv6 address in [] */

static int
redis_address_parse_host(const char *p, size_t len, redis_address_t *a_r)
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

        a_r->port = redis_address_number(port + 1, (size_t) (end - port - 1),
                                        65535);
    }

    if (nhost == 0 || a_r->port <= 0) {
        return -1;
    }

    return redis_address_decode(host, nhost, a_r->host, sizeof(a_r->host));
}


/* %XX, as in RFC 3986, section 2.1 */

static int
redis_address_decode(const char *p, size_t len, char *dst, size_t size)
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

        high = redis_address_hex(p[1]);
        low = redis_address_hex(p[2]);

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
redis_address_hex(int c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}


static int
redis_address_number(const char *p, size_t len, int max)
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
