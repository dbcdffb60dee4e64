/*
 * message_heartbeat.c: heartbeats, ours and those of the other message workers.
 *
 * Called from message_shard.c, message_reclaim.c and message_unavailable.c; hands to
 * Redis. A heartbeat says: I am alive and have the database.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "message.h"

#define MESSAGE_HEARTBEAT_MS    500
#define MESSAGE_FORGET_MS  60000    /* heartbeats older than this are
                                       deleted                              */
#define MESSAGE_PEERS_MAX   1024

#define MESSAGE_WORKERS    "workers:message"    /* CHAT_KEY_WORKERS         */

/* What we know of another worker. Its clock may be wrong, so dead is who has
 * not moved its heartbeat for three seconds of ours. */
struct message_peer_s {
    char     id[64];
    int64_t  score;
    int64_t  moved_at;              /* monotonic, when the score changed    */
    int      moved;                 /* we saw it change                     */
    struct message_peer_s  *next;
};

static void message_heartbeat_refresh(message_t *m, const redisReply *list);
static struct message_peer_s *message_heartbeat_peer(message_t *m,
    const char *id);


int
message_heartbeat(message_t *m, int look)
{
    int64_t      now;
    redisReply  *reply;

    now = worker_ms();
    m->heartbeat_at = worker_mono_ms() + MESSAGE_HEARTBEAT_MS;

    reply = redisCommand(m->redis, "ZADD " MESSAGE_WORKERS " %lld %s",
                         (long long) now, m->worker->id);
    if (reply == NULL) {
        return message_redis_lost(m, "ZADD");
    }

    freeReplyObject(reply);

    if (!look) {
        return 0;
    }

    /* a time of its own: under load it is message_heartbeat_renew() that beats,
     * and who has died would be counted for ever */
    m->peers_at = m->heartbeat_at;

    reply = redisCommand(m->redis, "ZREMRANGEBYSCORE " MESSAGE_WORKERS
                         " -inf (%lld", (long long) now - MESSAGE_FORGET_MS);
    freeReplyObject(reply);

    reply = redisCommand(m->redis, "ZRANGE " MESSAGE_WORKERS
                         " 0 %d WITHSCORES", MESSAGE_PEERS_MAX);
    if (reply == NULL) {
        return message_redis_lost(m, "ZRANGE");
    }

    if (reply->type == REDIS_REPLY_ARRAY) {
        message_heartbeat_refresh(m, reply);
    }

    freeReplyObject(reply);

    return 0;
}


int
message_heartbeat_renew(message_t *m)
{
    if (worker_mono_ms() < m->heartbeat_at) {
        return 0;
    }

    return message_redis_drain(m) != 0 ? -1 : message_heartbeat(m, 0);
}


void
message_heartbeat_end(message_t *m)
{
    redisReply  *reply;

    if (m->redis != NULL && message_redis_drain(m) == 0) {
        reply = redisCommand(m->redis, "ZREM " MESSAGE_WORKERS " %s",
                             m->worker->id);
        freeReplyObject(reply);
    }
}


void
message_heartbeat_free(message_t *m)
{
    struct message_peer_s  *seen;

    while (m->peers != NULL) {
        seen = m->peers;
        m->peers = seen->next;
        free(seen);
    }
}


/* Silent for three seconds of our clock. */

int
message_heartbeat_expired(message_t *m, const char *id)
{
    struct message_peer_s  *seen;

    seen = message_heartbeat_peer(m, id);

    return worker_mono_ms() - seen->moved_at > MESSAGE_DEAD_MS;
}


/* Whether others have a heartbeat; also when Redis does not say. */

int
message_heartbeat_others(message_t *m)
{
    int          others;
    redisReply  *reply;

    if (message_redis_drain(m) != 0) {
        return 1;
    }

    reply = redisCommand(m->redis, "ZCOUNT " MESSAGE_WORKERS " %lld +inf",
                         (long long) worker_ms() - MESSAGE_DEAD_MS);
    if (reply == NULL) {
        (void) message_redis_lost(m, "ZCOUNT");
        return 1;
    }

    others = reply->type != REDIS_REPLY_INTEGER || reply->integer != 0;
    freeReplyObject(reply);

    return others;
}


static void
message_heartbeat_refresh(message_t *m, const redisReply *list)
{
    size_t                  i;
    int64_t                 now, score;
    struct message_peer_s  *seen, **link;

    now = worker_mono_ms();
    m->alive = 0;

    for (i = 0; i + 1 < list->elements; i += 2) {
        seen = message_heartbeat_peer(m, list->element[i]->str);
        score = strtoll(list->element[i + 1]->str, NULL, 10);

        if (seen->score != score) {
            seen->moved = seen->score != 0;
            seen->moved_at = now;
            seen->score = score;
        }

        /* until we have seen it move it is judged by its own clock */
        if (now - seen->moved_at < MESSAGE_DEAD_MS
            && (seen->moved || worker_ms() - score < MESSAGE_DEAD_MS))
        {
            m->alive++;
        }
    }

    for (link = &m->peers; *link != NULL; /* void */ ) {
        seen = *link;

        if (now - seen->moved_at > MESSAGE_FORGET_MS) {
            *link = seen->next;
            free(seen);
            continue;
        }

        link = &seen->next;
    }
}


/* A worker that we hear of for the first time, be it as the holder of a lock,
 * is given three seconds to show a heartbeat: Redis may have been emptied. */

static struct message_peer_s *
message_heartbeat_peer(message_t *m, const char *id)
{
    struct message_peer_s  *seen;

    for (seen = m->peers; seen != NULL; seen = seen->next) {
        if (strcmp(seen->id, id) == 0) {
            return seen;
        }
    }

    seen = worker_calloc(1, sizeof(*seen));
    (void) snprintf(seen->id, sizeof(seen->id), "%s", id);
    seen->moved_at = worker_mono_ms();
    seen->next = m->peers;
    m->peers = seen;

    return seen;
}
