/*
 * message_worker.c: the loop of the message worker.
 *
 * Called from worker_main.c; hands to message_shard.c, message_reclaim.c,
 * message_stream.c, message_batch.c and message_unavailable.c. A batch is what
 * arrived while the last one was written.
 */

#include <string.h>

#include "message_feed.h"

static void message_iterate(message_t *m);
static void message_read_process(message_t *m, message_read_t *read);
static int message_run(worker_t *w);

const worker_role_t  worker_role_message = { "message", message_run };

/* A read that waits longer would delay heartbeats and free shards. */
#define MESSAGE_BLOCK_MS  200


static int
message_run(worker_t *w)
{
    message_t  m;

    memset(&m, 0, sizeof(m));

    m.worker = w;
    m.store = store_chat_open(w->conf, w->id);
    m.cache = message_cache_new(MESSAGE_CACHE_MAX);
    m.out = fanout_new();
    m.batch = message_batch_new();
    m.feed = message_feed_new();

    worker_log(WORKER_INFO, "started id=%s", w->id);

    while (!worker_stopping) {
        message_iterate(&m);
    }

    message_shard_leave(&m);
    message_redis_close(&m);

    message_batch_free(&m.batch);
    message_feed_free(&m.feed);
    fanout_free(&m.out);
    message_cache_free(&m.cache);
    store_chat_free(&m.store);
    chat_buf_free(&m.json);

    worker_log(WORKER_INFO, "stopped");

    return 0;
}


static void
message_iterate(message_t *m)
{
    int             block;
    message_read_t  read;

    if (message_redis_open(m) != 0) {
        return;
    }

    if (fanout_flush(m->out) != 0) {
        (void) message_redis_lost(m, "PUBLISH");
        worker_sleep(worker_backoff(m->redis_n++, 50, 1000));
        return;
    }

    /* committed, and Redis may have lost the events */
    message_feed_send(m);

    if (message_store_open(m) != 0) {
        message_unavailable(m);
        return;
    }

    if (message_shard_tick(m) != 0 || message_feed_tick(m) != 0
        || message_reclaim(m) != 0)
    {
        return;
    }

    if (m->owned == 0) {
        worker_sleep(50);
        return;
    }

    block = m->worker->conf->block_ms;

    if (block > MESSAGE_BLOCK_MS || block <= 0) {
        block = MESSAGE_BLOCK_MS;
    }

    if (message_stream_read(m, message_shard_mask(m), block, &read) != 0) {
        return;
    }

    message_linger_load(m, read.n);
    message_read_process(m, &read);
    message_stream_free(&read);
}


/* When a batch fails, the rest of the read stays in the streams and is
 * reclaimed before anything new is read. */

static void
message_read_process(message_t *m, message_read_t *read)
{
    size_t  i, n, max;

    max = (size_t) m->worker->conf->batch_max;

    for (i = 0; i < read->n; i += n) {
        n = read->n - i < max ? read->n - i : max;

        if (message_process(m, &read->items[i], n) != MESSAGE_DONE
            || message_heartbeat_renew(m) != 0)
        {
            for ( /* void */ ; i < read->n; i++) {
                m->shards[read->items[i].shard].reclaim = 1;
            }

            return;
        }
    }
}
