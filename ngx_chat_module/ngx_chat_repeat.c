/*
 * ngx_chat_repeat.c: the answer to a send that is a repeat.
 *
 * Called from deliver with a worker's ACK record and, for answers that had to
 * wait, from sync. The ack stands for the entry, so it keeps the entry's place
 * in the order: what was written already, or lies below the device's mark, is
 * acknowledged at once; what is still to be fetched is acknowledged by the
 * page that brings it. Until the list has told which of them it is, the answer
 * is held here.
 */

#include "ngx_chat.h"


typedef enum {
    NGX_CHAT_REPEAT_NOW = 0,            /* its place has been passed        */
    NGX_CHAT_REPEAT_BELOW,              /* no page will bring it, as far as
                                           anybody knows                    */
    NGX_CHAT_REPEAT_WAITS
} ngx_chat_repeat_e;

struct ngx_chat_held_s {
    ngx_chat_held_t    *next;
    uint64_t            hash;           /* of chat and messageId            */
    uint64_t            seq;
    int64_t             timestamp;
    u_char              chat[16];
    size_t              len;
    u_char              message_id[CHAT_MESSAGE_ID_MAX];
};


static ngx_chat_repeat_e ngx_chat_repeat_place(ngx_chat_session_t *s,
    const u_char *chat, uint64_t seq);
static ngx_uint_t ngx_chat_repeat_owed(ngx_chat_session_t *s, uint64_t hash,
    ngx_chat_repeat_e place);
static void ngx_chat_repeat_hold(ngx_chat_session_t *s, chat_rec_t *rec,
    uint64_t hash);


void
ngx_chat_repeat(chat_rec_t *rec)
{
    uint64_t             hash;
    ngx_chat_session_t  *s;
    ngx_chat_repeat_e    place;

    s = ngx_chat_session_find(rec->session);

    if (s == NULL || s->state != NGX_CHAT_OPEN) {
        return;
    }

    hash = ngx_chat_flight_hash(rec->chat, &rec->message_id);

    /* the entry that was published beside it has been the answer */
    if (!ngx_chat_flight_owed(s, hash)) {
        return;
    }

    place = ngx_chat_repeat_place(s, rec->chat, rec->seq);

    if (place == NGX_CHAT_REPEAT_WAITS) {
        ngx_chat_repeat_hold(s, rec, hash);

    } else if (ngx_chat_repeat_owed(s, hash, place)) {
        (void) ngx_chat_deliver_ack(s, rec);
    }
}


/* The session knows more than before: a list or a page has come, or, with
 * `all`, nothing is left to fetch. */

void
ngx_chat_repeat_again(ngx_chat_session_t *s, ngx_uint_t all)
{
    chat_rec_t          rec;
    ngx_chat_held_t    *held, **link;
    ngx_chat_repeat_e   place;

    link = &s->held;

    while (*link != NULL && s->state == NGX_CHAT_OPEN) {
        held = *link;

        place = ngx_chat_repeat_place(s, held->chat, held->seq);

        if (place == NGX_CHAT_REPEAT_WAITS) {

            if (!all && ngx_chat_flight_owed(s, held->hash)) {
                link = &held->next;
                continue;
            }

            place = NGX_CHAT_REPEAT_BELOW;
        }

        if (ngx_chat_repeat_owed(s, held->hash, place)) {
            ngx_memzero(&rec, sizeof(chat_rec_t));
            ngx_memcpy(rec.chat, held->chat, 16);
            rec.seq = held->seq;
            rec.timestamp = held->timestamp;
            rec.message_id.data = (char *) held->message_id;
            rec.message_id.len = held->len;

            (void) ngx_chat_deliver_ack(s, &rec);
        }

        *link = held->next;
        ngx_free(held);
    }
}


void
ngx_chat_repeat_free(ngx_chat_session_t *s)
{
    ngx_chat_held_t  *held;

    while (s->held != NULL) {
        held = s->held;
        s->held = held->next;
        ngx_free(held);
    }
}


static ngx_chat_repeat_e
ngx_chat_repeat_place(ngx_chat_session_t *s, const u_char *chat, uint64_t seq)
{
    ngx_chat_known_t  *k;

    k = ngx_chat_table_find(&s->table, chat);

    if (k == NULL || (k->flags & NGX_CHAT_UNSEEN)) {

        /* not in the list that is complete: all of it is marked */
        return s->sync == NGX_CHAT_SYNC_LIST || s->sync_rest
               ? NGX_CHAT_REPEAT_WAITS
               : NGX_CHAT_REPEAT_BELOW;
    }

    if (k->flags & NGX_CHAT_WAITS) {
        return NGX_CHAT_REPEAT_WAITS;
    }

    return seq <= k->last ? NGX_CHAT_REPEAT_NOW : NGX_CHAT_REPEAT_WAITS;
}


static ngx_uint_t
ngx_chat_repeat_owed(ngx_chat_session_t *s, uint64_t hash,
    ngx_chat_repeat_e place)
{
    return place == NGX_CHAT_REPEAT_NOW
           ? ngx_chat_flight_answer(s, hash)
           : ngx_chat_flight_answer_early(s, hash);
}


static void
ngx_chat_repeat_hold(ngx_chat_session_t *s, chat_rec_t *rec, uint64_t hash)
{
    ngx_uint_t         n;
    ngx_chat_held_t   *held, **link;
    ngx_chat_known_t  *k;

    for (link = &s->held, n = 0; *link != NULL; link = &(*link)->next) {
        n++;
    }

    /* no sync worker answers, and the client repeats and repeats: it will once
     * more */
    if (n == NGX_CHAT_FLIGHT_MAX) {
        return;
    }

    held = ngx_alloc(sizeof(ngx_chat_held_t), s->connection->log);
    if (held == NULL) {
        ngx_chat_session_destroy(s, "out of memory");
        return;
    }

    held->next = NULL;
    held->hash = hash;
    held->seq = rec->seq;
    held->timestamp = rec->timestamp;
    ngx_memcpy(held->chat, rec->chat, 16);
    held->len = ngx_min(rec->message_id.len, CHAT_MESSAGE_ID_MAX);
    ngx_memcpy(held->message_id, rec->message_id.data, held->len);

    *link = held;

    k = ngx_chat_table_find(&s->table, rec->chat);

    if (k != NULL && !(k->flags & (NGX_CHAT_UNSEEN | NGX_CHAT_WAITS))) {
        k->target = ngx_max(k->target, rec->seq);
        ngx_chat_sync_repair(s, k);
    }
}
