/*
 * feed_batch.c: replies of Redis as records.
 *
 * Called from feed_read.c. Hands to chat_committed.c. Records borrow from the
 * replies, which the batch holds until it is freed.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed_private.h"

static void feed_batch_entry(feed_batch_t *batch, unsigned shard,
    const redis_reply_t *entry);


void
feed_batch_free(feed_batch_t *batch)
{
    size_t  i;

    for (i = 0; i < batch->nreplies; i++) {
        redis_reply_free(batch->replies[i]);
    }

    free(batch->replies);
    free(batch->records);
    free(batch->ids);
    memset(batch, 0, sizeof(*batch));
}


void
feed_batch_hold(feed_batch_t *batch, redis_reply_t *reply)
{
    batch->replies = worker_realloc(batch->replies, (batch->nreplies + 1)
                                                    * sizeof(*batch->replies));
    batch->replies[batch->nreplies++] = reply;
}


size_t
feed_batch_streams(feed_batch_t *batch, redis_reply_t *reply)
{
    size_t       i, n, most;
    unsigned     shard;
    const char  *key;

    feed_batch_hold(batch, reply);

    for (most = 0, i = 0; i < redis_reply_count(reply); i++) {
        key = redis_stream_key(reply, i);

        if (key == NULL || sscanf(key, CHAT_KEY_COMMITTED, &shard) != 1
            || shard >= CHAT_SHARDS)
        {
            continue;
        }

        n = feed_batch_entries(batch, shard, redis_stream_entries(reply, i));

        if (n > most) {
            most = n;
        }
    }

    return most;
}


size_t
feed_batch_entries(feed_batch_t *batch, unsigned shard,
    const redis_reply_t *entries)
{
    size_t  i, n;

    n = redis_reply_count(entries);

    for (i = 0; i < n; i++) {
        feed_batch_entry(batch, shard, redis_reply_at(entries, i));
    }

    return n;
}


/* What cannot be read is acknowledged with the rest: it would be no better the
 * next time, and would hold back trimming. */

static void
feed_batch_entry(feed_batch_t *batch, unsigned shard,
    const redis_reply_t *entry)
{
    int             rc;
    size_t          pos;
    const char     *id;
    chat_str_t      value;
    feed_record_t   r;

    id = redis_entry_id(entry);
    if (id == NULL) {
        return;
    }

    WORKER_GROW(batch->ids, batch->nids, batch->ids_max);
    batch->ids[batch->nids].id = id;
    batch->ids[batch->nids].shard = shard;
    batch->nids++;

    r.shard = shard;
    rc = -1;

    if (redis_entry_field(entry, CHAT_COMMITTED_FIELD, &value) == 0
        && chat_committed_open((const uint8_t *) value.data, value.len, &pos)
           == 0)
    {
        while ((rc = chat_committed_next((const uint8_t *) value.data,
                                         value.len, &pos, &r.rec)) == 1)
        {
            WORKER_GROW(batch->records, batch->n, batch->max);
            batch->records[batch->n++] = r;
        }
    }

    if (rc != 0) {
        worker_log(WORKER_ERROR, "feed: shard=%u id=%s cannot be read: of a "
                   "newer message worker?", shard, id);
    }
}
