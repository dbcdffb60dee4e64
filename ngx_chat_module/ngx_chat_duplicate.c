/*
 * ngx_chat_duplicate.c: the answer to a send that is a repeat.
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
    NGX_CHAT_DUPLICATE_WRITTEN = 0,            /* its place has been passed        */
    NGX_CHAT_DUPLICATE_BELOW,              /* no page will bring it, as far as
                                           anybody knows                    */
    NGX_CHAT_DUPLICATE_PENDING
} ngx_chat_duplicate_e;

struct ngx_chat_pending_ack_s {
    ngx_chat_pending_ack_t    *next;
    uint64_t            hash;           /* of chat and messageId            */
    uint64_t            seq;
    int64_t             timestamp;
    u_char              chat[16];
    size_t              len;
    u_char              message_id[CHAT_MESSAGE_ID_MAX];
};


static ngx_chat_duplicate_e ngx_chat_duplicate_place(ngx_chat_session_t *s,
    const u_char *chat, uint64_t seq);
static ngx_uint_t ngx_chat_duplicate_answer(ngx_chat_session_t *s, uint64_t hash,
    ngx_chat_duplicate_e place);
static void ngx_chat_duplicate_defer(ngx_chat_session_t *s, chat_rec_t *rec,
    uint64_t hash);


void
ngx_chat_duplicate(chat_rec_t *rec)
{
    uint64_t             hash;
    ngx_chat_session_t  *s;
    ngx_chat_duplicate_e    place;

    s = ngx_chat_session_find(rec->session);

    if (s == NULL || s->state != NGX_CHAT_OPEN) {
        return;
    }

    hash = ngx_chat_inflight_hash(rec->chat, &rec->message_id);

    /* the entry that was published beside it has been the answer */
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


/* The session knows more than before: a list or a page has come, or, with
 * `all`, nothing is left to fetch. */

void
ngx_chat_duplicate_retry(ngx_chat_session_t *s, ngx_uint_t all)
{
    chat_rec_t          rec;
    ngx_chat_pending_ack_t    *held, **link;
    ngx_chat_duplicate_e   place;

    link = &s->pending_acks;

    while (*link != NULL && s->state == NGX_CHAT_OPEN) {
        held = *link;

        place = ngx_chat_duplicate_place(s, held->chat, held->seq);

        if (place == NGX_CHAT_DUPLICATE_PENDING) {

            if (!all && ngx_chat_inflight_pending(s, held->hash)) {
                link = &held->next;
                continue;
            }

            place = NGX_CHAT_DUPLICATE_BELOW;
        }

        if (ngx_chat_duplicate_answer(s, held->hash, place)) {
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
ngx_chat_duplicate_free(ngx_chat_session_t *s)
{
    ngx_chat_pending_ack_t  *held;

    while (s->pending_acks != NULL) {
        held = s->pending_acks;
        s->pending_acks = held->next;
        ngx_free(held);
    }
}


static ngx_chat_duplicate_e
ngx_chat_duplicate_place(ngx_chat_session_t *s, const u_char *chat, uint64_t seq)
{
    ngx_chat_cursor_t  *k;

    k = ngx_chat_table_find(&s->table, chat);

    if (k == NULL || (k->flags & NGX_CHAT_UNWRITTEN)) {

        /* not in the list that is complete: all of it is marked */
        return s->sync.state == NGX_CHAT_SYNC_LIST || s->sync.more_chats
               ? NGX_CHAT_DUPLICATE_PENDING
               : NGX_CHAT_DUPLICATE_BELOW;
    }

    if (k->flags & NGX_CHAT_WAITS) {
        return NGX_CHAT_DUPLICATE_PENDING;
    }

    return seq <= k->last ? NGX_CHAT_DUPLICATE_WRITTEN : NGX_CHAT_DUPLICATE_PENDING;
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
    ngx_uint_t         n;
    ngx_chat_pending_ack_t   *held, **link;
    ngx_chat_cursor_t  *k;

    for (link = &s->pending_acks, n = 0; *link != NULL; link = &(*link)->next) {
        n++;
    }

    /* no sync worker answers, and the client repeats and repeats: it will once
     * more */
    if (n == NGX_CHAT_INFLIGHT_MAX) {
        return;
    }

    held = ngx_alloc(sizeof(ngx_chat_pending_ack_t), s->connection->log);
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

    if (k != NULL && !(k->flags & (NGX_CHAT_UNWRITTEN | NGX_CHAT_WAITS))) {
        k->target = ngx_max(k->target, rec->seq);
        ngx_chat_sync_repair(s, k);
    }
}
