/*
 * message_away.c: life without PostgreSQL.
 *
 * Called from message_worker.c. Two seconds are bridged in silence; then who
 * sends is told `unavailable` rather than left waiting. Only while no worker
 * at all has the database: if one has, the shards are its, and their events
 * too. That is why our heartbeat ends with our connection.
 */

#include <stdlib.h>
#include <string.h>

#include "on.h"

#define MESSAGE_AWAY_BLOCK  100

/* An event in memory of its own, still pending in its stream. */
struct message_held_s {
    unsigned   shard;
    char       id[48];
    char      *raw;
    size_t     len;
};

static void message_away_held(message_t *m);
static void message_away_refuse(message_t *m, message_item_t *items,
    size_t n);
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
    message_hold_none(m);
    m->beat_at = 0;
    m->take_at = 0;
    worker_log(WORKER_INFO, "database connected");

    return 0;
}


void
message_store_lost(message_t *m)
{
    store_chat_close(m->store);
    message_shard_drop_all(m);

    m->away_at = worker_mono_ms();
    m->connect_at = 0;

    message_beat_end(m);
}


void
message_away(message_t *m)
{
    message_read_t  read;

    if (worker_mono_ms() - m->away_at < MESSAGE_AWAY_MS) {
        worker_sleep(20);
        return;
    }

    if (message_beat_others(m)) {
        message_hold_none(m);
        worker_sleep(MESSAGE_AWAY_BLOCK);
        return;
    }

    message_away_held(m);

    if (m->redis == NULL
        || message_stream_read(m, UINT64_MAX, MESSAGE_AWAY_BLOCK, &read) != 0)
    {
        return;
    }

    if (read.n > 0) {
        message_away_refuse(m, read.items, read.n);
    }

    message_stream_free(&read);
}


/* What may have been committed, or was, must not be refused: it stays
 * pending. */

void
message_hold(message_t *m, const message_item_t *items, size_t n)
{
    size_t                  i;
    struct message_held_s  *h;

    m->held = worker_realloc(m->held, (m->nheld + n) * sizeof(*m->held));

    for (i = 0; i < n; i++) {

        if (items[i].redo) {
            continue;
        }

        h = &m->held[m->nheld++];
        h->shard = items[i].shard;
        memcpy(h->id, items[i].id, sizeof(h->id));
        h->len = items[i].raw.len;
        h->raw = worker_calloc(1, h->len + 1);

        if (h->len != 0) {
            memcpy(h->raw, items[i].raw.data, h->len);
        }
    }
}


void
message_hold_none(message_t *m)
{
    size_t  i;

    for (i = 0; i < m->nheld; i++) {
        free(m->held[i].raw);
    }

    free(m->held);
    m->held = NULL;
    m->nheld = 0;
}


static void
message_away_held(message_t *m)
{
    size_t           i;
    message_item_t  *items;

    if (m->nheld == 0) {
        return;
    }

    items = worker_calloc(m->nheld, sizeof(*items));

    for (i = 0; i < m->nheld; i++) {
        items[i].shard = m->held[i].shard;
        memcpy(items[i].id, m->held[i].id, sizeof(items[i].id));
        items[i].raw.data = m->held[i].raw;
        items[i].raw.len = m->held[i].len;
        items[i].broken = 1;
        message_item_decode(&items[i]);
    }

    message_away_refuse(m, items, m->nheld);

    for (i = 0; i < m->nheld; i++) {
        message_item_free(&items[i]);
    }

    free(items);
    message_hold_none(m);
}


static void
message_away_refuse(message_t *m, message_item_t *items, size_t n)
{
    size_t  i;

    worker_log(WORKER_WARN, "database away: refused=%zu", n);

    for (i = 0; i < n; i++) {
        message_away_answer(m, &items[i]);
    }

    if (message_redis_settle(m) != 0) {
        return;
    }

    if (fanout_publish(m->out) != 0 || fanout_confirm(m->out) != 0) {
        (void) message_redis_lost(m, "PUBLISH");
        return;
    }

    message_stream_ack(m, items, n);
    (void) message_redis_settle(m);
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
