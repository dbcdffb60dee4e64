/*
 * ngx_chat_enqueue.c: an event into its Redis stream.
 *
 * Called from: dispatch, receipt, rest, sync. Hands to: redis, which sends the
 * events of one iteration of the event loop, or of one batch window, in one
 * write. The caller learns whether Redis has the event and answers its client.
 * A send that is repeated with the same messageId is harmless, whatever became
 * of the first one.
 */

#include "ngx_chat_redis.h"
#include "ngx_chat_delivery.h"


typedef ngx_int_t (*ngx_chat_redis_send_pt)(const ngx_str_t *key,
    ngx_chat_redis_reply_pt fn, void *data, int argc, const char **argv,
    const size_t *lens);


static ngx_int_t ngx_chat_enqueue_add(chat_event_t *ev, const ngx_str_t *key,
    ngx_chat_redis_send_pt send, ngx_chat_redis_reply_pt fn, void *data);
static void ngx_chat_enqueue_reply(ngx_chat_reply_t *reply, void *data);


ngx_uint_t
ngx_chat_enqueue_ready(const u_char *chat)
{
    return ngx_chat_redis_ready()
           && !ngx_chat_edge->full[chat_id_shard(chat)];
}


ngx_int_t
ngx_chat_enqueue_event(chat_event_t *ev, ngx_uint_t shard,
    ngx_chat_enqueue_t *enqueue)
{
    u_char     text[64];
    ngx_str_t  key;

    key.data = text;
    key.len = ngx_sprintf(text, "message.sent:{%ui}", shard) - text;

    return ngx_chat_enqueue_add(ev, &key, ngx_chat_redis_command_lingering,
                                enqueue ? ngx_chat_enqueue_reply : NULL,
                                enqueue);
}


ngx_int_t
ngx_chat_enqueue_sync(chat_event_t *ev)
{
    u_char     text[64];
    ngx_str_t  key;

    key.data = text;
    key.len = ngx_sprintf(text, "session.sync:{%uL}",
                          ev->user % CHAT_SYNC_SHARDS)
              - text;

    return ngx_chat_enqueue_add(ev, &key, ngx_chat_redis_command, NULL, NULL);
}


static ngx_int_t
ngx_chat_enqueue_add(chat_event_t *ev, const ngx_str_t *key,
    ngx_chat_redis_send_pt send, ngx_chat_redis_reply_pt fn, void *data)
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
    args[1] = (char *) key->data;
    lens[1] = key->len;
    args[2] = "*";
    lens[2] = 1;
    args[3] = CHAT_EVENT_FIELD;
    lens[3] = sizeof(CHAT_EVENT_FIELD) - 1;
    args[4] = (char *) buf;
    lens[4] = size;

    ngx_chat_edge->counters.events++;

    rc = send(key, fn, data, 5, args, lens);

    if (buf != ngx_chat_edge->scratch) {
        ngx_free(buf);
    }

    return rc;
}


static void
ngx_chat_enqueue_reply(ngx_chat_reply_t *reply, void *data)
{
    ngx_int_t            rc;
    ngx_chat_enqueue_t  *enqueue = data;

    rc = NGX_OK;

    if (ngx_chat_reply_failed(reply)) {
        rc = NGX_ERROR;
        ngx_chat_edge->counters.unavailable++;
    }

    if (reply->kind == NGX_CHAT_REPLY_ERROR) {
        ngx_log_error(NGX_LOG_WARN, ngx_chat_edge->log, 0,
                      "chat: Redis refused an event: %V", &reply->text);
    }

    enqueue->done(enqueue, rc);
}
