/*
 * message_heartbeat.c: heartbeats of this and of the other message workers.
 *
 * Called from message_shard.c, message_reclaim.c and message_unavailable.c;
 * hands to workers/redis/. A heartbeat says that the worker is alive and has
 * its database connection.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

#define MESSAGE_HEARTBEAT_MS  500
#define MESSAGE_EXPIRE_MS     60000     /* older heartbeats are deleted     */
#define MESSAGE_PEERS_MAX     1024

#define MESSAGE_WORKERS       "workers:message"     /* CHAT_KEY_WORKERS     */

/* Another worker. Its clock may be wrong, so a worker counts as dead when its
 * heartbeat has not changed for MESSAGE_DEAD_MS by this worker's clock. */
struct message_peer_s {
    char     id[64];
    int64_t  score;
    int64_t  changed_at;            /* monotonic, when the score changed    */
    int      changed;               /* the change was observed              */
    struct message_peer_s  *next;
};

static void message_heartbeat_refresh(message_t *m, const redis_reply_t *list);
static struct message_peer_s *message_heartbeat_peer(message_t *m,
    const char *id);


int
message_heartbeat(message_t *m, int refresh)
{
    int64_t         now;
    redis_reply_t  *reply;

    now = worker_ms();
    m->heartbeat_at = worker_mono_ms() + MESSAGE_HEARTBEAT_MS;

    reply = redis_call(m->redis, MESSAGE_WORKERS,
                       "ZADD " MESSAGE_WORKERS " %lld %s",
                       (long long) now, m->worker->id);
    if (reply == NULL) {
        return message_redis_lost(m, "ZADD");
    }

    redis_reply_free(reply);

    if (!refresh) {
        return 0;
    }

    /* a timer of its own: under load message_heartbeat_renew() sends the
     * heartbeats, and dead workers would be counted for ever */
    m->peers_at = m->heartbeat_at;

    reply = redis_call(m->redis, MESSAGE_WORKERS,
                       "ZREMRANGEBYSCORE " MESSAGE_WORKERS " -inf (%lld",
                       (long long) now - MESSAGE_EXPIRE_MS);
    redis_reply_free(reply);

    reply = redis_call(m->redis, MESSAGE_WORKERS,
                       "ZRANGE " MESSAGE_WORKERS " 0 %d WITHSCORES",
                       MESSAGE_PEERS_MAX);
    if (reply == NULL) {
        return message_redis_lost(m, "ZRANGE");
    }

    if (redis_reply_is_array(reply)) {
        message_heartbeat_refresh(m, reply);
    }

    redis_reply_free(reply);

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
    redis_reply_t  *reply;

    if (m->redis != NULL && message_redis_drain(m) == 0) {
        reply = redis_call(m->redis, MESSAGE_WORKERS,
                       "ZREM " MESSAGE_WORKERS " %s",
                       m->worker->id);
        redis_reply_free(reply);
    }
}


void
message_heartbeat_free(message_t *m)
{
    struct message_peer_s  *peer;

    while (m->peers != NULL) {
        peer = m->peers;
        m->peers = peer->next;
        free(peer);
    }
}


/* No change for MESSAGE_DEAD_MS by this worker's clock. */

int
message_heartbeat_expired(message_t *m, const char *id)
{
    struct message_peer_s  *peer;

    peer = message_heartbeat_peer(m, id);

    return worker_mono_ms() - peer->changed_at > MESSAGE_DEAD_MS;
}


/* Whether other workers have a heartbeat; 1 also when Redis does not answer. */

int
message_heartbeat_others(message_t *m)
{
    int             others;
    int64_t         n;
    redis_reply_t  *reply;

    if (message_redis_drain(m) != 0) {
        return 1;
    }

    reply = redis_call(m->redis, MESSAGE_WORKERS,
                       "ZCOUNT " MESSAGE_WORKERS " %lld +inf",
                       (long long) worker_ms() - MESSAGE_DEAD_MS);
    if (reply == NULL) {
        (void) message_redis_lost(m, "ZCOUNT");
        return 1;
    }

    others = redis_reply_integer(reply, &n) != 0 || n != 0;
    redis_reply_free(reply);

    return others;
}


static void
message_heartbeat_refresh(message_t *m, const redis_reply_t *list)
{
    size_t                  i;
    int64_t                 now, score;
    const char             *id, *text;
    struct message_peer_s  *peer, **link;

    now = worker_mono_ms();
    m->alive = 0;

    for (i = 0; i + 1 < redis_reply_count(list); i += 2) {
        id = redis_reply_text(redis_reply_at(list, i));
        text = redis_reply_text(redis_reply_at(list, i + 1));

        if (id == NULL || text == NULL) {
            continue;
        }

        peer = message_heartbeat_peer(m, id);
        score = strtoll(text, NULL, 10);

        if (peer->score != score) {
            peer->changed = peer->score != 0;
            peer->changed_at = now;
            peer->score = score;
        }

        /* until a change has been observed, the worker's own clock decides */
        if (now - peer->changed_at < MESSAGE_DEAD_MS
            && (peer->changed || worker_ms() - score < MESSAGE_DEAD_MS))
        {
            m->alive++;
        }
    }

    for (link = &m->peers; *link != NULL; /* void */ ) {
        peer = *link;

        if (now - peer->changed_at > MESSAGE_EXPIRE_MS) {
            *link = peer->next;
            free(peer);
            continue;
        }

        link = &peer->next;
    }
}


/* A worker that appears for the first time, for example as the holder of a lock,
 * gets MESSAGE_DEAD_MS to show a heartbeat: Redis may have been emptied. */

static struct message_peer_s *
message_heartbeat_peer(message_t *m, const char *id)
{
    struct message_peer_s  *peer;

    for (peer = m->peers; peer != NULL; peer = peer->next) {
        if (strcmp(peer->id, id) == 0) {
            return peer;
        }
    }

    peer = worker_calloc(1, sizeof(*peer));
    (void) snprintf(peer->id, sizeof(peer->id), "%s", id);
    peer->changed_at = worker_mono_ms();
    peer->next = m->peers;
    m->peers = peer;

    return peer;
}
