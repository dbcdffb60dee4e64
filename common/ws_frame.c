/*
 * ws_frame.c: incremental parser of client frames (RFC 6455).
 *
 * Called from the edge's reader; hands to ws_utf8.c. A frame is refused at
 * the first invalid byte: the opcode at the first, the mask bit
 * at the second, the length at the last of its bytes, before the mask and
 * before any payload.
 */

#include <string.h>

#include "ws_frame.h"

#define WS_FIN       0x80
#define WS_RSV       0x70
#define WS_OP        0x0f
#define WS_MASKED    0x80
#define WS_LEN       0x7f
#define WS_CONTROLS  0x08       /* set in the opcodes of control frames */

#define WS_CONTROL_MAX  125

#define WS_PROTOCOL     1002
#define WS_NO_STATUS    1005
#define WS_BAD_UTF8     1007
#define WS_TOO_LARGE    1009

static int ws_head_byte(ws_parser_t *p, uint8_t c, ws_event_t *ev);
static int ws_head_first(ws_parser_t *p, uint8_t c, ws_event_t *ev);
static int ws_head_second(ws_parser_t *p, uint8_t c, ws_event_t *ev);
static int ws_head_length(ws_parser_t *p, ws_event_t *ev);
static ws_event_e ws_payload_data(ws_parser_t *p, uint8_t **pos, uint8_t *end,
    ws_event_t *ev);
static ws_event_e ws_payload_control(ws_parser_t *p, uint8_t **pos,
    uint8_t *end, ws_event_t *ev);
static ws_event_e ws_close(ws_parser_t *p, ws_event_t *ev);
static int ws_close_code_check(unsigned code);
static void ws_unmask(ws_parser_t *p, uint8_t *data, size_t len);
static ws_event_e ws_error(ws_event_t *ev, uint16_t code, const char *why);

/* ws_head_byte() and its helpers */
enum { WS_HEAD_MORE, WS_HEAD_DONE, WS_HEAD_BAD };


void
ws_parser_init(ws_parser_t *p, uint64_t max)
{
    memset(p, 0, sizeof(*p));
    p->max = max;
}


ws_event_e
ws_parse(ws_parser_t *p, uint8_t **pos, uint8_t *end, ws_event_t *ev)
{
    ws_event_e  rc;

    memset(ev, 0, sizeof(*ev));

    for ( ;; ) {

        while (!p->in_payload) {

            if (*pos == end) {
                return WS_MORE;
            }

            switch (ws_head_byte(p, *(*pos)++, ev)) {
            case WS_HEAD_BAD:
                return WS_ERROR;
            case WS_HEAD_DONE:
                p->in_payload = 1;
                break;
            default:
                break;
            }
        }

        if (p->frame_op & WS_CONTROLS) {
            rc = ws_payload_control(p, pos, end, ev);

        } else {
            rc = ws_payload_data(p, pos, end, ev);
        }

        /* WS_MORE within a frame means that all bytes are used. An empty
         * fragment makes no event, and more bytes may follow it. */

        if (rc != WS_MORE || p->in_payload) {
            return rc;
        }
    }
}


static int
ws_head_byte(ws_parser_t *p, uint8_t c, ws_event_t *ev)
{
    unsigned  length;

    p->head[p->nhead++] = c;

    if (p->nhead == 1) {
        return ws_head_first(p, c, ev);
    }

    if (p->nhead == 2) {
        return ws_head_second(p, c, ev);
    }

    /* offset of the mask, behind the length */
    length = p->head[1] & WS_LEN;
    length = length == 127 ? 10 : length == 126 ? 4 : 2;

    if (p->nhead == length && ws_head_length(p, ev) != WS_HEAD_MORE) {
        return WS_HEAD_BAD;
    }

    if (p->nhead < length + 4) {
        return WS_HEAD_MORE;
    }

    /* ws_unmask() expects the mask at the front. */

    memmove(p->head, p->head + length, 4);
    p->nhead = 0;
    p->mask_pos = 0;
    p->ncontrol = 0;

    return WS_HEAD_DONE;
}


static int
ws_head_first(ws_parser_t *p, uint8_t c, ws_event_t *ev)
{
    if (c & WS_RSV) {
        ws_error(ev, WS_PROTOCOL, "reserved bits are set");
        return WS_HEAD_BAD;
    }

    p->fin = (c & WS_FIN) != 0;
    p->frame_op = c & WS_OP;

    switch (p->frame_op) {

    case WS_OP_CONT:

        if (p->op == 0) {
            ws_error(ev, WS_PROTOCOL, "a continuation of nothing");
            return WS_HEAD_BAD;
        }

        return WS_HEAD_MORE;

    case WS_OP_TEXT:
    case WS_OP_BINARY:

        if (p->op != 0) {
            ws_error(ev, WS_PROTOCOL, "a message within a message");
            return WS_HEAD_BAD;
        }

        return WS_HEAD_MORE;

    case WS_OP_CLOSE:
    case WS_OP_PING:
    case WS_OP_PONG:

        if (!p->fin) {
            ws_error(ev, WS_PROTOCOL, "a fragmented control frame");
            return WS_HEAD_BAD;
        }

        return WS_HEAD_MORE;

    default:
        ws_error(ev, WS_PROTOCOL, "a reserved opcode");
        return WS_HEAD_BAD;
    }
}


static int
ws_head_second(ws_parser_t *p, uint8_t c, ws_event_t *ev)
{
    if (!(c & WS_MASKED)) {
        ws_error(ev, WS_PROTOCOL, "a frame is not masked");
        return WS_HEAD_BAD;
    }

    if (p->frame_op & WS_CONTROLS && (c & WS_LEN) > WS_CONTROL_MAX) {
        ws_error(ev, WS_PROTOCOL, "a control frame is too long");
        return WS_HEAD_BAD;
    }

    if ((c & WS_LEN) > WS_CONTROL_MAX) {
        return WS_HEAD_MORE;
    }

    return ws_head_length(p, ev);
}


