/*
 * message_stream.c: events out of Redis Streams, and out of them for good.
 *
 * Called from message_worker.c, message_reclaim.c, message_unavailable.c; hands to
 * hiredis. One XREAD over all streams, always from their beginning: what is
 * done has been deleted. COUNT is a number per stream, so it is chosen by how many
 * of them had something the last time: what comes back is about one batch,
 * whether one chat is busy or all are.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "chat_id.h"
#include "chat_keys.h"
#include "message.h"

#define MESSAGE_COUNT_MIN  4

static int message_stream_send(message_t *m, uint64_t mask, int block_ms);
static void message_item_decode(message_item_t *item);
static int message_stream_shard(const redisReply *key);
static void message_stream_parse(message_t *m, message_read_t *read);
static void message_stream_adapt(message_t *m, size_t streams, size_t most);
static void message_stream_delete(message_t *m, unsigned shard,
    const message_item_t *items, size_t n);


int
message_stream_read(message_t *m, uint64_t mask, int block_ms,
    message_read_t *read_r)
{
    redisReply  *reply;

    memset(read_r, 0, sizeof(*read_r));

    if (message_stream_send(m, mask, block_ms) != 0) {
        return -1;
    }

    /* answers to the batch before come first */
    if (message_redis_drain(m) != 0) {
        return -1;
    }

    if (redisGetReply(m->redis, (void **) &reply) != REDIS_OK) {
        return message_redis_lost(m, "XREAD");
    }

    read_r->reply = reply;

    if (reply->type == REDIS_REPLY_ERROR) {
        worker_log(WORKER_ERROR, "redis refuses XREAD: %s", reply->str);
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
    freeReplyObject(read->reply);
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
    const redisReply *entry)
{
    size_t             i;
    const redisReply  *id, *fields;

    memset(item, 0, sizeof(*item));
    item->shard = shard;
    item->broken = 1;

    id = entry->element[0];
    fields = entry->element[1];
    (void) snprintf(item->id, sizeof(item->id), "%s", id->str);

    for (i = 0; i + 1 < fields->elements; i += 2) {

        if (strcmp(fields->element[i]->str, CHAT_EVENT_FIELD) == 0) {
            item->raw.data = fields->element[i + 1]->str;
            item->raw.len = (size_t) fields->element[i + 1]->len;
        }
    }

    message_item_decode(item);
}


/* From item->raw; `broken` stays set when it is no event of the shard. */

static void
message_item_decode(message_item_t *item)
{
    if (item->raw.data == NULL
        || chat_event_decode((const uint8_t *) item->raw.data, item->raw.len,
                             &item->ev) != 0)
    {
        return;
    }

    /* another shard's lock is not ours; marks name their chats themselves */
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


static int
message_stream_send(message_t *m, uint64_t mask, int block_ms)
{
    int          n, keys;
    char         count[16], block[16];
    char         names[CHAT_SHARDS][32];
    unsigned     i;
    const char  *argv[6 + 2 * CHAT_SHARDS];

    if (m->count == 0) {
        m->count = MESSAGE_COUNT_MIN;
    }

    (void) snprintf(count, sizeof(count), "%u", m->count);
    (void) snprintf(block, sizeof(block), "%d", block_ms);

    n = 0;
    argv[n++] = "XREAD";
    argv[n++] = "COUNT";
    argv[n++] = count;

    if (block_ms > 0) {
        argv[n++] = "BLOCK";
        argv[n++] = block;
    }

    argv[n++] = "STREAMS";

    for (keys = 0, i = 0; i < CHAT_SHARDS; i++) {
        if (mask >> i & 1) {
            (void) snprintf(names[keys], sizeof(names[keys]), CHAT_KEY_SENT,
                            i);
            argv[n++] = names[keys++];
        }
    }

    for (i = 0; i < CHAT_SHARDS; i++) {
        if (mask >> i & 1) {
            argv[n++] = m->shards[i].after[0] ? m->shards[i].after : "0";
        }
    }

    if (redisAppendCommandArgv(m->redis, n, argv, NULL) != REDIS_OK) {
        return message_redis_lost(m, "XREAD");
    }

    return 0;
}


/* message.sent:{7} */

static int
message_stream_shard(const redisReply *key)
{
    unsigned  shard;

    if (key->type != REDIS_REPLY_STRING
        || sscanf(key->str, CHAT_KEY_SENT, &shard) != 1
        || shard >= CHAT_SHARDS)
    {
        return -1;
    }

    return (int) shard;
}


static void
message_stream_parse(message_t *m, message_read_t *read)
{
    int                shard;
    size_t             i, k, total, most;
    const redisReply  *reply, *stream, *entries;

    reply = read->reply;

    if (reply->type != REDIS_REPLY_ARRAY) {
        return;
    }

    for (total = 0, most = 0, i = 0; i < reply->elements; i++) {
        entries = reply->element[i]->element[1];
        total += entries->elements;

        if (entries->elements > most) {
            most = entries->elements;
        }
    }

    message_stream_adapt(m, reply->elements, most);
    read->items = worker_calloc(total ? total : 1, sizeof(*read->items));

    for (i = 0; i < reply->elements; i++) {
        stream = reply->element[i];
        entries = stream->element[1];
        shard = message_stream_shard(stream->element[0]);

        if (shard < 0) {
            continue;
        }

        for (k = 0; k < entries->elements; k++) {
            message_item_read(&read->items[read->n++], (unsigned) shard,
                              entries->element[k]);
        }
    }
}


/* Up while a stream had all we asked for and there is room in a batch. */

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
    char          key[32];
    size_t        i;
    const char  **argv;

    argv = worker_calloc(n + 2, sizeof(*argv));
    (void) snprintf(key, sizeof(key), CHAT_KEY_SENT, shard);

    argc = 0;
    argv[argc++] = "XDEL";
    argv[argc++] = key;

    for (i = 0; i < n; i++) {
        if (items[i].shard == shard) {
            argv[argc++] = items[i].id;
        }
    }

    (void) redisAppendCommandArgv(m->redis, argc, argv, NULL);
    m->acks++;
    free(argv);
}
