/*
 * message_worker.c: the loop of the message worker.
 *
 * Called from worker_main.c; hands to everything in this folder. While there
 * is something to read it never waits; a batch is what came while the last one
 * was written.
 */

#include <string.h>

#include "message_feed.h"

static void message_iterate(message_t *m);
static void message_track_load(message_t *m, size_t n);
static void message_read_process(message_t *m, message_read_t *read);
static int message_run(worker_t *w);

const worker_role_t  worker_role_message = { "message", message_run };

#define MESSAGE_BLOCK_MS  200       /* heartbeat and free shards wait too   */
#define MESSAGE_BUSY_READS      8         /* reads without a pause: gather        */
#define MESSAGE_AFTER_US  150       /* until the edges' writes are there    */


static int
message_run(worker_t *w)
{
    message_t  m;

    memset(&m, 0, sizeof(m));

    m.worker = w;
    m.store = store_chat_new(w->conf->pg, w->id);
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
    chat_buf_free(&m.text);

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

    message_track_load(m, read.n);
    message_read_process(m, &read);
    message_stream_free(&read);
}


/*
 * A commit costs the database as much as a dozen rows and wakes four
 * processes, so under load it pays to let a few messages gather: while reads
 * follow each other without a pause, there is one in each window of linger_us,
 * right after its beginning, when the edges have written what they had
 * (chat_linger: the windows are cut from the wall clock, the same for all). A
 * batch that took longer than its window is followed by the next at once. Who
 * writes into silence is served at once. What was committed is on its way by
 * then.
 */

void
message_linger(const message_t *m)
{
    int64_t  window, passed, since;

    window = m->worker->conf->linger_us;

    if (m->busy_reads < MESSAGE_BUSY_READS || window == 0) {
        return;
    }

    /* of the window of the last read, then of this moment */
    since = worker_mono_us() - m->read_us;
    passed = (worker_us() - MESSAGE_AFTER_US - since) % window + since;

    worker_sleep_us(window - passed);
}


static void
message_track_load(message_t *m, size_t n)
{
    int64_t  now;

    if (n == 0) {
        m->busy_reads = 0;
        return;
    }

    now = worker_mono_us();

    if (now - m->read_us > 2 * (int64_t) m->worker->conf->linger_us) {
        m->busy_reads /= 2;
    } else if (m->busy_reads < 2 * MESSAGE_BUSY_READS) {
        m->busy_reads++;
    }

    m->read_us = now;
}


/* What was read and is not processed when something breaks is still in its
 * stream, and may have been begun. */

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
