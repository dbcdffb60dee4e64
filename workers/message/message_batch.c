/*
 * message_batch.c: what becomes of a batch.
 *
 * Called from message_worker.c and message_reclaim.c; hands to message_try.c.
 * Order of effects: the commit, then PUBLISH, then XDEL. Whatever
 * dies before the last is done again by the next owner: a repeat is
 * recognised, and telling twice is harmless. In any other order something
 * could be lost. What was committed when Redis went is kept and told by
 * message_iterate(): Redis may come back without the events.
 */

#include <string.h>

#include "message_feed.h"
#include "on.h"

static message_e message_finish(message_t *m, message_item_t *items,
    size_t n);
static message_e message_postpone(message_t *m, const message_item_t *items,
    size_t n, store_e rc);
static message_e message_set_aside(message_t *m, message_item_t *item,
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

    /* one of them is poisonous: alone each fails or passes by itself */
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
        return message_set_aside(m, item, "not an event of this shard");
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
                              ? store_chat_sqlstate(m->store) : "stale cache",
                       sizeof(error) - 1);

        item->failures++;
        worker_log(WORKER_WARN, "shard=%u id=%s event=%u failures=%u error=%s",
                   item->shard, item->id, item->ev.type, item->failures,
                   error);
    }

    return message_set_aside(m, item, error);
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

    /* the answers come meanwhile */
    message_linger(m);

    if (fanout_confirm(m->out) != 0) {
        (void) message_redis_lost(m, "PUBLISH");
        return MESSAGE_RETRY;
    }

    /* in front of XDEL: what has left the stream is in the feed */
    message_feed_send(m);

    /* last: what is not in the stream is never looked at again */
    message_stream_done(m, items, n);

    return MESSAGE_DONE;
}


/* They stay where they are, and come before anything new is read. */

static message_e
message_postpone(message_t *m, const message_item_t *items, size_t n, store_e rc)
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
message_set_aside(message_t *m, message_item_t *item, const char *error)
{
    if (message_dead(m, item, error) != 0) {
        m->shards[item->shard].reclaim = 1;
        return MESSAGE_RETRY;
    }

    /* typing and marks wait for nothing, and a sender of what is no event
     * cannot be told */
    if (!item->broken && item->ev.type != CHAT_EV_RECEIPTS
        && item->ev.type != CHAT_EV_TYPING)
    {
        on_refuse(m, item, CHAT_E_INTERNAL, "This could not be done.");
    }

    return message_finish(m, item, 1);
}
