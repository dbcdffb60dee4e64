/*
 * message_stream.c: reads events from the shards' streams and deletes them.
 *
 * Called from message_worker.c, message_batch.c, message_reclaim.c and
 * message_unavailable.c; hands to workers/redis/. One read covers all streams,
 * always from their beginning, because completed events have been deleted.
 * COUNT applies to each stream, so it is derived from the number of streams that
 * had events the last time: a read returns about one batch, whether one chat is
 * busy or all are.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_id.h"
#include "chat_keys.h"
#include "message.h"

#define MESSAGE_COUNT_MIN  4

static void message_stream_send(message_t *m, uint64_t mask, int block_ms);
static void message_item_decode(message_item_t *item);
static int message_stream_shard(const char *key);
static void message_stream_parse(message_t *m, message_read_t *read);
static void message_stream_adapt(message_t *m, size_t streams, size_t most);
static void message_stream_delete(message_t *m, unsigned shard,
    const message_item_t *items, size_t n);


int
message_stream_read(message_t *m, uint64_t mask, int block_ms,
    message_read_t *read_r)
{
    const char  *error;

    memset(read_r, 0, sizeof(*read_r));

    message_stream_send(m, mask, block_ms);

    /* replies of the previous batch come first */
    if (message_redis_drain(m) != 0) {
        return -1;
    }

    read_r->reply = redis_read(m->redis);

    if (read_r->reply == NULL) {
        return message_redis_lost(m, "XREAD");
    }

    error = redis_reply_error(read_r->reply);

    if (error != NULL) {
        worker_log(WORKER_ERROR, "redis refuses XREAD: %s", error);
        worker_sleep(200);
        return 0;
    }

    message_stream_parse(m, read_r);

    return 0;
}


void
message_stream_free(message_read_t *read)
{
    size_t  i;

    for (i = 0; i < read->n; i++) {
        message_item_free(&read->items[i]);
    }

    free(read->items);
    redis_reply_free(read->reply);
    memset(read, 0, sizeof(*read));
}


void
message_stream_done(message_t *m, const message_item_t *items, size_t n)
{
    size_t    i;
    uint64_t  mask;
    unsigned  shard;

    for (mask = 0, i = 0; i < n; i++) {
        mask |= UINT64_C(1) << items[i].shard;
    }

    for (shard = 0; mask != 0; shard++, mask >>= 1) {

        if (mask & 1) {
            message_stream_delete(m, shard, items, n);
        }
    }
}


void
message_item_read(message_item_t *item, unsigned shard,
    const redis_reply_t *entry)
{
    const char  *id;

    memset(item, 0, sizeof(*item));
    item->shard = shard;
    item->broken = 1;

    id = redis_entry_id(entry);
    (void) snprintf(item->id, sizeof(item->id), "%s", id ? id : "");
    (void) redis_entry_field(entry, CHAT_EVENT_FIELD, &item->raw);

    message_item_decode(item);
}


/* Decodes item->raw; `broken` stays set when it is no event of the shard. */

static void
message_item_decode(message_item_t *item)
{
    if (item->raw.data == NULL
        || chat_event_decode((const uint8_t *) item->raw.data, item->raw.len,
                             &item->ev) != 0)
    {
        return;
    }

    /* an event of another shard needs another lock; receipts name their chats
     * themselves */
    if (item->ev.type != CHAT_EV_RECEIPTS
        && chat_id_shard(item->ev.chat) != item->shard)
    {
        return;
    }

    item->broken = 0;

    if (item->ev.type == CHAT_EV_SEND && item->ev.flags & CHAT_EV_F_REST) {
        (void) chat_frame_parse_body(item->ev.body.data ? item->ev.body.data
                                                        : "",
                                     item->ev.body.len, &item->frame);
        item->parsed = 1;
    }
}


void
message_item_free(message_item_t *item)
{
    if (item->parsed) {
        chat_frame_free(&item->frame);
        item->parsed = 0;
    }
}


static void
message_stream_send(message_t *m, uint64_t mask, int block_ms)
{
    char                  names[CHAT_SHARDS][REDIS_KEY_SIZE];
    unsigned              i;
    redis_stream_t        streams[CHAT_SHARDS];
    redis_read_streams_t  read;

    if (m->count == 0) {
        m->count = MESSAGE_COUNT_MIN;
    }

    memset(&read, 0, sizeof(read));
    read.streams = streams;
    read.count = m->count;
    read.block_ms = block_ms;

    for (i = 0; i < CHAT_SHARDS; i++) {
        if (mask >> i & 1) {
            streams[read.n].key = redis_key(names[read.n], CHAT_KEY_SENT, i);
            streams[read.n].after = m->shards[i].after[0] ? m->shards[i].after
                                                          : "0";
            read.n++;
        }
    }

    redis_streams_append(m->redis, &read);
}


/* The shard of a key "message.sent:{7}", or -1. */

static int
message_stream_shard(const char *key)
{
    unsigned  shard;

    if (key == NULL || sscanf(key, CHAT_KEY_SENT, &shard) != 1
        || shard >= CHAT_SHARDS)
    {
        return -1;
    }

    return (int) shard;
}


static void
message_stream_parse(message_t *m, message_read_t *read)
{
    int                   shard;
    size_t                i, k, n, streams, total, most;
    const redis_reply_t  *entries;

    streams = redis_reply_count(read->reply);

    if (streams == 0) {
        return;
    }

    for (total = 0, most = 0, i = 0; i < streams; i++) {
        n = redis_reply_count(redis_stream_entries(read->reply, i));
        total += n;

        if (n > most) {
            most = n;
        }
    }

    message_stream_adapt(m, streams, most);
    read->items = worker_calloc(total ? total : 1, sizeof(*read->items));

    for (i = 0; i < streams; i++) {
        entries = redis_stream_entries(read->reply, i);
        shard = message_stream_shard(redis_stream_key(read->reply, i));

        if (shard < 0) {
            continue;
        }

        for (k = 0; k < redis_reply_count(entries); k++) {
            message_item_read(&read->items[read->n++], (unsigned) shard,
                              redis_reply_at(entries, k));
        }
    }
}


/* COUNT rises while a stream had as many as requested and a batch has room. */

static void
message_stream_adapt(message_t *m, size_t streams, size_t most)
{
    size_t  fair;

    fair = (size_t) m->worker->conf->batch_max / (streams ? streams : 1);

    if (most >= m->count) {
        m->count *= 4;
    }

    if (m->count > fair) {
        m->count = (unsigned) fair;
    }

    if (m->count < MESSAGE_COUNT_MIN) {
        m->count = MESSAGE_COUNT_MIN;
    }

    if (m->count > MESSAGE_COUNT_MAX) {
        m->count = MESSAGE_COUNT_MAX;
    }
}


static void
message_stream_delete(message_t *m, unsigned shard,
    const message_item_t *items, size_t n)
{
    int           argc;
    char          key[REDIS_KEY_SIZE];
    size_t        i;
    const char  **argv;

    argv = worker_calloc(n + 2, sizeof(*argv));
    redis_key(key, CHAT_KEY_SENT, shard);

    argc = 0;
    argv[argc++] = "XDEL";
    argv[argc++] = key;

    for (i = 0; i < n; i++) {
        if (items[i].shard == shard) {
            argv[argc++] = items[i].id;
        }
    }

    redis_append_argv(m->redis, key, argc, argv, NULL);
    m->acks++;
    free(argv);
}
