/*
 * ngx_chat_enqueue.c: an event into its Redis stream.
 *
 * Called from dispatch, marks, rest and sync; hands to the command connection
 * of ngx_chat_redis.c, which gathers what one turn of the event loop brings,
 * or one window, into one write. When Redis refuses or is lost, the sender is
 * told at once: `unavailable`, and a resend with the same messageId is harmless
 * whatever became of the first.
 */

#include "ngx_chat.h"
#include "ngx_chat_redis.h"


typedef ngx_int_t (*ngx_chat_redis_send_pt)(redisCallbackFn *fn, void *data,
    int argc, const char **argv, const size_t *lens);

/* who is told when the XADD fails */
typedef struct {
    uint64_t            session;        /* or the REST request's id         */
    uint64_t            hash;           /* in flight                        */
    u_char              chat[16];
    u_char              message_id[CHAT_MESSAGE_ID_MAX];
    uint8_t             message_id_len;
    uint8_t             rest;
} ngx_chat_pending_t;


static void ngx_chat_enqueue_reply(redisAsyncContext *ac, void *reply,
    void *data);
static ngx_int_t ngx_chat_enqueue_add(chat_event_t *ev, const char *key,
    size_t key_len, ngx_chat_redis_send_pt send, redisCallbackFn *fn,
    void *data);


/* 1 when a send to this chat can be taken now. */

ngx_uint_t
ngx_chat_enqueue_ready(const u_char *chat)
{
    return ngx_chat_redis_ready()
           && !ngx_chat_edge->full[chat_id_shard(chat)];
}


/* NGX_OK when it is on its way to Redis: the answer, or an error frame, will
 * come. NGX_ERROR: the caller tells the client. */

ngx_int_t
ngx_chat_enqueue_event(chat_event_t *ev, ngx_uint_t shard)
{
    u_char               key[64];
    ngx_int_t            rc;
    redisCallbackFn     *fn;
    ngx_chat_pending_t  *pending;

    fn = NULL;
    pending = NULL;

    if (ev->type != CHAT_EV_TYPING && ev->type != CHAT_EV_RECEIPTS) {

        pending = ngx_chat_alloc(sizeof(ngx_chat_pending_t));
        if (pending == NULL) {
            return NGX_ERROR;
        }

        pending->session = ev->session;
        pending->rest = (ev->flags & CHAT_EV_F_REST) ? 1 : 0;
        ngx_memcpy(pending->chat, ev->chat, 16);

        if (!pending->rest) {
            pending->hash = ngx_chat_inflight_hash(ev->chat, &ev->message_id);
            pending->message_id_len = ev->message_id.len;
            ngx_memcpy(pending->message_id, ev->message_id.data,
                       ev->message_id.len);
        }

        fn = ngx_chat_enqueue_reply;
    }

    rc = ngx_chat_enqueue_add(ev, (char *) key,
                              ngx_sprintf(key, "message.sent:{%ui}", shard)
                              - key,
                              ngx_chat_redis_command_lingering, fn, pending);

    if (rc != NGX_OK && pending != NULL) {
        ngx_free(pending);
    }

    return rc;
}


/* A request to the sync worker: nobody is told when it is lost, it is asked
 * again. The stream is capped: requests older than seconds are worthless. */

ngx_int_t
ngx_chat_enqueue_sync(chat_event_t *ev)
{
    u_char  key[64];

    return ngx_chat_enqueue_add(ev, (char *) key,
                                ngx_sprintf(key, "session.sync:{%uL}",
                                            ev->user % CHAT_SYNC_SHARDS)
                                - key,
                                ngx_chat_redis_command, NULL, NULL);
}


static ngx_int_t
ngx_chat_enqueue_add(chat_event_t *ev, const char *key, size_t key_len,
    ngx_chat_redis_send_pt send, redisCallbackFn *fn, void *data)
{
    size_t        size, lens[5];
    uint8_t      *buf;
    ngx_int_t     rc;
    ngx_time_t   *tp;
    const char   *args[5];

    tp = ngx_timeofday();

    ev->edge = ngx_chat_edge->id;
    ev->received = (int64_t) tp->sec * 1000 + tp->msec;

    size = chat_event_size(ev);
    buf = ngx_chat_edge->scratch;

    if (size > NGX_CHAT_SCRATCH) {
        buf = ngx_alloc(size, ngx_cycle->log);
        if (buf == NULL) {
            return NGX_ERROR;
        }
    }

    chat_event_encode(ev, buf);

    args[0] = "XADD";
    lens[0] = 4;
    args[1] = key;
    lens[1] = key_len;
    args[2] = "*";
    lens[2] = 1;
    args[3] = CHAT_EVENT_FIELD;
    lens[3] = sizeof(CHAT_EVENT_FIELD) - 1;
    args[4] = (char *) buf;
    lens[4] = size;

    ngx_chat_edge->counters.events++;

    rc = send(fn, data, 5, args, lens);

    if (buf != ngx_chat_edge->scratch) {
        ngx_free(buf);
    }

    return rc;
}


static void
ngx_chat_enqueue_reply(redisAsyncContext *ac, void *reply, void *data)
{
    char                 text[CHAT_ID_TEXT];
    redisReply          *r = reply;
    chat_str_t           message_id, chat;
    ngx_chat_pending_t  *pending = data;
    ngx_chat_session_t  *s;

    if (r != NULL && r->type != REDIS_REPLY_ERROR) {
        ngx_free(pending);
        return;
    }

    if (r != NULL) {
        ngx_log_error(NGX_LOG_WARN, ngx_chat_edge->log, 0,
                      "chat: Redis refused an event: %s", r->str);
    }

    ngx_chat_edge->counters.unavailable++;

    if (pending->rest) {
        ngx_chat_rest_fail(pending->session);
        ngx_free(pending);
        return;
    }

    s = ngx_chat_session_find(pending->session);

    if (s != NULL && ngx_chat_inflight_answer(s, pending->hash)) {
        message_id.data = (char *) pending->message_id;
        message_id.len = pending->message_id_len;
        chat_id_print(pending->chat, text);
        chat.data = text;
        chat.len = CHAT_ID_TEXT;

        ngx_chat_error_write(s, CHAT_E_UNAVAILABLE,
                             "The message could not be taken just now: "
                             "send it again with the same messageId.",
                             &message_id, &chat, 2);
    }

    ngx_free(pending);
}
