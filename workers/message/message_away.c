/*
 * message_away.c: life without PostgreSQL.
 *
 * Called from message_worker.c. Two seconds are bridged in silence; then who
 * sends is told `unavailable` rather than left waiting. Only while no worker
 * at all has the database: if one has, the shards are its, and their events
 * too. That is why our heartbeat ends with our connection.
 */

#include <string.h>

#include <hiredis/hiredis.h>

#include "chat_keys.h"
#include "on.h"

#define MESSAGE_AWAY_BLOCK  100

static int message_away_others(message_t *m);
static void message_away_answer(message_t *m, message_item_t *item);


int
message_store_open(message_t *m)
{
    int      fresh;
    int64_t  now;

    if (store_chat_connected(m->store)) {
        return 0;
    }

    now = worker_mono_ms();

    if (m->away_at == 0) {
        m->away_at = now;
    }

    if (now < m->connect_at) {
        return -1;
    }

    if (store_chat_connect(m->store, &fresh) != STORE_OK) {
        m->connect_at = worker_mono_ms()
                        + worker_backoff(m->connect_n++, 50, 1000);
        return -1;
    }

    m->away_at = 0;
    m->connect_n = 0;
    m->beat_at = 0;
    m->take_at = 0;
    worker_log(WORKER_INFO, "database connected");

    return 0;
}


void
message_store_lost(message_t *m)
{
    redisReply  *reply;

    store_chat_close(m->store);
    message_shard_drop_all(m);

    m->away_at = worker_mono_ms();
    m->connect_at = 0;

    if (m->redis != NULL && message_redis_settle(m) == 0) {
        reply = redisCommand(m->redis, "ZREM " CHAT_KEY_WORKERS " %s",
                             m->worker->id, "message");
        freeReplyObject(reply);
    }
}


void
message_away(message_t *m)
{
    size_t          i;
    message_read_t  read;

    if (worker_mono_ms() - m->away_at < MESSAGE_AWAY_MS) {
        worker_sleep(20);
        return;
    }

    i = (size_t) message_away_others(m);

    if (i != 0) {
        worker_sleep(MESSAGE_AWAY_BLOCK);
        return;
    }

    if (message_stream_read(m, UINT64_MAX, MESSAGE_AWAY_BLOCK, &read) != 0) {
        return;
    }

    for (i = 0; i < read.n; i++) {
        message_away_answer(m, &read.items[i]);
    }

    if (read.n > 0) {
        worker_log(WORKER_WARN, "database away: refused=%zu", read.n);

        if (message_redis_settle(m) == 0) {

            if (fanout_publish(m->out) != 0) {
                (void) message_redis_lost(m, "PUBLISH");

            } else {
                message_stream_ack(m, read.items, read.n);
                (void) message_redis_settle(m);
            }
        }
    }

    message_stream_free(&read);
}


/* Whether others have a heartbeat; also when Redis does not say. */

static int
message_away_others(message_t *m)
{
    int          n;
    redisReply  *reply;

    if (message_redis_settle(m) != 0) {
        return 1;
    }

    reply = redisCommand(m->redis, "ZCOUNT workers:message %lld +inf",
                         (long long) worker_ms() - 3000);
    if (reply == NULL) {
        (void) message_redis_lost(m, "ZCOUNT");
        return 1;
    }

    n = reply->type == REDIS_REPLY_INTEGER ? (int) reply->integer : 1;
    freeReplyObject(reply);

    return n;
}


/* Marks come again with the next one, and typing has passed. */

static void
message_away_answer(message_t *m, message_item_t *item)
{
    if (item->broken) {
        item->failures++;
        (void) message_dead(m, item, "not an event of this shard");
        return;
    }

    if (item->ev.type != CHAT_EV_MARKS && item->ev.type != CHAT_EV_TYPING) {
        on_refuse(m, item, CHAT_E_UNAVAILABLE,
                  "The service cannot store anything at the moment.");
    }
}
