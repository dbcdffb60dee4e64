/*
 * message_linger.c: under load, a batch waits for more messages.
 *
 * Called from message_worker.c (load) and message_batch.c (the wait); pure but
 * for the clock and the sleep.
 *
 * A commit costs the database as much as a dozen rows and wakes four
 * processes, so under load larger batches pay. While reads follow each other
 * without a pause, there is one read in each window of linger_us, shortly
 * after its beginning, when the writes of the edges have arrived: the edges
 * cut the same windows from the wall clock (chat_linger). A batch that takes
 * longer than its window is followed by the next one at once. When idle,
 * events are written immediately. The wait comes after PUBLISH, so it delays
 * nothing that is committed.
 */

#include "message.h"

#define MESSAGE_BUSY_READS  8       /* reads without a pause: under load    */
#define MESSAGE_ARRIVAL_US  150     /* until writes of the edges arrive     */


void
message_linger_load(message_t *m, size_t n)
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


void
message_linger(const message_t *m)
{
    int64_t  window, passed, since_read;

    window = m->worker->conf->linger_us;

    if (m->busy_reads < MESSAGE_BUSY_READS || window == 0) {
        return;
    }

    /* since the beginning of the window in which the last read was */
    since_read = worker_mono_us() - m->read_us;
    passed = (worker_us() - MESSAGE_ARRIVAL_US - since_read) % window
             + since_read;

    worker_sleep_us(window - passed);
}
