/*
 * api_limit.c: rate limits.
 *
 * Called from the handlers of limited routes; hands to fanout_account.c. A
 * window of one hour begins with the first request in it. Subjects are hashed
 * with a key, so that Redis holds no phone number. When Redis is unavailable,
 * so is a limited route: letting requests through would invite abuse.
 */

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "api.h"

#define API_LIMIT_WINDOW  3600      /* s */

static void api_limit_header(char *dst, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));


int
api_limit(api_req_t *req, const char *policy, const char *subject, int limit)
{
    /* A development machine requests codes all day. */
    if (req->api->dev_sender && !req->api->conf->limits_forced) {
        return 0;
    }

    return api_limit_always(req, policy, subject, limit);
}


int
api_limit_always(api_req_t *req, const char *policy, const char *subject,
    int limit)
{
    char       name[33];
    uint8_t    hash[16];
    long long  count, left;

    if (limit <= 0) {
        return 0;
    }

    crypto_generichash(hash, sizeof(hash), (const uint8_t *) subject,
                       strlen(subject), req->api->limit_key,
                       sizeof(req->api->limit_key));
    sodium_bin2hex(name, sizeof(name), hash, sizeof(hash));

    if (fanout_account_count(&req->api->redis, policy, name,
                             API_LIMIT_WINDOW, &count, &left) != 0)
    {
        api_reply_error(req, CHAT_E_UNAVAILABLE, "Try again.");
        return -1;
    }

    if (left < 1) {
        left = 1;
    }

    api_limit_header(req->policy, sizeof(req->policy), "\"%s\";q=%d;w=%d",
                     policy, limit, API_LIMIT_WINDOW);
    api_limit_header(req->limit, sizeof(req->limit), "\"%s\";r=%lld;t=%lld",
                     policy, count < limit ? limit - count : 0LL, left);

    if (count > limit) {
        req->retry_after = (unsigned) left;
        api_reply_error(req, CHAT_E_RATE_LIMITED, "Too many tries.");
        return -1;
    }

    return 0;
}


/* An IPv6 household has a /64, which would otherwise be 2^64 subjects. */

void
api_limit_address(api_req_t *req, char dst[64])
{
    const char       *text;
    struct in6_addr   in6;

    text = MHD_lookup_connection_value(req->conn, MHD_HEADER_KIND,
                                       "X-Real-IP");
    if (text == NULL) {
        text = "";
    }

    if (inet_pton(AF_INET6, text, &in6) == 1) {

        if (IN6_IS_ADDR_V4MAPPED(&in6)) {
            inet_ntop(AF_INET, &in6.s6_addr[12], dst, 64);
            return;
        }

        memset(&in6.s6_addr[8], 0, 8);
        inet_ntop(AF_INET6, &in6, dst, 64);
        return;
    }

    snprintf(dst, 64, "%s", text);
}


/* One more item of a list (RFC 9651). */

static void
api_limit_header(char *dst, size_t size, const char *fmt, ...)
{
    size_t   len;
    va_list  ap;

    len = strlen(dst);

    if (len > 0) {
        len += (size_t) snprintf(dst + len, size - len, ", ");
    }

    va_start(ap, fmt);
    vsnprintf(dst + len, size - len, fmt, ap);
    va_end(ap);
}
