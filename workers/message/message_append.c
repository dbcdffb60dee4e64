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
static int message_append_remembered(const message_t *m,
    const store_append_t *row);
static void message_append_remember(message_t *m, const store_append_t *row);
static uint32_t message_append_hash(const store_append_t *row);


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
        rows[i].at = own->last_at;

        /* a repeat that nobody has thought of costs a failed statement, and
         * in a transaction all of it */
        rows[i].check_duplicate |= !alone || message_append_remembered(m, &rows[i]);
    }

    rc = store_chat_append(m->store, rows, n,
                           alone ? STORE_APPEND_NOW : STORE_APPEND_STAGED);

    if (rc == STORE_STALE) {
        worker_log(WORKER_WARN, "a chat changed behind our back: read again");
    }

    for (i = 0; i < n && rc == STORE_OK; i++) {
        own = message_append_chat(m, chat, &rows[i]);

        if (!rows[i].inserted) {
            continue;
        }

        if (rows[i].e.seq != own->last_seq + 1) {
            worker_die("shard=%u seq %" PRIu64 " after %" PRIu64,
                       chat_id_shard(own->id), rows[i].e.seq, own->last_seq);
        }

        own->last_seq++;
        own->last_at = rows[i].e.timestamp;
        message_append_remember(m, &rows[i]);
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


/* Whether an item of this device and message id was written lately. May be
 * wrong, either way. */

static int
message_append_remembered(const message_t *m, const store_append_t *row)
{
    uint32_t  hash;

    hash = message_append_hash(row);

    return m->written[hash % MESSAGE_WRITTEN] == hash;
}


static void
message_append_remember(message_t *m, const store_append_t *row)
{
    uint32_t  hash;

    hash = message_append_hash(row);
    m->written[hash % MESSAGE_WRITTEN] = hash;
}


static uint32_t
message_append_hash(const store_append_t *row)
{
    uint32_t           hash;
    const chat_str_t  *id;

    id = &row->e.message_id;

    if (id->data == NULL) {
        return 0;
    }

    HASH_JEN(id->data, id->len, hash);

    return hash ^ (uint32_t) (row->e.sender_device * 2654435761u);
}
