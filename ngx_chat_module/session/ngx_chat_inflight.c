/*
 * ngx_chat_inflight.c: a session's sends that are not answered yet.
 *
 * Called from: dispatch (add), deliver, duplicate, drain. Hands to: nothing.
 * Distinguishes an entry that this connection sent, which is written as
 * message_ack, from one that the same device sent by another way (REST, an
 * earlier connection), which is written as new_message.
 *
 * Every send is answered once, so a send and its duplicate count as two. The
 * workers may report more often than that (an ENTRY, and an ACK for the
 * duplicate); what exceeds the count is dropped. The sends live in a pool of
 * their own, which exists only while there are any.
 */

#include "ngx_chat_session.h"


#define NGX_CHAT_INFLIGHT_EXPIRE      60000  /* ms; by then the client has sent
                                                duplicates, or is gone      */
#define NGX_CHAT_INFLIGHT_DUPLICATES  1024   /* sends of one messageId that may
                                                wait for an answer          */


/* Identifies a send: 64 bits of the chat's id and the client's messageId. */

uint64_t
ngx_chat_inflight_hash(const u_char *chat, chat_str_t *message_id)
{
    uint64_t  low;

    ngx_memcpy(&low, chat + 8, sizeof(low));

    return low
           ^ ngx_murmur_hash2((u_char *) message_id->data, message_id->len)
           ^ (uint64_t) ngx_crc32_long((u_char *) message_id->data,
                                       message_id->len) << 32;
}


static ngx_chat_inflight_t *
ngx_chat_inflight_find(ngx_chat_session_t *s, uint64_t hash)
{
    uint32_t  i;

    for (i = 0; i < s->ninflight; i++) {
        if (s->inflight[i].hash == hash) {
            return &s->inflight[i];
        }
    }

    return NULL;
}


/* Removes a send that has no answer pending and whose entry no page can bring
 * any more. */

static void
ngx_chat_inflight_remove(ngx_chat_session_t *s, ngx_chat_inflight_t *item)
{
    if (item->pending || item->acked) {
        return;
    }

    *item = s->inflight[--s->ninflight];

    if (s->ninflight == 0) {
        ngx_destroy_pool(s->inflight_pool);
        s->inflight_pool = NULL;
        s->inflight = NULL;
        s->inflight_cap = 0;
    }
}


/* Adds a send. NGX_DECLINED when too many are in flight (the client gets
 * rate_limited), NGX_ERROR out of memory. */

ngx_int_t
ngx_chat_inflight_add(ngx_chat_session_t *s, uint64_t hash)
{
    uint32_t              i, cap;
    ngx_pool_t           *pool;
    ngx_chat_inflight_t  *item;

    item = ngx_chat_inflight_find(s, hash);

    if (item != NULL) {
        if (item->pending == NGX_CHAT_INFLIGHT_DUPLICATES) {
            return NGX_DECLINED;
        }

        item->since = (uint32_t) ngx_current_msec;
        item->pending++;
        return NGX_OK;
    }

    if (s->ninflight == NGX_CHAT_INFLIGHT_MAX) {

        for (i = 0; i < s->ninflight; /* void */) {
            if ((uint32_t) ngx_current_msec - s->inflight[i].since
                > NGX_CHAT_INFLIGHT_EXPIRE)
            {
                s->inflight[i] = s->inflight[--s->ninflight];
                continue;
            }

            i++;
        }

        if (s->ninflight == NGX_CHAT_INFLIGHT_MAX) {
            return NGX_DECLINED;
        }
    }

    if (s->ninflight == s->inflight_cap) {
        cap = s->inflight_cap ? s->inflight_cap * 4 : 8;

        pool = ngx_create_pool(cap * sizeof(ngx_chat_inflight_t)
                               + sizeof(ngx_pool_t),
                               s->connection->log);
        if (pool == NULL) {
            return NGX_ERROR;
        }

        item = ngx_palloc(pool, cap * sizeof(ngx_chat_inflight_t));
        if (item == NULL) {
            ngx_destroy_pool(pool);
            return NGX_ERROR;
        }

        if (s->inflight_pool) {
            ngx_memcpy(item, s->inflight,
                       s->ninflight * sizeof(ngx_chat_inflight_t));
            ngx_destroy_pool(s->inflight_pool);
        }

        s->inflight_pool = pool;
        s->inflight = item;
        s->inflight_cap = cap;
    }

    item = &s->inflight[s->ninflight++];
    item->hash = hash;
    item->since = (uint32_t) ngx_current_msec;
    item->pending = 1;
    item->acked = 0;

    return NGX_OK;
}


/* Returns 1 when a send waits for its answer. */

ngx_uint_t
ngx_chat_inflight_pending(ngx_chat_session_t *s, uint64_t hash)
{
    ngx_chat_inflight_t  *item;

    item = ngx_chat_inflight_find(s, hash);

    return item != NULL && item->pending;
}


/* Returns 1 when a send waited for the answer, which the caller then writes. */

ngx_uint_t
ngx_chat_inflight_answer(ngx_chat_session_t *s, uint64_t hash)
{
    ngx_chat_inflight_t  *item;

    item = ngx_chat_inflight_find(s, hash);

    if (item == NULL || item->pending == 0) {
        return 0;
    }

    item->pending--;
    ngx_chat_inflight_remove(s, item);

    return 1;
}


/* As above, for an ack that is written before its entry's place in the order
 * is reached. Should a page bring the entry later, the entry is not written:
 * the ack has represented it. */

ngx_uint_t
ngx_chat_inflight_answer_early(ngx_chat_session_t *s, uint64_t hash)
{
    ngx_chat_inflight_t  *item;

    item = ngx_chat_inflight_find(s, hash);

    if (item == NULL || item->pending == 0) {
        return 0;
    }

    item->pending--;
    item->acked = 1;

    return 1;
}


/* Returns 1 when the entry whose place is reached now was acknowledged early
 * and so must not be written. */

ngx_uint_t
ngx_chat_inflight_acked(ngx_chat_session_t *s, uint64_t hash)
{
    ngx_chat_inflight_t  *item;

    item = ngx_chat_inflight_find(s, hash);

    if (item == NULL || !item->acked) {
        return 0;
    }

    item->acked = 0;
    ngx_chat_inflight_remove(s, item);

    return 1;
}


/* The number of messageIds that wait for an answer. */

ngx_uint_t
ngx_chat_inflight_count(ngx_chat_session_t *s)
{
    uint32_t    i;
    ngx_uint_t  n;

    for (i = 0, n = 0; i < s->ninflight; i++) {
        n += (s->inflight[i].pending != 0);
    }

    return n;
}
