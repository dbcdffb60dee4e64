/*
 * message_feed_trim.c: periodic work for the feed.
 *
 * Called from message_worker.c. Hands to Redis. Once a second the worker reads
 * which roles are registered, so that it knows whether to write; every four
 * seconds it trims the shards that it owns and has written to. A script trims,
 * so that no group changes between the look at the groups and XTRIM.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_keys.h"
#include "message_feed.h"

#define MESSAGE_FEED_TICK_MS  1000
#define MESSAGE_FEED_TRIM_MS  4000  /* a script for each busy shard         */

/* KEYS[1] stream, ARGV[1] limit, then the registered roles. A stream entry may
 * go when each of these groups has acknowledged it, so what stays begins at the
 * lowest id that is pending or was never delivered. A role without a group has
 * just registered and holds everything back. Without a role nothing stays.
 * Reply: trimmed, dropped by the limit, left, the role that lags most. */
static const char  message_feed_script[] =
    "local k=KEYS[1] local n=redis.call('XLEN',k) "
    "if n==0 then return {0,0,0,''} end "
    "local function num(id) local a,b=string.match(id,'(%d+)-(%d+)') "
    "return tonumber(a),tonumber(b) end "
    "local function less(x,y) local a,b=num(x) local c,d=num(y) "
    "return a<c or (a==c and b<d) end "
    "local want={} for i=2,#ARGV do want[ARGV[i]]=1 end "
    "local low,who "
    "for _,g in ipairs(redis.call('XINFO','GROUPS',k)) do "
    "local f={} for i=1,#g,2 do f[g[i]]=g[i+1] end "
    "if want[f.name] then want[f.name]=nil local id "
    "if f.pending>0 then id=redis.call('XPENDING',k,f.name)[2] "
    "else local a,b=num(f['last-delivered-id']) "
    "id=string.format('%.0f-%.0f',a,b+1) end "
    "if not low or less(id,low) then low=id who=f.name end "
    "end end "
    "for r in pairs(want) do low='0-1' who=r end "
    "local t if low then t=redis.call('XTRIM',k,'MINID',low) "
    "else t=redis.call('XTRIM',k,'MAXLEN',0) end "
    "local d=0 if n-t>tonumber(ARGV[1]) then "
    "d=redis.call('XTRIM',k,'MAXLEN',ARGV[1]) end "
    "return {t,d,n-t-d,who or ''}";

static int message_feed_roles(message_t *m);
static int message_feed_trim(message_t *m);
static void message_feed_trim_send(message_t *m, const char *sha,
    uint64_t mask);
static void message_feed_trim_reply(message_t *m, unsigned shard,
    const redis_reply_t *reply);
static void message_feed_log_drop(message_t *m, unsigned shard,
    const char *role, long long dropped);
static void message_feed_stats(message_t *m);
static void message_feed_stat(message_t *m, const char *name, uint64_t *n);


int
message_feed_tick(message_t *m)
{
    int64_t          now;
    uint64_t         mask;
    message_feed_t  *feed;

    feed = m->feed;
    now = worker_mono_ms();

    if (now < feed->tick_at) {
        return 0;
    }

    feed->tick_at = now + MESSAGE_FEED_TICK_MS;

    /* the owner before may have left something */
    mask = message_shard_mask(m);
    feed->untrimmed = (feed->untrimmed | (mask & ~feed->owned)) & mask;
    feed->dropping &= mask;
    feed->owned = mask;

    if (message_redis_drain(m) != 0 || message_feed_roles(m) != 0) {
        return -1;
    }

    if (now >= feed->trim_at) {
        feed->trim_at = now + MESSAGE_FEED_TRIM_MS;

        if (message_feed_trim(m) != 0) {
            return -1;
        }
    }

    message_feed_stats(m);

    return 0;
}


static int
message_feed_roles(message_t *m)
{
    size_t                i, n;
    chat_str_t            name;
    const char           *score;
    redis_reply_t        *reply;
    message_feed_t       *feed;
    message_feed_role_t  *role;

    feed = m->feed;

    reply = redis_call(m->redis, CHAT_KEY_FEED_ROLES,
                       "ZRANGE " CHAT_KEY_FEED_ROLES " 0 %d WITHSCORES",
                       MESSAGE_FEED_ROLES_MAX - 1);
    if (reply == NULL) {
        return message_redis_lost(m, "ZRANGE");
    }

    n = 0;

    for (i = 0; i + 1 < redis_reply_count(reply); i += 2) {
        score = redis_reply_text(redis_reply_at(reply, i + 1));

        if (redis_reply_str(redis_reply_at(reply, i), &name) == 0
            && name.len <= CHAT_FEED_ROLE_MAX && score != NULL)
        {
            role = &feed->roles[n++];
            memcpy(role->name, name.data, name.len);
            role->name[name.len] = '\0';
            role->heartbeat = strtoll(score, NULL, 10);
        }
    }

    redis_reply_free(reply);

    if ((n == 0) != (feed->nroles == 0)) {
        worker_log(WORKER_INFO, "feed: %s", n ? "a role is registered, entries "
                   "are written" : "no role is registered, nothing is written");
    }

    feed->nroles = n;

    return 0;
}


