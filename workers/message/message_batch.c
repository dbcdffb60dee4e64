/*
 * message_batch.c: one batch from its transaction to its removal.
 *
 * Called from message_worker.c and message_reclaim.c; hands to message_try.c,
 * fanout_publish.c, message_stream.c and message_dead.c.
 *
 * Order of effects: commit, PUBLISH, XDEL. Any other order could lose events.
 * When the worker dies before XDEL the next owner of the shard processes the
 * batch again: duplicates are recognised, and publishing twice is harmless.
 * When Redis is lost after the commit, fanout keeps the publication and
 * message_iterate() flushes it, because Redis may restart without the events.
 */

#include <string.h>

#include "message.h"
#include "message_feed.h"
#include "reply.h"

static message_e message_finish(message_t *m, message_item_t *items,
    size_t n);
static message_e message_postpone(message_t *m, const message_item_t *items,
    size_t n, store_e rc);
static message_e message_dead_letter(message_t *m, message_item_t *item,
    const char *error);


message_e
message_process(message_t *m, message_item_t *items, size_t n)
{
    size_t   i, broken;
    store_e  rc;

    for (broken = 0, i = 0; i < n; i++) {

        if (!message_type_supported(items[i].ev.type)) {
            items[i].broken = 1;
        }

        broken += items[i].broken;
    }

    if (broken == 0) {
        rc = message_try(m, items, n);

        if (rc == STORE_OK) {
            return message_finish(m, items, n);
        }

        if (rc == STORE_UNAVAILABLE || rc == STORE_CONFLICT) {
            return message_postpone(m, items, n, rc);
        }
    }

    /* a poison event fails the whole batch: one by one, only it fails */
    for (i = 0; i < n; i++) {
        if (message_process_single(m, &items[i]) != MESSAGE_DONE) {
            return message_postpone(m, items, n, STORE_OK);
        }
    }

    return MESSAGE_DONE;
}


message_e
message_process_single(message_t *m, message_item_t *item)
{
    char     error[64];
    store_e  rc;

    if (item->broken) {
        item->failures++;
        return message_dead_letter(m, item, "not an event of this shard");
    }

    strcpy(error, "its owners died");

    while (item->failures < MESSAGE_FAILURES) {

        rc = message_try(m, item, 1);

        if (rc == STORE_OK) {
            return message_finish(m, item, 1);
        }

        if (rc == STORE_UNAVAILABLE || rc == STORE_CONFLICT) {
            return message_postpone(m, item, 1, rc);
        }

        (void) strncpy(error, rc == STORE_FAILED
                              ? store_chat_error(m->store) : "stale cache",
                       sizeof(error) - 1);

        item->failures++;
        worker_log(WORKER_WARN, "shard=%u id=%s event=%u failures=%u error=%s",
                   item->shard, item->id, item->ev.type, item->failures,
                   error);
    }

    return message_dead_letter(m, item, error);
}


static message_e
message_finish(message_t *m, message_item_t *items, size_t n)
{
    fanout_set_pending(m->out);

    if (message_redis_drain(m) != 0) {
        return MESSAGE_RETRY;
    }

    if (fanout_publish(m->out) != 0) {
        (void) message_redis_lost(m, "PUBLISH");
        return MESSAGE_RETRY;
    }

    /* the replies to PUBLISH arrive meanwhile */
    message_linger(m);

    if (fanout_confirm(m->out) != 0) {
        (void) message_redis_lost(m, "PUBLISH");
        return MESSAGE_RETRY;
    }

    /* in front of XDEL: what has left the stream is in the feed */
    message_feed_send(m);

    /* last: an event that has left its stream is never processed again */
    message_stream_done(m, items, n);

    return MESSAGE_DONE;
}


/* The events stay in their streams and are reclaimed before anything new is
 * read. */

static message_e
message_postpone(message_t *m, const message_item_t *items, size_t n,
    store_e rc)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        m->shards[items[i].shard].reclaim = 1;
    }

    if (rc == STORE_UNAVAILABLE) {
        message_store_lost(m);

        if (message_committing(m)) {
            message_unavailable_after(m, items, n);
        }

    } else if (rc == STORE_CONFLICT) {
        worker_sleep(100);
    }

    return MESSAGE_RETRY;
}


static message_e
message_dead_letter(message_t *m, message_item_t *item, const char *error)
{
    if (message_dead(m, item, error) != 0) {
        m->shards[item->shard].reclaim = 1;
        return MESSAGE_RETRY;
    }

    /* receipts and typing have no answer, and bytes that are no event name no
     * sender */
    if (!item->broken && item->ev.type != CHAT_EV_RECEIPTS
        && item->ev.type != CHAT_EV_TYPING)
    {
        reply_refuse(m, item, CHAT_E_INTERNAL, "This could not be done.");
    }

    return message_finish(m, item, 1);
}
