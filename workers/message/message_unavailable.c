/*
 * message_unavailable.c: the message worker without PostgreSQL.
 *
 * Called from message_worker.c and message_batch.c. For two seconds events just
 * wait; after that their senders are answered `unavailable`. This happens only
 * while no worker has the database: a worker that has it owns the shards and
 * their events, which is why a heartbeat ends with the database connection. It
 * happens only for shards that this worker owned: only their last owner knows
 * which of their events may have been committed.
 */

#include <stdlib.h>
#include <string.h>

#include "chat_keys.h"
#include "message.h"
#include "reply.h"

#define MESSAGE_UNAVAILABLE_BLOCK  100

/* An event is refused only by the worker that removes it from the stream, and
 * only while no other worker has become the owner. */
static const char  message_unavailable_script[] =
    "if redis.call('GET',KEYS[2])==ARGV[1] then "
    "return redis.call('XDEL',KEYS[1],ARGV[2]) end return 0";

static int message_unavailable_remove(message_t *m, message_item_t *items,
    size_t n, uint8_t *removed_r);
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


/* An event that was or may have been committed must not be refused: it stays in
 * its stream, and only events after it are refused. */

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
    uint8_t  *removed;

    removed = worker_calloc(n, 1);

    if (message_unavailable_remove(m, items, n, removed) != 0) {
        free(removed);
        return;
    }

    for (refused = 0, i = 0; i < n; i++) {

        /* receipts are sent again with the next one, typing has expired */
        if (!removed[i] || items[i].ev.type == CHAT_EV_RECEIPTS
            || items[i].ev.type == CHAT_EV_TYPING)
        {
            continue;
        }

        reply_refuse(m, &items[i], CHAT_E_UNAVAILABLE,
                     "The service cannot store anything at the moment.");
        refused++;
    }

    free(removed);
    worker_log(WORKER_WARN, "database unavailable: refused=%zu", refused);

    if (fanout_publish(m->out) != 0 || fanout_confirm(m->out) != 0) {
        (void) message_redis_lost(m, "PUBLISH");
    }
}


/* An entry that is no event stays for a worker that can move it to the
 * dead-letter stream. */

static int
message_unavailable_remove(message_t *m, message_item_t *items, size_t n,
    uint8_t *removed_r)
{
    char            key[REDIS_KEY_SIZE];
    size_t          i;
    int64_t         removed;
    redis_reply_t  *reply;

    if (message_redis_drain(m) != 0) {
        return -1;
    }

    for (i = 0; i < n; i++) {
        if (!items[i].broken) {
            redis_key(key, CHAT_KEY_SENT, items[i].shard);
            redis_append(m->redis, key, "EVAL %s 2 %s " CHAT_KEY_SENT_OWNER
                         " %s %s", message_unavailable_script, key,
                         items[i].shard, m->worker->id, items[i].id);
        }
    }

    for (i = 0; i < n; i++) {

        if (items[i].broken) {
            continue;
        }

        reply = redis_read(m->redis);

        if (reply == NULL) {
            return message_redis_lost(m, "EVAL");
        }

        removed_r[i] = redis_reply_integer(reply, &removed) == 0
                       && removed == 1;
        redis_reply_free(reply);
    }

    return 0;
}