static int
message_feed_trim(message_t *m)
{
    int             rc;
    char            sha[41];
    unsigned        i;
    uint64_t        mask;
    const char     *text;
    redis_reply_t  *reply;

    mask = m->feed->untrimmed;

    if (mask == 0) {
        return 0;
    }

    /* each time, for Redis may have been restarted meanwhile */
    reply = redis_call(m->redis, REDIS_ANY_NODE, "SCRIPT LOAD %s",
                       message_feed_script);
    if (reply == NULL) {
        return message_redis_lost(m, "SCRIPT");
    }

    text = redis_reply_error(reply);
    rc = text != NULL ? -1 : 0;

    if (rc != 0) {
        worker_log(WORKER_WARN, "redis refuses SCRIPT LOAD: %s", text);
    }

    text = redis_reply_text(reply);
    (void) snprintf(sha, sizeof(sha), "%s", text ? text : "");
    redis_reply_free(reply);

    if (rc != 0) {
        return 0;
    }

    message_feed_trim_send(m, sha, mask);

    for (i = 0; i < CHAT_SHARDS; i++) {

        if (mask >> i & 1) {
            reply = redis_read(m->redis);

            if (reply == NULL) {
                return message_redis_lost(m, "EVALSHA");
            }

            message_feed_trim_reply(m, i, reply);
            redis_reply_free(reply);
        }
    }

    return 0;
}


static void
message_feed_trim_send(message_t *m, const char *sha, uint64_t mask)
{
    int          argc;
    char         key[REDIS_KEY_SIZE], limit[16];
    size_t       k;
    unsigned     i;
    const char  *argv[5 + MESSAGE_FEED_ROLES_MAX];

    (void) snprintf(limit, sizeof(limit), "%d", m->worker->conf->feed_limit);

    for (i = 0; i < CHAT_SHARDS; i++) {

        if (!(mask >> i & 1)) {
            continue;
        }

        redis_key(key, CHAT_KEY_COMMITTED, i);

        argc = 0;
        argv[argc++] = "EVALSHA";
        argv[argc++] = sha;
        argv[argc++] = "1";
        argv[argc++] = key;
        argv[argc++] = limit;

        for (k = 0; k < m->feed->nroles; k++) {
            argv[argc++] = m->feed->roles[k].name;
        }

        redis_append_argv(m->redis, key, argc, argv, NULL);
    }
}


static void
message_feed_trim_reply(message_t *m, unsigned shard, const redis_reply_t *reply)
{
    int64_t          trimmed, dropped, left;
    uint64_t         bit;
    const char      *role, *error;
    message_feed_t  *feed;

    feed = m->feed;
    bit = UINT64_C(1) << shard;

    if (redis_reply_count(reply) != 4) {
        error = redis_reply_error(reply);
        worker_log(WORKER_WARN, "shard=%u redis refuses to trim the feed: %s",
                   shard, error ? error : "unexpected reply");
        return;
    }

    (void) redis_reply_integer(redis_reply_at(reply, 0), &trimmed);
    (void) redis_reply_integer(redis_reply_at(reply, 1), &dropped);
    (void) redis_reply_integer(redis_reply_at(reply, 2), &left);
    role = redis_reply_text(redis_reply_at(reply, 3));

    feed->trimmed += (uint64_t) trimmed;
    feed->dropped += (uint64_t) dropped;

    if (left == 0) {
        feed->untrimmed &= ~bit;
    }

    if (dropped > 0 && !(feed->dropping & bit)) {
        feed->dropping |= bit;
        message_feed_log_drop(m, shard, role ? role : "?", dropped);

    } else if (left < m->worker->conf->feed_limit) {
        feed->dropping &= ~bit;
    }
}


static void
message_feed_log_drop(message_t *m, unsigned shard, const char *role,
    long long dropped)
{
    size_t   i;
    int64_t  age;

    for (age = -1, i = 0; i < m->feed->nroles; i++) {
        if (strcmp(m->feed->roles[i].name, role) == 0) {
            age = worker_ms() - m->feed->roles[i].heartbeat;
        }
    }

    worker_log(WORKER_WARN, "feed: shard=%u role=%s %s: dropped=%lld beyond "
               "feed_limit=%d, last heartbeat %lld ms ago", shard, role,
               age > CHAT_FEED_DEAD_MS ? "is dead" : "is too slow", dropped,
               m->worker->conf->feed_limit, (long long) age);
}


static void
message_feed_stats(message_t *m)
{
    message_feed_t  *feed;

    feed = m->feed;

    message_feed_stat(m, "written", &feed->written);
    message_feed_stat(m, "stream_entries", &feed->appended);
    message_feed_stat(m, "trimmed_by_ack", &feed->trimmed);
    message_feed_stat(m, "dropped_by_limit", &feed->dropped);
}


static void
message_feed_stat(message_t *m, const char *name, uint64_t *n)
{
    if (*n == 0) {
        return;
    }

    redis_append(m->redis, CHAT_KEY_FEED_STATS, "HINCRBY " CHAT_KEY_FEED_STATS
                 " %s %llu", name, (unsigned long long) *n);
    m->acks++;
    *n = 0;
}
