/*
 * message_append.c: entries are written, and the cache proved by it.
 *
 * Called from message_batch.c for the sends of a round and from on_*.c for
 * what a change leaves in the log; hands to store_chat_append.c.
 */

#include <string.h>

#include "message.h"


/* `chat` is the one of all rows, or NULL: then each has its own. NONE when the
 * cache was not what the database has: it must be read again. */

store_e
message_append(message_t *m, message_chat_t *chat, store_append_t *rows,
    size_t n)
{
    int              missing;
    size_t           i;
    store_e          rc;
    message_chat_t  *own;

    rc = store_chat_append(m->store, rows, n);
    if (rc != STORE_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        own = chat ? chat : message_cache_get(m->cache, rows[i].e.chat,
                                              &missing);
        if (!rows[i].fresh) {
            continue;
        }

        if (rows[i].e.seq != own->last_seq + 1
            || rows[i].version != own->members_version)
        {
            worker_log(WORKER_WARN, "a chat changed behind our back: read "
                       "again");
            return STORE_NONE;
        }

        own->last_seq++;
    }

    return STORE_OK;
}
