/*
 * ngx_chat_dispatch.c: executes one message of the client.
 *
 * Called from: read (a whole text message). Hands to: enqueue (events),
 * receipt, presence, error, write. A message that is refused gets an `error`
 * frame and the connection stays open. Membership of a chat is checked by the
 * message worker, not here.
 */

#include "ngx_chat_session.h"
#include "ngx_chat_delivery.h"
#include "ngx_chat_presence.h"


#define NGX_CHAT_PING  "{\"type\":\"ping\"}"
#define NGX_CHAT_PONG  "{\"type\":\"pong\"}"


/* an event of a session on its way; the session may end before */
typedef struct {
    ngx_chat_enqueue_t  enqueue;        /* must be first                    */
    uint64_t            session;
    uint64_t            hash;           /* in the session's inflight        */
    u_char              chat[16];
    u_char              message_id[CHAT_MESSAGE_ID_MAX];
    uint8_t             message_id_len;
} ngx_chat_dispatch_pending_t;


static void ngx_chat_dispatch_event(ngx_chat_session_t *s,
    chat_frame_t *frame, ngx_uint_t type);
static void ngx_chat_dispatch_enqueued(ngx_chat_enqueue_t *enqueue,
    ngx_int_t rc);
static void ngx_chat_dispatch_typing(ngx_chat_session_t *s,
    chat_frame_t *frame);
static void ngx_chat_dispatch_pong(ngx_chat_session_t *s);


void
ngx_chat_dispatch(ngx_chat_session_t *s, u_char *text, size_t len)
{
    chat_error_e  rc;
    chat_frame_t  frame;

    /* Idle clients send only this, in exactly this form: no need to parse. */
    if (len == sizeof(NGX_CHAT_PING) - 1
        && ngx_memcmp(text, NGX_CHAT_PING, len) == 0)
    {
        ngx_chat_dispatch_pong(s);
        return;
    }

    rc = chat_frame_parse((char *) text, len, &frame);

    if (rc != CHAT_OK) {
        ngx_chat_error_write(s, rc, frame.why, &frame.message_id,
                             &frame.chat_text, 0);
        chat_frame_free(&frame);
        return;
    }

    switch (frame.type) {

    case CHAT_FRAME_SEND_MESSAGE:
        ngx_chat_dispatch_event(s, &frame, CHAT_EV_SEND);
        break;

    case CHAT_FRAME_EDIT_MESSAGE:
        ngx_chat_dispatch_event(s, &frame, CHAT_EV_EDIT);
        break;

    case CHAT_FRAME_DELETE_MESSAGE:
        ngx_chat_dispatch_event(s, &frame, CHAT_EV_DELETE);
        break;

    case CHAT_FRAME_REACT:
        ngx_chat_dispatch_event(s, &frame, CHAT_EV_REACT);
        break;

    case CHAT_FRAME_DELIVERED:
        ngx_chat_receipt_set(s, frame.chat, frame.seq, 0);
        break;

    case CHAT_FRAME_READ:
        ngx_chat_receipt_set(s, frame.chat, frame.seq, 1);
        break;

    case CHAT_FRAME_TYPING:
        ngx_chat_dispatch_typing(s, &frame);
        break;

    case CHAT_FRAME_PRESENCE_SUBSCRIBE:
        ngx_chat_presence_subscribe(s, &frame);
        break;

    case CHAT_FRAME_PRESENCE_UNSUBSCRIBE:
        ngx_chat_presence_unsubscribe(s, &frame);
        break;

    case CHAT_FRAME_PING:
        ngx_chat_dispatch_pong(s);
        break;

    default:
        ngx_chat_error_write(s, CHAT_E_UNKNOWN_TYPE,
                             "This server does not offer this type yet.",
                             NULL, NULL, 0);
    }

    chat_frame_free(&frame);
}


/* A message that creates an entry goes to the stream of its shard and is in
 * flight until its ack or error. */

