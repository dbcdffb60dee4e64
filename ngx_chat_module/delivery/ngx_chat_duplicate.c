/*
 * ngx_chat_duplicate.c: acknowledges duplicate sends.
 *
 * Called from: deliver, with a worker's ACK record; sync, when pending acks
 * may be written. Hands to: deliver. The ack represents the entry, so it keeps
 * the entry's place in the chat's order. An entry that was written already, or
 * that is below the device's delivered cursor, is acknowledged at once; an
 * entry that is still to be fetched is acknowledged when its page arrives. As
 * long as the list has not decided which of these applies, the ack is pending
 * and kept here.
 */

#include "ngx_chat_session.h"
#include "ngx_chat_delivery.h"


typedef enum {
    NGX_CHAT_DUPLICATE_WRITTEN = 0,     /* written on this connection       */
    NGX_CHAT_DUPLICATE_BELOW,           /* below the delivered cursor: no page
                                           is expected to bring it          */
    NGX_CHAT_DUPLICATE_PENDING          /* not decided, or to be fetched    */
} ngx_chat_duplicate_e;

struct ngx_chat_pending_ack_s {
    ngx_chat_pending_ack_t  *next;
    uint64_t                 hash;      /* of chat and messageId            */
    uint64_t                 seq;
    int64_t                  timestamp;
    u_char                   chat[16];
    size_t                   len;       /* of message_id                    */
    u_char                   message_id[CHAT_MESSAGE_ID_MAX];
};


static ngx_chat_duplicate_e ngx_chat_duplicate_place(ngx_chat_session_t *s,
    const u_char *chat, uint64_t seq);
static ngx_uint_t ngx_chat_duplicate_answer(ngx_chat_session_t *s,
    uint64_t hash, ngx_chat_duplicate_e place);
static void ngx_chat_duplicate_defer(ngx_chat_session_t *s, chat_rec_t *rec,
    uint64_t hash);


/* Handles an ACK record: acknowledges the duplicate, or keeps its ack. */

void
ngx_chat_duplicate(chat_rec_t *rec)
{
    uint64_t              hash;
    ngx_chat_session_t   *s;
    ngx_chat_duplicate_e  place;

    s = ngx_chat_session_find(rec->session);

    if (s == NULL || s->state != NGX_CHAT_OPEN) {
        return;
    }

    hash = ngx_chat_inflight_hash(rec->chat, &rec->message_id);

    /* The entry itself was published too and has acknowledged the send. */
    if (!ngx_chat_inflight_pending(s, hash)) {
        return;
    }

    place = ngx_chat_duplicate_place(s, rec->chat, rec->seq);

    if (place == NGX_CHAT_DUPLICATE_PENDING) {
        ngx_chat_duplicate_defer(s, rec, hash);

    } else if (ngx_chat_duplicate_answer(s, hash, place)) {
        (void) ngx_chat_deliver_ack(s, rec);
    }
}


/* Writes the pending acks that can be placed now, after a list or a page has
 * arrived. all: nothing is left to fetch, so every pending ack is written. */

void
ngx_chat_duplicate_retry(ngx_chat_session_t *s, ngx_uint_t all)
{
    chat_rec_t               rec;
    ngx_chat_pending_ack_t  *ack, **link;
    ngx_chat_duplicate_e     place;

    link = &s->pending_acks;

    while (*link != NULL && s->state == NGX_CHAT_OPEN) {
        ack = *link;

        place = ngx_chat_duplicate_place(s, ack->chat, ack->seq);

        if (place == NGX_CHAT_DUPLICATE_PENDING) {

            if (!all && ngx_chat_inflight_pending(s, ack->hash)) {
                link = &ack->next;
                continue;
            }

            place = NGX_CHAT_DUPLICATE_BELOW;
        }

        if (ngx_chat_duplicate_answer(s, ack->hash, place)) {
            ngx_memzero(&rec, sizeof(chat_rec_t));
            ngx_memcpy(rec.chat, ack->chat, 16);
            rec.seq = ack->seq;
            rec.timestamp = ack->timestamp;
            rec.message_id.data = (char *) ack->message_id;
            rec.message_id.len = ack->len;

            (void) ngx_chat_deliver_ack(s, &rec);
        }

        *link = ack->next;
        ngx_free(ack);
    }
}


void
ngx_chat_duplicate_free(ngx_chat_session_t *s)
{
    ngx_chat_pending_ack_t  *ack;

    while (s->pending_acks != NULL) {
        ack = s->pending_acks;
        s->pending_acks = ack->next;
        ngx_free(ack);
    }
}


static ngx_chat_duplicate_e
ngx_chat_duplicate_place(ngx_chat_session_t *s, const u_char *chat,
    uint64_t seq)
{
    ngx_chat_cursor_t  *k;

    k = ngx_chat_table_find(&s->table, chat);

    if (k == NULL || (k->flags & NGX_CHAT_RECEIPT_ONLY)) {

        /* A chat that a complete list does not contain is up to date: the
         * device has acknowledged all of its entries. */
        return s->sync.state == NGX_CHAT_SYNC_LIST || s->sync.more_chats
               ? NGX_CHAT_DUPLICATE_PENDING
               : NGX_CHAT_DUPLICATE_BELOW;
    }

    if (k->flags & NGX_CHAT_UNVALIDATED) {
        return NGX_CHAT_DUPLICATE_PENDING;
    }

    return seq <= k->last ? NGX_CHAT_DUPLICATE_WRITTEN
                          : NGX_CHAT_DUPLICATE_PENDING;
}


static ngx_uint_t
ngx_chat_duplicate_answer(ngx_chat_session_t *s, uint64_t hash,
    ngx_chat_duplicate_e place)
{
    return place == NGX_CHAT_DUPLICATE_WRITTEN
           ? ngx_chat_inflight_answer(s, hash)
           : ngx_chat_inflight_answer_early(s, hash);
}


static void
ngx_chat_duplicate_defer(ngx_chat_session_t *s, chat_rec_t *rec, uint64_t hash)
{
    ngx_uint_t               n;
    ngx_chat_cursor_t       *k;
    ngx_chat_pending_ack_t  *ack, **link;

    for (link = &s->pending_acks, n = 0; *link != NULL; link = &(*link)->next) {
        n++;
    }

    /* No sync worker answers while the client keeps sending duplicates. Drop
     * this ack: the client sends again. */
    if (n == NGX_CHAT_INFLIGHT_MAX) {
        return;
    }

    ack = ngx_alloc(sizeof(ngx_chat_pending_ack_t), s->connection->log);
    if (ack == NULL) {
        ngx_chat_session_destroy(s, "out of memory");
        return;
    }

    ack->next = NULL;
    ack->hash = hash;
    ack->seq = rec->seq;
    ack->timestamp = rec->timestamp;
    ngx_memcpy(ack->chat, rec->chat, 16);
    ack->len = ngx_min(rec->message_id.len, CHAT_MESSAGE_ID_MAX);
    ngx_memcpy(ack->message_id, rec->message_id.data, ack->len);

    *link = ack;

    k = ngx_chat_table_find(&s->table, rec->chat);

    if (k != NULL && !(k->flags & (NGX_CHAT_RECEIPT_ONLY | NGX_CHAT_UNVALIDATED))) {
        k->target = ngx_max(k->target, rec->seq);
        ngx_chat_sync_repair(s, k);
    }
}
