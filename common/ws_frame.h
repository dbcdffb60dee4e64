/*
 * ws_frame.h: the WebSocket protocol (RFC 6455) as a pure, incremental parser
 * and a writer. No I/O, no clock, no allocation.
 *
 * The caller owns the bytes. ws_parse() is called repeatedly with the bytes
 * that were read; it unmasks in place, checks order of fragments, lengths,
 * reserved bits, masking, control frames and UTF-8 over the joined text
 * message (section 8.1), and hands out pieces. State lives in ws_parser_t, so
 * a frame may arrive one byte at a time.
 */

#ifndef WS_FRAME_H
#define WS_FRAME_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    WS_OP_CONT = 0x0, WS_OP_TEXT = 0x1, WS_OP_BINARY = 0x2,
    WS_OP_CLOSE = 0x8, WS_OP_PING = 0x9, WS_OP_PONG = 0xa
} ws_op_e;

typedef enum {
    WS_MORE = 0,        /* all bytes used; call again with new ones          */
    WS_DATA,            /* data/len: a piece of the message, unmasked        */
    WS_CONTROL,         /* op and data/len (<= 125): a whole control frame;
                           CLOSE has been checked (code, UTF-8), its code is
                           in `code` (1005 when it had none)                 */
    WS_ERROR            /* close with `code`: 1002, 1007 or 1009; the parser
                           must not be used again                            */
} ws_event_e;

typedef struct {
    uint64_t  left;             /* payload bytes of this frame still to come */
    uint64_t  total;            /* payload of the message so far             */
    uint64_t  max;              /* limit of `total`; above: 1009             */
    uint32_t  utf8;             /* state of the UTF-8 decoder                */
    uint8_t   head[14];         /* frame head as far as it has arrived       */
    uint8_t   nhead;
    uint8_t   mask_pos;
    uint8_t   op;               /* of the message in progress, 0 if none     */
    uint8_t   frame_op;         /* of the frame in progress                  */
    uint8_t   fin;
    uint8_t   in_payload;
    uint8_t   ncontrol;
    uint8_t   control[125];     /* control payloads may arrive in pieces     */
} ws_parser_t;

typedef struct {
    uint8_t   op;               /* of the message, or of the control frame   */
    uint8_t   first;            /* DATA: begins the message                  */
    uint8_t   last;             /* DATA: ends it; first && last: whole       */
    uint16_t  code;
    uint8_t  *data;             /* borrowed, valid until the next call       */
    size_t    len;
    const char *why;            /* ERROR: what was wrong, for the log        */
} ws_event_t;

/* max: limit of a reassembled message, bytes. */
void ws_parser_init(ws_parser_t *p, uint64_t max);

/* Uses bytes from *pos up to end and moves *pos. A message whose payload is
 * empty still gives one WS_DATA with len 0, first and last set as they are. */
ws_event_e ws_parse(ws_parser_t *p, uint8_t **pos, uint8_t *end,
    ws_event_t *ev);

#define WS_HEAD_MAX  10         /* of a server's frame: unmasked */

/* Writes the head of an unfragmented server frame; returns its length. */
size_t ws_head(uint8_t dst[WS_HEAD_MAX], uint8_t op, uint64_t len);

/* A close frame with code and reason (cut to fit, at a UTF-8 boundary), into
 * dst of 127 bytes; returns its length. */
size_t ws_close_frame(uint8_t dst[127], uint16_t code, const char *reason);

/* UTF-8 (RFC 3629), incremental: state 0 at the start and when complete,
 * WS_UTF8_BAD once broken. */
#define WS_UTF8_BAD  0xffffffffu
uint32_t ws_utf8(uint32_t state, const uint8_t *data, size_t len);

#define WS_ACCEPT_LEN  28
/* Sec-WebSocket-Accept of a 24-character key (section 4.2.2); dst gets
 * WS_ACCEPT_LEN characters. sha1 is the caller's: the 20-byte digest of key
 * and WS_GUID (nginx has its own, workers do not need it). */
#define WS_GUID  "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
void ws_accept(const uint8_t sha1[20], char *dst);

/* A Sec-WebSocket-Key is 16 bytes in base64: 24 characters. 0, or -1. */
int ws_key_check(const char *key, size_t len);

#endif
