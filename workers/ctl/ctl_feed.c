/*
 * ctl_feed.c: chatctl feed: who consumes the feed of committed entries.
 *
 * Called from ctl_main.c. Hands to workers/feed/ and Redis.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chat_keys.h"
#include "chat_proto.h"
#include "ctl.h"
#include "feed.h"

#define CTL_REDIS_MS  5000

static int ctl_feed(const worker_conf_t *conf, int argc, char **argv);
static int ctl_feed_list(redis_t *r);
static int ctl_feed_role(redis_t *r, const char *role, int64_t heartbeat);
static int ctl_feed_group(redis_t *r, const char *key, const char *role,
    int64_t *lag, int64_t *pending);
static const redis_reply_t *ctl_feed_field(const redis_reply_t *group,
    const char *name);
static int ctl_feed_streams(redis_t *r);
static int ctl_feed_stats(redis_t *r);
static int ctl_feed_drop(redis_t *r, const char *role);

const ctl_command_t  ctl_command_feed = {
    "feed", "[drop ROLE]",
    "Lists the roles that consume the feed of committed entries, each with\n"
    "what it has not read (lag), has read and not acknowledged (pending), both\n"
    "in stream entries over all shards, and the age of its last heartbeat;\n"
    "then how many stream entries Redis holds, and the counters.\n"
    "  drop    unregisters a role that is switched off: it holds nothing\n"
    "          back any more. A consumer that still runs registers it again.\n"
    "Exit code 1 also when there is no such role.\n",
    ctl_feed
};


static int
ctl_feed(const worker_conf_t *conf, int argc, char **argv)
{
    int       rc;
    redis_t  *r;

    if (argc != 1 && (argc != 3 || strcmp(argv[1], "drop") != 0
                      || !feed_role_valid(argv[2])))
    {
        return -1;
    }

    r = redis_connect(conf, CTL_REDIS_MS);
    if (r == NULL) {
        return ctl_fail("Redis cannot be reached");
    }

    rc = argc == 1 ? ctl_feed_list(r) : ctl_feed_drop(r, argv[2]);
    redis_close(&r);

    return rc;
}


static int
ctl_feed_list(redis_t *r)
{
    int             rc;
    size_t          i;
    const char     *role;
    redis_reply_t  *reply;

    reply = redis_call(r, CHAT_KEY_FEED_ROLES,
                       "ZRANGE " CHAT_KEY_FEED_ROLES " 0 -1 WITHSCORES");

    if (reply == NULL || redis_reply_error(reply) != NULL) {
        redis_reply_free(reply);
        return ctl_fail("Redis cannot be read");
    }

    rc = 0;
    printf("role                                  lag   pending  heartbeat\n");

    for (i = 0; i + 1 < redis_reply_count(reply) && rc == 0; i += 2) {
        role = redis_reply_text(redis_reply_at(reply, i));
        rc = ctl_feed_role(r, role,
                           strtoll(redis_reply_text(redis_reply_at(reply,
                                                                   i + 1)),
                                   NULL, 10));
    }

    redis_reply_free(reply);

    if (rc == 0) {
        rc = ctl_feed_streams(r);
    }

    if (rc == 0) {
        rc = ctl_feed_stats(r);
    }

    return rc == 0 ? 0 : ctl_fail("Redis cannot be read");
}


static int
ctl_feed_role(redis_t *r, const char *role, int64_t heartbeat)
{
    char      key[REDIS_KEY_SIZE];
    int64_t   lag, pending, age;
    unsigned  i;

    lag = 0;
    pending = 0;

    for (i = 0; i < CHAT_SHARDS; i++) {
        if (ctl_feed_group(r, redis_key(key, CHAT_KEY_COMMITTED, i), role,
                           &lag, &pending) != 0)
        {
            return -1;
        }
    }

    age = worker_ms() - heartbeat;

    printf("%-32s %8" PRId64 "  %8" PRId64 "  %" PRId64 " ms ago%s\n", role,
           lag, pending, age, age > CHAT_FEED_DEAD_MS ? " (dead)" : "");

    return 0;
}


/* Adds what the role's group has of one stream. Redis does not know the lag of
 * a group that begins behind entries which were trimmed; then nothing of the
 * stream counts as read. */

static int
ctl_feed_group(redis_t *r, const char *key, const char *role, int64_t *lag,
    int64_t *pending)
{
    size_t                i;
    int64_t               n, length;
    redis_reply_t        *groups, *reply;
    const char           *name;
    const redis_reply_t  *group;

    redis_append(r, key, "XINFO GROUPS %s", key);
    redis_append(r, key, "XLEN %s", key);

    groups = redis_read(r);
    reply = redis_read(r);

    if (groups == NULL || reply == NULL) {
        redis_reply_free(groups);
        redis_reply_free(reply);
        return -1;
    }

    (void) redis_reply_integer(reply, &length);

    for (i = 0; i < redis_reply_count(groups); i++) {
        group = redis_reply_at(groups, i);
        name = redis_reply_text(ctl_feed_field(group, "name"));

        if (name == NULL || strcmp(name, role) != 0) {
            continue;
        }

        (void) redis_reply_integer(ctl_feed_field(group, "pending"), &n);
        *pending += n;

        *lag += redis_reply_integer(ctl_feed_field(group, "lag"), &n) == 0
                ? n : length;
    }

    redis_reply_free(groups);
    redis_reply_free(reply);

    return 0;
}


static const redis_reply_t *
ctl_feed_field(const redis_reply_t *group, const char *name)
{
    size_t       i;
    const char  *text;

    for (i = 0; i + 1 < redis_reply_count(group); i += 2) {
        text = redis_reply_text(redis_reply_at(group, i));

        if (text != NULL && strcmp(text, name) == 0) {
            return redis_reply_at(group, i + 1);
        }
    }

    return NULL;
}


static int
ctl_feed_streams(redis_t *r)
{
    char            key[REDIS_KEY_SIZE];
    int64_t         n, sum;
    unsigned        i;
    redis_reply_t  *reply;

    for (i = 0; i < CHAT_SHARDS; i++) {
        (void) redis_key(key, CHAT_KEY_COMMITTED, i);
        redis_append(r, key, "XLEN %s", key);
    }

    for (sum = 0, i = 0; i < CHAT_SHARDS; i++) {
        reply = redis_read(r);
        if (reply == NULL) {
            return -1;
        }

        (void) redis_reply_integer(reply, &n);
        redis_reply_free(reply);
        sum += n;
    }

    printf("\nstored %" PRId64 "\n", sum);

    return 0;
}


static int
ctl_feed_stats(redis_t *r)
{
    size_t          i;
    redis_reply_t  *reply;

    reply = redis_call(r, CHAT_KEY_FEED_STATS, "HGETALL " CHAT_KEY_FEED_STATS);
    if (reply == NULL) {
        return -1;
    }

    for (i = 0; i + 1 < redis_reply_count(reply); i += 2) {
        printf("%s %s\n", redis_reply_text(redis_reply_at(reply, i)),
               redis_reply_text(redis_reply_at(reply, i + 1)));
    }

    redis_reply_free(reply);

    return 0;
}


static int
ctl_feed_drop(redis_t *r, const char *role)
{
    int  existed;

    if (feed_drop(r, role, &existed) != 0) {
        return ctl_fail("Redis cannot be written");
    }

    return existed ? 0 : ctl_fail("no role \"%s\"", role);
}