/* All bytes of the length are read. Section 5.2 requires the shortest form. */

static int
ws_head_length(ws_parser_t *p, ws_event_t *ev)
{
    size_t    i;
    uint64_t  len, least;

    len = p->head[1] & WS_LEN;
    least = 0;

    if (len > WS_CONTROL_MAX) {
        least = len == 126 ? 126 : 65536;
        len = 0;

        for (i = 2; i < p->nhead; i++) {
            len = len << 8 | p->head[i];
        }
    }

    if (len >> 63) {
        ws_error(ev, WS_PROTOCOL, "a length above 63 bits");
        return WS_HEAD_BAD;
    }

    if (len < least) {
        ws_error(ev, WS_PROTOCOL, "a length is not in its shortest form");
        return WS_HEAD_BAD;
    }

    p->left = len;

    if (p->frame_op & WS_CONTROLS) {
        return WS_HEAD_MORE;
    }

    if (p->frame_op != WS_OP_CONT) {
        p->total = 0;
        p->utf8 = 0;
    }

    if (len > p->max - p->total) {
        ws_error(ev, WS_TOO_LARGE, "a message above the limit");
        return WS_HEAD_BAD;
    }

    p->total += len;

    return WS_HEAD_MORE;
}


static ws_event_e
ws_payload_data(ws_parser_t *p, uint8_t **pos, uint8_t *end, ws_event_t *ev)
{
    size_t  len;

    len = (size_t) (end - *pos);

    if (len > p->left) {
        len = (size_t) p->left;
    }

    if (len == 0 && p->left != 0) {
        return WS_MORE;
    }

    ev->data = *pos;
    ev->len = len;
    *pos += len;
    p->left -= len;

    ws_unmask(p, ev->data, len);

    /* p->op is 0 until the first piece of the message has been handed out */

    ev->first = (p->op == 0);

    if (ev->first) {
        p->op = p->frame_op;
    }

    ev->op = p->op;
    ev->last = (p->left == 0 && p->fin);

    if (p->op == WS_OP_TEXT) {

        p->utf8 = ws_utf8(p->utf8, ev->data, len);

        if (p->utf8 == WS_UTF8_BAD || (ev->last && p->utf8 != 0)) {
            return ws_error(ev, WS_BAD_UTF8, "a text is not UTF-8");
        }
    }

    if (p->left == 0) {
        p->in_payload = 0;
    }

    if (ev->last) {
        p->op = 0;
    }

    if (len == 0 && !ev->first && !ev->last) {
        return WS_MORE;
    }

    return WS_DATA;
}


static ws_event_e
ws_payload_control(ws_parser_t *p, uint8_t **pos, uint8_t *end, ws_event_t *ev)
{
    size_t  len;

    len = (size_t) (end - *pos);

    if (len > p->left) {
        len = (size_t) p->left;
    }

    memcpy(p->control + p->ncontrol, *pos, len);
    ws_unmask(p, p->control + p->ncontrol, len);

    *pos += len;
    p->left -= len;
    p->ncontrol += (uint8_t) len;

    if (p->left != 0) {
        return WS_MORE;
    }

    p->in_payload = 0;

    ev->op = p->frame_op;
    ev->data = p->control;
    ev->len = p->ncontrol;

    return ev->op == WS_OP_CLOSE ? ws_close(p, ev) : WS_CONTROL;
}


static ws_event_e
ws_close(ws_parser_t *p, ws_event_t *ev)
{
    unsigned  code;

    if (p->ncontrol == 0) {
        ev->code = WS_NO_STATUS;
        return WS_CONTROL;
    }

    if (p->ncontrol == 1) {
        return ws_error(ev, WS_PROTOCOL, "half a close code");
    }

    code = (unsigned) p->control[0] << 8 | p->control[1];

    if (ws_close_code_check(code) != 0) {
        return ws_error(ev, WS_PROTOCOL, "a close code nobody may send");
    }

    if (ws_utf8(0, p->control + 2, (size_t) p->ncontrol - 2) != 0) {
        return ws_error(ev, WS_BAD_UTF8, "a close reason is not UTF-8");
    }

    ev->code = (uint16_t) code;

    return WS_CONTROL;
}


/* Section 7.4 and IANA's registry: 1004, 1005, 1006 and 1015 must not be
 * sent, and unassigned codes below 3000 are reserved. */

static int
ws_close_code_check(unsigned code)
{
    if (code >= 3000 && code <= 4999) {
        return 0;
    }

    if (code < 1000 || code > 1014 || (code >= 1004 && code <= 1006)) {
        return -1;
    }

    return 0;
}


static void
ws_unmask(ws_parser_t *p, uint8_t *data, size_t len)
{
    size_t    i;
    uint8_t   turned[8];
    uint64_t  mask, word;

    for (i = 0; i < 8; i++) {
        turned[i] = p->head[(p->mask_pos + i) & 3];
    }

    memcpy(&mask, turned, 8);
    p->mask_pos = (uint8_t) ((p->mask_pos + len) & 3);

    while (len >= 8) {
        memcpy(&word, data, 8);
        word ^= mask;
        memcpy(data, &word, 8);
        data += 8;
        len -= 8;
    }

    for (i = 0; i < len; i++) {
        data[i] ^= turned[i];
    }
}


/* The event carries no data of the refused frame. */

static ws_event_e
ws_error(ws_event_t *ev, uint16_t code, const char *why)
{
    memset(ev, 0, sizeof(*ev));

    ev->code = code;
    ev->why = why;

    return WS_ERROR;
}
