/*
 * message_append.c: entries are written, and the cache proved by it.
 *
 * Called from message_try.c for the sends of a round and from on_*.c for
 * what a change leaves in the log; hands to store_chat_append.c.
 */

#include <inttypes.h>

#include "chat_id.h"
#include "message.h"

static message_chat_t *message_append_chat(message_t *m, message_chat_t *chat,
    const store_append_t *row);


store_e
message_append(message_t *m, message_chat_t *chat, store_append_t *rows,
    size_t n, int alone)
{
    size_t           i;
    store_e          rc;
    message_chat_t  *own;

    for (i = 0; i < n; i++) {
        own = message_append_chat(m, chat, &rows[i]);
        rows[i].last = own->last_seq;
        rows[i].version = own->members_version;
    }

    rc = store_chat_append(m->store, rows, n, alone);

    if (rc == STORE_NONE) {
        worker_log(WORKER_WARN, "a chat changed behind our back: read again");
    }

    for (i = 0; i < n && rc == STORE_OK; i++) {
        own = message_append_chat(m, chat, &rows[i]);

        if (!rows[i].fresh) {
            continue;
        }

        if (rows[i].e.seq != own->last_seq + 1) {
            worker_die("shard=%u seq %" PRIu64 " after %" PRIu64,
                       chat_id_shard(own->id), rows[i].e.seq, own->last_seq);
        }

        own->last_seq++;
    }

    return rc;
}


static message_chat_t *
message_append_chat(message_t *m, message_chat_t *chat,
    const store_append_t *row)
{
    int  missing;

    return chat ? chat : message_cache_get(m->cache, row->e.chat, &missing);
}
