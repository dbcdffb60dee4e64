/*
 * ngx_chat_flight.c: a session's sends that have no answer yet.
 *
 * Called from dispatch (add) and deliver. Tells the own entry, which is written
 * as message_ack, from one that the same device sent otherwise. A send that is
 * repeated before its answer came is owed two: a worker may say more often what
 * became of a message (an ENTRY, and an ACK for the repeat), and each send is
 * answered once. Kept in a pool of its own that exists only while something is
 * in flight.
 */

#include "ngx_chat.h"


#define NGX_CHAT_FLIGHT_OLD  60000      /* ms: the client has sent it again
                                           several times, or is gone        */
#define NGX_CHAT_FLIGHT_REPEATS  1024   /* answers owed for one messageId   */


uint64_t
ngx_chat_flight_hash(const u_char *chat, chat_str_t *message_id)
{
    uint64_t  low;

    ngx_memcpy(&low, chat + 8, sizeof(low));

    return low
           ^ ngx_murmur_hash2((u_char *) message_id->data, message_id->len)
           ^ (uint64_t) ngx_crc32_long((u_char *) message_id->data,
                                       message_id->len) << 32;
}


static ngx_chat_flight_t *
ngx_chat_flight_find(ngx_chat_session_t *s, uint64_t hash)
{
    uint32_t  i;

    for (i = 0; i < s->nflight; i++) {
        if (s->flight[i].hash == hash) {
            return &s->flight[i];
        }
    }

    return NULL;
}


/* Nothing is owed for it any more, and it will not come. */

static void
ngx_chat_flight_drop(ngx_chat_session_t *s, ngx_chat_flight_t *flight)
{
    if (flight->owed || flight->acked) {
        return;
    }

    *flight = s->flight[--s->nflight];

    if (s->nflight == 0) {
        ngx_destroy_pool(s->flight_pool);
        s->flight_pool = NULL;
        s->flight = NULL;
        s->flight_cap = 0;
    }
}


/* NGX_DECLINED when too many are in flight. */

ngx_int_t
ngx_chat_flight_add(ngx_chat_session_t *s, uint64_t hash)
{
    uint32_t            i, cap;
    ngx_pool_t         *pool;
    ngx_chat_flight_t  *flight;

    flight = ngx_chat_flight_find(s, hash);

    if (flight != NULL) {
        if (flight->owed == NGX_CHAT_FLIGHT_REPEATS) {
            return NGX_DECLINED;
        }

        flight->since = (uint32_t) ngx_current_msec;
        flight->owed++;
        return NGX_OK;
    }

    if (s->nflight == NGX_CHAT_FLIGHT_MAX) {

        for (i = 0; i < s->nflight; /* void */) {
            if ((uint32_t) ngx_current_msec - s->flight[i].since
                > NGX_CHAT_FLIGHT_OLD)
            {
                s->flight[i] = s->flight[--s->nflight];
                continue;
            }

            i++;
        }

        if (s->nflight == NGX_CHAT_FLIGHT_MAX) {
            return NGX_DECLINED;
        }
    }

    if (s->nflight == s->flight_cap) {
        cap = s->flight_cap ? s->flight_cap * 4 : 8;

        pool = ngx_create_pool(cap * sizeof(ngx_chat_flight_t)
                               + sizeof(ngx_pool_t),
                               s->connection->log);
        if (pool == NULL) {
            return NGX_ERROR;
        }

        flight = ngx_palloc(pool, cap * sizeof(ngx_chat_flight_t));
        if (flight == NULL) {
            ngx_destroy_pool(pool);
            return NGX_ERROR;
        }

        if (s->flight_pool) {
            ngx_memcpy(flight, s->flight,
                       s->nflight * sizeof(ngx_chat_flight_t));
            ngx_destroy_pool(s->flight_pool);
        }

        s->flight_pool = pool;
        s->flight = flight;
        s->flight_cap = cap;
    }

    flight = &s->flight[s->nflight++];
    flight->hash = hash;
    flight->since = (uint32_t) ngx_current_msec;
    flight->owed = 1;
    flight->acked = 0;

    return NGX_OK;
}


/* 1 when a send waits for its answer. */

ngx_uint_t
ngx_chat_flight_owed(ngx_chat_session_t *s, uint64_t hash)
{
    ngx_chat_flight_t  *flight;

    flight = ngx_chat_flight_find(s, hash);

    return flight != NULL && flight->owed;
}


/* 1 when a send waited for the answer that the caller now writes. */

ngx_uint_t
ngx_chat_flight_answer(ngx_chat_session_t *s, uint64_t hash)
{
    ngx_chat_flight_t  *flight;

    flight = ngx_chat_flight_find(s, hash);

    if (flight == NULL || flight->owed == 0) {
        return 0;
    }

    flight->owed--;
    ngx_chat_flight_drop(s, flight);

    return 1;
}


/* As above, for an answer that comes out of its place: should a page bring the
 * entry itself, the ack has stood for it. */

ngx_uint_t
ngx_chat_flight_answer_early(ngx_chat_session_t *s, uint64_t hash)
{
    ngx_chat_flight_t  *flight;

    flight = ngx_chat_flight_find(s, hash);

    if (flight == NULL || flight->owed == 0) {
        return 0;
    }

    flight->owed--;
    flight->acked = 1;

    return 1;
}


/* 1 when the entry that has its place now was acknowledged before. */

ngx_uint_t
ngx_chat_flight_stood(ngx_chat_session_t *s, uint64_t hash)
{
    ngx_chat_flight_t  *flight;

    flight = ngx_chat_flight_find(s, hash);

    if (flight == NULL || !flight->acked) {
        return 0;
    }

    flight->acked = 0;
    ngx_chat_flight_drop(s, flight);

    return 1;
}


/* How many wait for their answer. */

ngx_uint_t
ngx_chat_flight_waiting(ngx_chat_session_t *s)
{
    uint32_t    i;
    ngx_uint_t  n;

    for (i = 0, n = 0; i < s->nflight; i++) {
        n += (s->flight[i].owed != 0);
    }

    return n;
}
