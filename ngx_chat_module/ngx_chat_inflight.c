/*
 * ngx_chat_inflight.c: a session's sends that have no answer yet.
 *
 * Called from dispatch (add) and deliver. Tells the own entry, which is written
 * as message_ack, from one that the same device sent otherwise. A send that is
 * repeated before its answer came is owed two: a worker may say more often what
 * became of a message (an ENTRY, and an ACK for the repeat), and each send is
 * answered once. Kept in a pool of its own that exists only while something is
 * in flight.
 */

#include "ngx_chat.h"


#define NGX_CHAT_INFLIGHT_EXPIRE  60000      /* ms: the client has sent it again
                                           several times, or is gone        */
#define NGX_CHAT_INFLIGHT_DUPLICATES  1024   /* answers owed for one messageId   */


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


/* Nothing is owed for it any more, and it will not come. */

static void
ngx_chat_inflight_remove(ngx_chat_session_t *s, ngx_chat_inflight_t *flight)
{
    if (flight->pending || flight->acked) {
        return;
    }

    *flight = s->inflight[--s->ninflight];

    if (s->ninflight == 0) {
        ngx_destroy_pool(s->inflight_pool);
        s->inflight_pool = NULL;
        s->inflight = NULL;
        s->inflight_cap = 0;
    }
}


/* NGX_DECLINED when too many are in flight. */

ngx_int_t
ngx_chat_inflight_add(ngx_chat_session_t *s, uint64_t hash)
{
    uint32_t            i, cap;
    ngx_pool_t         *pool;
    ngx_chat_inflight_t  *flight;

    flight = ngx_chat_inflight_find(s, hash);

    if (flight != NULL) {
        if (flight->pending == NGX_CHAT_INFLIGHT_DUPLICATES) {
            return NGX_DECLINED;
        }

        flight->since = (uint32_t) ngx_current_msec;
        flight->pending++;
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

        flight = ngx_palloc(pool, cap * sizeof(ngx_chat_inflight_t));
        if (flight == NULL) {
            ngx_destroy_pool(pool);
            return NGX_ERROR;
        }

        if (s->inflight_pool) {
            ngx_memcpy(flight, s->inflight,
                       s->ninflight * sizeof(ngx_chat_inflight_t));
            ngx_destroy_pool(s->inflight_pool);
        }

        s->inflight_pool = pool;
        s->inflight = flight;
        s->inflight_cap = cap;
    }

    flight = &s->inflight[s->ninflight++];
    flight->hash = hash;
    flight->since = (uint32_t) ngx_current_msec;
    flight->pending = 1;
    flight->acked = 0;

    return NGX_OK;
}


/* 1 when a send waits for its answer. */

ngx_uint_t
ngx_chat_inflight_pending(ngx_chat_session_t *s, uint64_t hash)
{
    ngx_chat_inflight_t  *flight;

    flight = ngx_chat_inflight_find(s, hash);

    return flight != NULL && flight->pending;
}


/* 1 when a send waited for the answer that the caller now writes. */

ngx_uint_t
ngx_chat_inflight_answer(ngx_chat_session_t *s, uint64_t hash)
{
    ngx_chat_inflight_t  *flight;

    flight = ngx_chat_inflight_find(s, hash);

    if (flight == NULL || flight->pending == 0) {
        return 0;
    }

    flight->pending--;
    ngx_chat_inflight_remove(s, flight);

    return 1;
}


/* As above, for an answer that comes out of its place: should a page bring the
 * entry itself, the ack has stood for it. */

ngx_uint_t
ngx_chat_inflight_answer_early(ngx_chat_session_t *s, uint64_t hash)
{
    ngx_chat_inflight_t  *flight;

    flight = ngx_chat_inflight_find(s, hash);

    if (flight == NULL || flight->pending == 0) {
        return 0;
    }

    flight->pending--;
    flight->acked = 1;

    return 1;
}


/* 1 when the entry that has its place now was acknowledged before. */

ngx_uint_t
ngx_chat_inflight_acked(ngx_chat_session_t *s, uint64_t hash)
{
    ngx_chat_inflight_t  *flight;

    flight = ngx_chat_inflight_find(s, hash);

    if (flight == NULL || !flight->acked) {
        return 0;
    }

    flight->acked = 0;
    ngx_chat_inflight_remove(s, flight);

    return 1;
}


/* How many wait for their answer. */

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
