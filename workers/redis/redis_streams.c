/*
 * redis_streams.c: reads several streams at once, and walks their entries.
 *
 * Called from message_stream.c, sync_role.c, presence_role.c. Hands to
 * redis_command.c. The one place that names keys of several {tags} in one
 * command: with several nodes it becomes one command for each of them.
 */

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "redis_private.h"


void
redis_streams_append(redis_t *r, const redis_read_streams_t *read)
{
    int          argc;
    char         count[16], block[16];
    size_t       i;
    const char  *argv[10 + 2 * REDIS_STREAMS_MAX];

    assert(read->n > 0 && read->n <= REDIS_STREAMS_MAX);

    (void) snprintf(count, sizeof(count), "%u", read->count);
    (void) snprintf(block, sizeof(block), "%d", read->block_ms);

    argc = 0;

    if (read->group != NULL) {
        argv[argc++] = "XREADGROUP";
        argv[argc++] = "GROUP";
        argv[argc++] = read->group;
        argv[argc++] = read->consumer;
    } else {
        argv[argc++] = "XREAD";
    }

    argv[argc++] = "COUNT";
    argv[argc++] = count;

    /* BLOCK 0 would wait for ever */
    if (read->block_ms > 0) {
        argv[argc++] = "BLOCK";
        argv[argc++] = block;
    }

    if (read->noack) {
        argv[argc++] = "NOACK";
    }

    argv[argc++] = "STREAMS";

    for (i = 0; i < read->n; i++) {
        argv[argc + i] = read->streams[i].key;
        argv[argc + read->n + i] = read->streams[i].after;
    }

    redis_append_argv(r, read->streams[0].key, argc + 2 * (int) read->n, argv,
                      NULL);
}


redis_reply_t *
redis_streams_read(redis_t *r, const redis_read_streams_t *read)
{
    redis_streams_append(r, read);

    return redis_read(r);
}


const char *
redis_stream_key(const redis_reply_t *reply, size_t i)
{
    return redis_reply_text(redis_reply_at(redis_reply_at(reply, i), 0));
}


const redis_reply_t *
redis_stream_entries(const redis_reply_t *reply, size_t i)
{
    return redis_reply_at(redis_reply_at(reply, i), 1);
}


const char *
redis_entry_id(const redis_reply_t *entry)
{
    return redis_reply_text(redis_reply_at(entry, 0));
}


int
redis_entry_field(const redis_reply_t *entry, const char *name,
    chat_str_t *value_r)
{
    size_t                i;
    const char           *text;
    const redis_reply_t  *fields;

    fields = redis_reply_at(entry, 1);

    for (i = 0; i + 1 < redis_reply_count(fields); i += 2) {
        text = redis_reply_text(redis_reply_at(fields, i));

        if (text != NULL && strcmp(text, name) == 0) {
            return redis_reply_str(redis_reply_at(fields, i + 1), value_r);
        }
    }

    return redis_reply_str(NULL, value_r);
}
