/*
 * chat_event.c: events between the edge and the workers, as bytes.
 *
 * Called from the edge's publisher (encode) and the workers (decode). The
 * layout, little-endian:
 *
 *     u8 version, u8 type, u8 flags, u8 0
 *     u64 edge, session, user, device; i64 received
 *     chat (16 bytes)
 *     u64 seq, reply_to, expires_in
 *     u32 lengths of the six strings, CHAT_STR_ABSENT for an absent one
 *     the strings
 *
 * The type is not checked here: a worker moves an event of an unknown type to
 * the dead-letter stream together with the error.
 */

#include <assert.h>

#include "chat_bytes.h"
#include "chat_event.h"

#define CHAT_EVENT_STRINGS  6
#define CHAT_EVENT_HEAD     (4 + 5 * 8 + 16 + 3 * 8 + CHAT_EVENT_STRINGS * 4)

/* The order is that of the struct and part of the format. */
#define chat_event_strings(ev)                                               \
    { &(ev)->message_id, &(ev)->content, &(ev)->content_type,                \
      &(ev)->media_id, &(ev)->idempotency_key, &(ev)->body }


size_t
chat_event_size(const chat_event_t *ev)
{
    size_t             i, size;
    const chat_str_t  *strings[] = chat_event_strings(ev);

    size = CHAT_EVENT_HEAD;

    for (i = 0; i < CHAT_EVENT_STRINGS; i++) {
        size += strings[i]->data != NULL ? strings[i]->len : 0;
    }

    return size;
}


uint8_t *
chat_event_encode(const chat_event_t *ev, uint8_t *dst)
{
    size_t             i;
    const chat_str_t  *strings[] = chat_event_strings(ev);

    *dst++ = CHAT_EVENT_VERSION;
    *dst++ = ev->type;
    *dst++ = ev->flags;
    *dst++ = 0;

    dst = chat_put_u64(dst, ev->edge);
    dst = chat_put_u64(dst, ev->session);
    dst = chat_put_u64(dst, ev->user);
    dst = chat_put_u64(dst, ev->device);
    dst = chat_put_u64(dst, (uint64_t) ev->received);
    dst = chat_put_bytes(dst, ev->chat, 16);
    dst = chat_put_u64(dst, ev->seq);
    dst = chat_put_u64(dst, ev->reply_to);
    dst = chat_put_u64(dst, ev->expires_in);

    for (i = 0; i < CHAT_EVENT_STRINGS; i++) {

        if (strings[i]->data == NULL) {
            dst = chat_put_u32(dst, CHAT_STR_ABSENT);
            continue;
        }

        assert(strings[i]->len < CHAT_STR_ABSENT);

        dst = chat_put_u32(dst, (uint32_t) strings[i]->len);
    }

    for (i = 0; i < CHAT_EVENT_STRINGS; i++) {

        if (strings[i]->data != NULL) {
            dst = chat_put_bytes(dst, strings[i]->data, strings[i]->len);
        }
    }

    return dst;
}


int
chat_event_decode(const uint8_t *data, size_t len, chat_event_t *ev_r)
{
    size_t          i, left;
    uint32_t        n;
    const uint8_t  *p, *lengths;
    chat_str_t     *strings[] = chat_event_strings(ev_r);

    if (len < CHAT_EVENT_HEAD || data[0] != CHAT_EVENT_VERSION) {
        return -1;
    }

    ev_r->type = data[1];
    ev_r->flags = data[2];

    p = data + 4;

    ev_r->edge = chat_get_u64(p);
    ev_r->session = chat_get_u64(p + 8);
    ev_r->user = chat_get_u64(p + 16);
    ev_r->device = chat_get_u64(p + 24);
    ev_r->received = (int64_t) chat_get_u64(p + 32);
    memcpy(ev_r->chat, p + 40, 16);
    ev_r->seq = chat_get_u64(p + 56);
    ev_r->reply_to = chat_get_u64(p + 64);
    ev_r->expires_in = chat_get_u64(p + 72);

    lengths = p + 80;
    p = data + CHAT_EVENT_HEAD;
    left = len - CHAT_EVENT_HEAD;

    for (i = 0; i < CHAT_EVENT_STRINGS; i++) {

        n = chat_get_u32(lengths + 4 * i);

        if (n == CHAT_STR_ABSENT) {
            strings[i]->data = NULL;
            strings[i]->len = 0;
            continue;
        }

        if (n > left) {
            return -1;
        }

        strings[i]->data = (const char *) p;
        strings[i]->len = n;

        p += n;
        left -= n;
    }

    return 0;
}


uint8_t *
chat_receipt_encode(const chat_receipt_t *receipt, uint8_t *dst)
{
    dst = chat_put_u64(dst, receipt->session);
    dst = chat_put_u64(dst, receipt->user);
    dst = chat_put_u64(dst, receipt->device);
    dst = chat_put_bytes(dst, receipt->chat, 16);
    dst = chat_put_u64(dst, receipt->delivered);

    return chat_put_u64(dst, receipt->read);
}


const uint8_t *
chat_receipt_decode(const uint8_t *src, chat_receipt_t *receipt_r)
{
    receipt_r->session = chat_get_u64(src);
    receipt_r->user = chat_get_u64(src + 8);
    receipt_r->device = chat_get_u64(src + 16);
    memcpy(receipt_r->chat, src + 24, 16);
    receipt_r->delivered = chat_get_u64(src + 40);
    receipt_r->read = chat_get_u64(src + 48);

    return src + CHAT_RECEIPT_SIZE;
}


uint8_t *
chat_page_req_encode(const chat_page_req_t *request, uint8_t *dst)
{
    dst = chat_put_bytes(dst, request->chat, 16);
    dst = chat_put_u64(dst, request->after);

    return chat_put_u64(dst, request->to);
}


const uint8_t *
chat_page_req_decode(const uint8_t *src, chat_page_req_t *request_r)
{
    memcpy(request_r->chat, src, 16);
    request_r->after = chat_get_u64(src + 16);
    request_r->to = chat_get_u64(src + 24);

    return src + CHAT_PAGE_REQ_SIZE;
}


uint8_t *
chat_user_encode(uint64_t user, uint8_t *dst)
{
    return chat_put_u64(dst, user);
}


const uint8_t *
chat_user_decode(const uint8_t *src, uint64_t *user_r)
{
    *user_r = chat_get_u64(src);

    return src + CHAT_USER_SIZE;
}
