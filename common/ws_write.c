/*
 * ws_write.c: writes server frames (RFC 6455): frame headers, close frames,
 * and the two strings of the opening handshake.
 *
 * Called from the edge's writer and upgrade.
 */

#include <string.h>

#include "ws_frame.h"

#define WS_FIN         0x80
#define WS_NO_STATUS   1005
#define WS_REASON_MAX  123      /* 125 of a control frame without the code */


size_t
ws_head(uint8_t dst[WS_HEAD_MAX], uint8_t op, uint64_t len)
{
    size_t  i;

    dst[0] = WS_FIN | op;

    if (len <= 125) {
        dst[1] = (uint8_t) len;
        return 2;
    }

    if (len <= 65535) {
        dst[1] = 126;
        dst[2] = (uint8_t) (len >> 8);
        dst[3] = (uint8_t) len;
        return 4;
    }

    dst[1] = 127;

    for (i = 0; i < 8; i++) {
        dst[2 + i] = (uint8_t) (len >> (56 - 8 * i));
    }

    return 10;
}


size_t
ws_close_frame(uint8_t dst[127], uint16_t code, const char *reason)
{
    size_t  len;

    /* 1005 means that no code is sent, and without one there is no reason */

    if (code == WS_NO_STATUS) {
        return ws_head(dst, WS_OP_CLOSE, 0);
    }

    len = reason != NULL ? strlen(reason) : 0;

    if (len > WS_REASON_MAX) {
        len = WS_REASON_MAX;

        while (len > 0 && ((uint8_t) reason[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    (void) ws_head(dst, WS_OP_CLOSE, 2 + len);

    dst[2] = (uint8_t) (code >> 8);
    dst[3] = (uint8_t) code;

    if (len != 0) {
        memcpy(dst + 4, reason, len);
    }

    return 4 + len;
}


void
ws_accept(const uint8_t sha1[20], char *dst)
{
    size_t    i;
    uint32_t  n;

    static const char  digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789+/";

    for (i = 0; i < 20; i += 3) {

        n = (uint32_t) sha1[i] << 16 | (uint32_t) sha1[i + 1] << 8;

        if (i + 2 < 20) {
            n |= sha1[i + 2];
        }

        *dst++ = digits[n >> 18];
        *dst++ = digits[n >> 12 & 0x3f];
        *dst++ = digits[n >> 6 & 0x3f];
        *dst++ = i + 2 < 20 ? digits[n & 0x3f] : '=';
    }
}


int
ws_key_check(const char *key, size_t len)
{
    char    c;
    size_t  i;

    if (len != 24 || key[22] != '=' || key[23] != '=') {
        return -1;
    }

    for (i = 0; i < 22; i++) {

        c = key[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
              || (c >= '0' && c <= '9') || c == '+' || c == '/'))
        {
            return -1;
        }
    }

    return 0;
}
