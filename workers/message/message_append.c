/*
 * message_append.c: inserts entries. The INSERT also validates the cached
 * chat.
 *
 * Called from message_try.c for the sends of a round and from message_entry.c
 * for the entries of a change; hands to store_chat_append.c.
 */

#include <inttypes.h>

#include "chat_id.h"
#include "message.h"

static message_chat_t *message_append_chat(message_t *m, message_chat_t *chat,
    const store_append_t *row);
static int message_append_recent(const message_t *m,
    const store_append_t *row);
static void message_append_record(message_t *m, const store_append_t *row);
static uint32_t message_append_hash(const store_append_t *row);


store_e
message_append(message_t *m, message_chat_t *chat, store_append_t *rows,
    size_t n, int alone)
{
    size_t           i;
    store_e          rc;
    message_chat_t  *cached;

    for (i = 0; i < n; i++) {
        cached = message_append_chat(m, chat, &rows[i]);
        rows[i].last = cached->last_seq;
        rows[i].version = cached->members_version;
        rows[i].at = cached->last_at;

        /* an unexpected duplicate fails the statement, and an open transaction
         * with it, so one that is likely, or costly, is looked up first */
        rows[i].check_duplicate |= !alone
                                   || message_append_recent(m, &rows[i]);
    }

    rc = store_chat_append(m->store, rows, n,
                           alone ? STORE_APPEND_NOW : STORE_APPEND_STAGED);

    if (rc == STORE_STALE) {
        worker_log(WORKER_WARN, "cached chat is stale: reloading");
    }

    for (i = 0; i < n && rc == STORE_OK; i++) {
        cached = message_append_chat(m, chat, &rows[i]);

        if (!rows[i].inserted) {
            continue;
        }

        if (rows[i].e.seq != cached->last_seq + 1) {
            worker_die("shard=%u seq %" PRIu64 " after %" PRIu64,
                       chat_id_shard(cached->id), rows[i].e.seq,
                       cached->last_seq);
        }

        cached->last_seq++;
        cached->last_at = rows[i].e.timestamp;
        message_append_record(m, &rows[i]);
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


/* Whether an entry of this device and message id was written lately. A hint:
 * hashes collide and replace each other. */

static int
message_append_recent(const message_t *m, const store_append_t *row)
{
    uint32_t  hash;

    hash = message_append_hash(row);

    return m->recent[hash % MESSAGE_RECENT] == hash;
}


static void
message_append_record(message_t *m, const store_append_t *row)
{
    uint32_t  hash;

    hash = message_append_hash(row);
    m->recent[hash % MESSAGE_RECENT] = hash;
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
