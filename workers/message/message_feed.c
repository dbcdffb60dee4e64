/*
 * message_feed.c: records of committed entries, on their way to the feed.
 *
 * Called from on_answer.c, message_try.c, message_batch.c, message_worker.c.
 * Hands to chat_committed.c and Redis. XADD goes in front of XDEL of the events
 * in the same pipeline, and Redis executes a connection's commands in order: an
 * event that has left its stream is in the feed. An event that has not is
 * processed again by the next owner, and its records are written again. So a
 * record appears at least once.
 */

#include <stdlib.h>
#include <string.h>

#include "chat_id.h"
#include "chat_keys.h"
#include "message_feed.h"

/* A commit that is done again is not older than its event by more than the
 * difference of two clocks, the edge's and PostgreSQL's. */
#define MESSAGE_FEED_CLOCKS_MS  60000

#define MESSAGE_FEED_LOG_MS     10000

typedef struct {
    message_t             *m;
    const message_chat_t  *chat;
} message_feed_redo_t;

static void message_feed_redo_entry(void *arg, const chat_entry_t *e);


message_feed_t *
message_feed_new(void)
{
    return worker_calloc(1, sizeof(message_feed_t));
}


void
message_feed_free(message_feed_t **fp)
{
    unsigned  i;

    if (*fp == NULL) {
        return;
    }

    for (i = 0; i < CHAT_SHARDS; i++) {
        chat_buf_free(&(*fp)->bufs[i]);
    }

    free(*fp);
    *fp = NULL;
}


void
message_feed_gather(message_t *m, const message_chat_t *chat,
    const chat_entry_t *e, int redo)
{
    message_feed_t    *feed;
    chat_committed_t   rec;

    feed = m->feed;

    if (feed->nroles == 0) {
        return;
    }

    memset(&rec, 0, sizeof(rec));

    memcpy(rec.chat, e->chat, 16);
    rec.seq = e->seq;
    rec.kind = e->kind;
    rec.flags = (redo ? CHAT_COMMITTED_F_REDO : 0)
                | (e->deleted ? CHAT_COMMITTED_F_DELETED : 0)
                | (e->expires_in ? CHAT_COMMITTED_F_EXPIRES : 0)
                | (e->media_id.data ? CHAT_COMMITTED_F_MEDIA : 0);
    rec.chat_type = chat->type;
    rec.sender = e->sender;
    rec.sender_device = e->sender_device;
    rec.timestamp = e->timestamp;
    rec.target = e->target;
    rec.subject = e->subject;
    rec.members_version = chat->members_version;
    rec.members = (uint32_t) chat->active;
    rec.content_type = e->content_type;

    if (chat_committed_add(&feed->bufs[chat_id_shard(e->chat)], &rec) != 0) {
        worker_die("seq=%" PRIu64 " a feed record cannot be written", e->seq);
    }

    feed->nrecords++;
}


store_e
message_feed_redo(message_t *m, const message_item_t *it)
{
    message_feed_redo_t  redo;

    if (m->feed->nroles == 0) {
        return STORE_OK;
    }

    redo.m = m;
    redo.chat = it->chat;

    return store_chat_entries_since(m->store, it->chat->id,
                              it->ev.received - MESSAGE_FEED_CLOCKS_MS,
                              message_feed_redo_entry, &redo);
}


static void
message_feed_redo_entry(void *arg, const chat_entry_t *e)
{
    message_feed_redo_t  *redo;

    redo = arg;
    message_feed_gather(redo->m, redo->chat, e, 1);
}


void
message_feed_reset(message_t *m)
{
    unsigned         i;
    message_feed_t  *feed;

    feed = m->feed;

    if (feed->nrecords == 0) {
        return;
    }

    for (i = 0; i < CHAT_SHARDS; i++) {
        chat_buf_reset(&feed->bufs[i]);
    }

    feed->nrecords = 0;
}


void
message_feed_send(message_t *m)
{
    char             key[REDIS_KEY_SIZE];
    size_t           lengths[5];
    unsigned         i;
    chat_buf_t      *buf;
    const char      *argv[5];
    message_feed_t  *feed;

    feed = m->feed;

    if (feed->nrecords == 0) {
        return;
    }

    argv[0] = "XADD";
    argv[1] = key;
    argv[2] = "*";
    argv[3] = CHAT_COMMITTED_FIELD;
    lengths[0] = 4;
    lengths[2] = 1;
    lengths[3] = sizeof(CHAT_COMMITTED_FIELD) - 1;

    for (i = 0; i < CHAT_SHARDS; i++) {
        buf = &feed->bufs[i];

        if (buf->len == 0) {
            continue;
        }

        lengths[1] = strlen(redis_key(key, CHAT_KEY_COMMITTED, i));
        argv[4] = (const char *) buf->data;
        lengths[4] = buf->len;

        redis_append_argv(m->redis, key, 5, argv, lengths);
        m->acks++;

        feed->appended++;
        feed->untrimmed |= UINT64_C(1) << i;
        chat_buf_reset(buf);
    }

    feed->written += feed->nrecords;
    feed->nrecords = 0;
}


void
message_feed_refused(message_t *m, const char *error)
{
    int64_t  now;

    now = worker_mono_ms();

    if (m->feed->refused_at == 0
        || now - m->feed->refused_at >= MESSAGE_FEED_LOG_MS)
    {
        m->feed->refused_at = now;
        worker_log(WORKER_ERROR, "redis refuses XADD, XDEL or HINCRBY: %s",
                   error);
    }
}