static void
ngx_chat_dispatch_event(ngx_chat_session_t *s, chat_frame_t *frame,
    ngx_uint_t type)
{
    uint64_t                      hash;
    chat_event_t                  ev;
    ngx_chat_dispatch_pending_t  *pending;

    if (!ngx_chat_enqueue_ready(frame->chat)) {
        goto unavailable;
    }

    hash = ngx_chat_inflight_hash(frame->chat, &frame->message_id);

    if (ngx_chat_inflight_add(s, hash) != NGX_OK) {
        ngx_chat_error_write(s, CHAT_E_RATE_LIMITED,
                             "Too many messages wait for their answer: "
                             "wait for some of them.",
                             &frame->message_id, &frame->chat_text, 1);
        return;
    }

    ngx_memzero(&ev, sizeof(chat_event_t));

    ev.type = type;
    ev.session = s->id;
    ev.user = s->user;
    ev.device = s->device;
    ngx_memcpy(ev.chat, frame->chat, 16);
    ev.seq = frame->seq;
    ev.reply_to = frame->reply_to;
    ev.expires_in = frame->expires_in;
    ev.message_id = frame->message_id;
    ev.content = frame->content;
    ev.content_type = frame->content_type;
    ev.media_id = frame->media_id;

    pending = ngx_chat_alloc(sizeof(ngx_chat_dispatch_pending_t));

    if (pending != NULL) {
        pending->enqueue.done = ngx_chat_dispatch_enqueued;
        pending->session = s->id;
        pending->hash = hash;
        ngx_memcpy(pending->chat, ev.chat, 16);
        pending->message_id_len = ev.message_id.len;
        ngx_memcpy(pending->message_id, ev.message_id.data,
                   ev.message_id.len);

        if (ngx_chat_enqueue_event(&ev, chat_id_shard(ev.chat),
                                   &pending->enqueue)
            == NGX_OK)
        {
            return;
        }

        ngx_free(pending);
    }

    (void) ngx_chat_inflight_answer(s, hash);

unavailable:

    ngx_chat_edge->counters.unavailable++;
    ngx_chat_error_write(s, CHAT_E_UNAVAILABLE,
                         "The message could not be taken just now: send "
                         "it again with the same messageId.",
                         &frame->message_id, &frame->chat_text, 2);
}


/* NGX_ERROR: Redis refused the event, or was lost with it under way. */

static void
ngx_chat_dispatch_enqueued(ngx_chat_enqueue_t *enqueue, ngx_int_t rc)
{
    char                          text[CHAT_ID_TEXT];
    chat_str_t                    message_id, chat;
    ngx_chat_session_t           *s;
    ngx_chat_dispatch_pending_t  *pending;

    pending = (ngx_chat_dispatch_pending_t *) enqueue;
    s = rc == NGX_OK ? NULL : ngx_chat_session_find(pending->session);

    if (s != NULL && ngx_chat_inflight_answer(s, pending->hash)) {
        message_id.data = (char *) pending->message_id;
        message_id.len = pending->message_id_len;
        chat_id_print(pending->chat, text);
        chat.data = text;
        chat.len = CHAT_ID_TEXT;

        ngx_chat_error_write(s, CHAT_E_UNAVAILABLE,
                             "The message could not be taken just now: send "
                             "it again with the same messageId.",
                             &message_id, &chat, 2);
    }

    ngx_free(pending);
}


static void
ngx_chat_dispatch_typing(ngx_chat_session_t *s, chat_frame_t *frame)
{
    chat_event_t  ev;

    /* No error: the client repeats typing within seconds. */
    if (!ngx_chat_enqueue_ready(frame->chat)) {
        return;
    }

    ngx_memzero(&ev, sizeof(chat_event_t));

    ev.type = CHAT_EV_TYPING;
    ev.session = s->id;
    ev.user = s->user;
    ev.device = s->device;
    ev.seq = frame->active;
    ngx_memcpy(ev.chat, frame->chat, 16);

    (void) ngx_chat_enqueue_event(&ev, chat_id_shard(frame->chat), NULL);
}


static void
ngx_chat_dispatch_pong(ngx_chat_session_t *s)
{
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;

    /* One shared frame for all sessions, never freed. */
    if (edge->pong == NULL) {
        edge->pong = ngx_chat_frame_text((u_char *) NGX_CHAT_PONG,
                                         sizeof(NGX_CHAT_PONG) - 1);
    }

    (void) ngx_chat_write_shared(s, edge->pong);
}
