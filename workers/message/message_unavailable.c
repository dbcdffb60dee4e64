/*
 * message_unavailable.c: life without PostgreSQL.
 *
 * Called from message_worker.c. Two seconds are bridged in silence; then who
 * sends is told `unavailable` rather than left waiting. Only while no worker
 * at all has the database: if one has, the shards are its, and their events
 * too. That is why our heartbeat ends with our connection. And only of the
 * shards that were ours: what of their streams may have been committed, we
 * alone know.
 */

#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "chat_keys.h"
#include "message.h"
#include "reply.h"

#define MESSAGE_UNAVAILABLE_BLOCK  100

/* An event is refused only by who takes it out of the stream, and that only
 * while nobody has come after us. */
static const char  message_unavailable_script[] =
    "if redis.call('GET',KEYS[2])==ARGV[1] then "
    "return redis.call('XDEL',KEYS[1],ARGV[2]) end return 0";

static int message_unavailable_remove(message_t *m, message_item_t *items, size_t n,
    uint8_t *taken_r);
static void message_unavailable_refuse(message_t *m, message_item_t *items,
    size_t n);


int
message_store_open(message_t *m)
{
    int      fresh;
    int64_t  now;

    if (store_chat_connected(m->store)) {
        return 0;
    }

    now = worker_mono_ms();

    if (m->unavailable_at == 0) {
        m->unavailable_at = now;
    }

    if (now < m->connect_at) {
        return -1;
    }

    if (store_chat_connect(m->store, &fresh) != STORE_OK) {
        m->connect_at = worker_mono_ms()
                        + worker_backoff(m->connect_n++, 50, 1000);
        return -1;
    }

    m->unavailable_at = 0;
    m->unavailable_mask = 0;
    m->connect_n = 0;
    m->heartbeat_at = 0;
    m->take_at = 0;
    message_unavailable_after(m, NULL, 0);
    worker_log(WORKER_INFO, "database connected");

    return 0;
}


void
message_store_lost(message_t *m)
{
    m->unavailable_mask |= message_shard_mask(m);

    store_chat_close(m->store);
    message_shard_drop_all(m);

    m->unavailable_at = worker_mono_ms();
    m->connect_at = 0;

    message_heartbeat_end(m);
}


/* What may have been committed, or was, must not be refused: it stays where it
 * is, and what is refused are events behind it. */

void
message_unavailable_after(message_t *m, const message_item_t *items, size_t n)
{
    size_t            i;
    message_shard_t  *s;

    for (i = 0; items == NULL && i < CHAT_SHARDS; i++) {
        m->shards[i].after[0] = '\0';
    }

    for (i = 0; i < n; i++) {
        s = &m->shards[items[i].shard];
        memcpy(s->after, items[i].id, sizeof(s->after));
    }
}


void
message_unavailable(message_t *m)
{
    message_read_t  read;

    if (worker_mono_ms() - m->unavailable_at < MESSAGE_UNAVAILABLE_MS) {
        worker_sleep(20);
        return;
    }

    if (m->redis == NULL || m->unavailable_mask == 0 || message_heartbeat_others(m)) {
        worker_sleep(MESSAGE_UNAVAILABLE_BLOCK);
        return;
    }

    if (message_stream_read(m, m->unavailable_mask, MESSAGE_UNAVAILABLE_BLOCK, &read) != 0) {
        return;
    }

    if (read.n > 0) {
        message_unavailable_refuse(m, read.items, read.n);
        message_unavailable_after(m, read.items, read.n);
    }

    message_stream_free(&read);
}


static void
message_unavailable_refuse(message_t *m, message_item_t *items, size_t n)
{
    size_t    i, refused;
    uint8_t  *taken;

    taken = worker_calloc(n, 1);

    if (message_unavailable_remove(m, items, n, taken) != 0) {
        free(taken);
        return;
    }

    for (refused = 0, i = 0; i < n; i++) {

        /* marks come again with the next one, and typing has passed */
        if (!taken[i] || items[i].ev.type == CHAT_EV_RECEIPTS
            || items[i].ev.type == CHAT_EV_TYPING)
        {
            continue;
        }

        reply_refuse(m, &items[i], CHAT_E_UNAVAILABLE,
                     "The service cannot store anything at the moment.");
        refused++;
    }

    free(taken);
    worker_log(WORKER_WARN, "database away: refused=%zu", refused);

    if (fanout_publish(m->out) != 0 || fanout_confirm(m->out) != 0) {
        (void) message_redis_lost(m, "PUBLISH");
    }
}


/* What is no event stays for who can set it aside. */

static int
message_unavailable_remove(message_t *m, message_item_t *items, size_t n,
    uint8_t *taken_r)
{
    size_t       i;
    redisReply  *reply;

    if (message_redis_drain(m) != 0) {
        return -1;
    }

    for (i = 0; i < n; i++) {
        if (!items[i].broken) {
            (void) redisAppendCommand(m->redis, "EVAL %s 2 " CHAT_KEY_SENT " "
                                      CHAT_KEY_SENT_OWNER " %s %s",
                                      message_unavailable_script, items[i].shard,
                                      items[i].shard, m->worker->id,
                                      items[i].id);
        }
    }

    for (i = 0; i < n; i++) {

        if (items[i].broken) {
            continue;
        }

        if (redisGetReply(m->redis, (void **) &reply) != REDIS_OK) {
            return message_redis_lost(m, "EVAL");
        }

        taken_r[i] = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
        freeReplyObject(reply);
    }

    return 0;
}
