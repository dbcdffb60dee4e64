/*
 * ngx_chat_flight.c: a session's sends that have no answer yet.
 *
 * Called from dispatch (add) and deliver (take). Tells the own entry, which is
 * written as message_ack, from one that the same device sent otherwise. Kept
 * in a pool of its own that exists only while something is in flight.
 */

#include "ngx_chat.h"


#define NGX_CHAT_FLIGHT_OLD  60000      /* ms: the client has sent it again
                                           several times, or is gone        */


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


/* NGX_DECLINED when too many are in flight. */

ngx_int_t
ngx_chat_flight_add(ngx_chat_session_t *s, uint64_t hash)
{
    uint32_t            i, cap;
    ngx_pool_t         *pool;
    ngx_chat_flight_t  *flight;

    for (i = 0; i < s->nflight; i++) {
        if (s->flight[i].hash == hash) {
            s->flight[i].since = (uint32_t) ngx_current_msec;
            s->flight[i].acked = 0;
            return NGX_OK;
        }
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

    s->flight[s->nflight].hash = hash;
    s->flight[s->nflight].since = (uint32_t) ngx_current_msec;
    s->flight[s->nflight].acked = 0;
    s->nflight++;

    return NGX_OK;
}


ngx_chat_flight_e
ngx_chat_flight_find(ngx_chat_session_t *s, uint64_t hash)
{
    uint32_t  i;

    for (i = 0; i < s->nflight; i++) {
        if (s->flight[i].hash == hash) {
            return s->flight[i].acked ? NGX_CHAT_FLIGHT_ACKED
                                      : NGX_CHAT_FLIGHT_WAITING;
        }
    }

    return NGX_CHAT_FLIGHT_NONE;
}


/* What it was; it is in flight no longer. */

ngx_chat_flight_e
ngx_chat_flight_take(ngx_chat_session_t *s, uint64_t hash)
{
    uint32_t           i;
    ngx_chat_flight_e  was;

    for (i = 0; i < s->nflight; i++) {

        if (s->flight[i].hash != hash) {
            continue;
        }

        was = s->flight[i].acked ? NGX_CHAT_FLIGHT_ACKED
                                 : NGX_CHAT_FLIGHT_WAITING;

        s->flight[i] = s->flight[--s->nflight];

        if (s->nflight == 0) {
            ngx_destroy_pool(s->flight_pool);
            s->flight_pool = NULL;
            s->flight = NULL;
            s->flight_cap = 0;
        }

        return was;
    }

    return NGX_CHAT_FLIGHT_NONE;
}


void
ngx_chat_flight_acked(ngx_chat_session_t *s, uint64_t hash)
{
    uint32_t  i;

    for (i = 0; i < s->nflight; i++) {
        if (s->flight[i].hash == hash) {
            s->flight[i].acked = 1;
            return;
        }
    }
}


/* How many wait for their answer. */

ngx_uint_t
ngx_chat_flight_waiting(ngx_chat_session_t *s)
{
    uint32_t    i;
    ngx_uint_t  n;

    for (i = 0, n = 0; i < s->nflight; i++) {
        n += !s->flight[i].acked;
    }

    return n;
}
