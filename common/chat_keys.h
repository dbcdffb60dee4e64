/*
 * chat_keys.h: the names of everything in Redis.
 *
 * Each key names its shard or user in {...}, so that one Redis, Sentinel or a
 * cluster is a matter of configuration.
 */

#ifndef CHAT_KEYS_H
#define CHAT_KEYS_H

#include <inttypes.h>

/* Streams. The stream of a shard of chats has no consumer group and one reader,
 * the worker that holds the shard's lock in PostgreSQL; an entry stays in the
 * stream until it is processed. Beside it: the id of the worker that read it
 * last, and the number of attempts at entries that a dead owner had begun. */
#define CHAT_KEY_SENT       "message.sent:{%u}"     /* shard of the chat    */
#define CHAT_KEY_SENT_OWNER "message.owner:{%u}"
#define CHAT_KEY_SENT_ATTEMPTS "message.attempts:{%u}" /* hash: id -> n    */
#define CHAT_KEY_SENT_DEAD  "message.sent.dead"     /* fields: e stream id
                                                       error failures at    */
#define CHAT_KEY_SYNC       "session.sync:{%u}" /* user % CHAT_SYNC_SHARDS  */
#define CHAT_GROUP_SYNC     "sync"              /* XGROUP ... MKSTREAM  */

/* The feed of committed entries, docs/feed.md: a stream for each shard of chats
 * with one field, whose value is chat_committed.h, and a consumer group for
 * each role; the roles, a sorted set by the ms of their last heartbeat; and
 * counters, a hash. The message worker writes only while a role is there. */
#define CHAT_KEY_COMMITTED  "message.committed:{%u}"    /* as CHAT_KEY_SENT */
#define CHAT_COMMITTED_FIELD "r"
#define CHAT_KEY_FEED_ROLES "feed.roles"
#define CHAT_KEY_FEED_STATS "feed.stats"
#define CHAT_FEED_ROLE_MAX  32      /* a name: a-z 0-9 . _ -            */
#define CHAT_FEED_DEAD_MS   10000   /* a role without a heartbeat is dead   */

/* Presence: the stream of events from the edges, capped because the oldest are
 * worth the least; the edges that watch a user, a hash that expires: edge hex
 * -> ms of its last WATCH; users without a session that are not yet published
 * as offline, a sorted set by ms; the known edges; the users on each edge. */
#define CHAT_KEY_PRESENCE   "user.presence"
#define CHAT_GROUP_PRESENCE "presence"
#define CHAT_PRESENCE_MAXLEN  100000
#define CHAT_KEY_WATCH      "watch:{%" PRIu64 "}"
#define CHAT_KEY_LEAVING    "presence.leaving"
#define CHAT_KEY_EDGES      "presence.edges"
#define CHAT_KEY_EDGE_USERS "presence.edge:%016" PRIx64

/* s: an edge refreshes the watches of its sessions, or they expire */
#define CHAT_WATCH_REFRESH    300
#define CHAT_WATCH_TTL      900

/* route:{user} is a hash: device -> "<edge hex 16>:<session decimal>", and of
 * a device that disconnected with nothing undelivered "-<device>" -> its
 * clean-disconnect marker: the run_id of Redis, or "?<route>" until that is
 * confirmed. A key that holds only markers expires. */
#define CHAT_KEY_ROUTE      "route:{%" PRIu64 "}"
#define CHAT_MARKER_TTL       "3600"                  /* s */

/* Last part of every script that removes a field of a route's key, KEYS[1]:
 * sets the expiry when only markers are left. */
#define CHAT_ROUTE_LUA_END                                                    \
    "for _,f in ipairs(redis.call('HKEYS',KEYS[1])) do "                      \
    "if string.byte(f)~=45 then return 1 end end "                            \
    "redis.call('EXPIRE',KEYS[1]," CHAT_MARKER_TTL ") return 1"

/*
 * Deletes a dead edge's route: KEYS[1] route:{user}, ARGV device and value. Only
 * while the route still names that session. After the last one the caller sends
 * DEL edge:<id>, on the same connection: an edge that has come back since it was
 * checked has written its key, finds the key missing at its next heartbeat, and
 * writes its routes again. The key of the edge cannot be checked in the script,
 * for it may belong to another hash slot than the route.
 */
#define CHAT_ROUTE_LUA_PURGE                                                  \
    "if redis.call('HGET',KEYS[1],ARGV[1])==ARGV[2] then "                    \
    "redis.call('HDEL',KEYS[1],ARGV[1]) " CHAT_ROUTE_LUA_END                  \
    " end return 0"

/* edge:<hex> is a string with a TTL of 15 s that its edge renews */
#define CHAT_KEY_EDGE       "edge:%016" PRIx64
#define CHAT_EDGE_TTL       15

/* pub/sub: chat_batch.h */
#define CHAT_CHANNEL_EDGE   "edge.%016" PRIx64
#define CHAT_CHANNEL_ALL    "edge.all"

/* sorted set: member "<user>:<device>", score: s since 1970 at which the last
 * of its access tokens has expired. The member "0:0" is always there, so that
 * an emptied Redis is detected; the API worker fills it from PostgreSQL. */
#define CHAT_KEY_REVOKED    "device.revoked"

/* workers: sorted set per role, member = worker's id, score = ms of its last
 * heartbeat (every 500 ms; dead after 3 s) */
#define CHAT_KEY_WORKERS    "workers:%s"

/* rate limits: counter with expiry */
#define CHAT_KEY_LIMIT      "limit:%s:{%s}"

#endif
