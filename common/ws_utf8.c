/*
 * ws_utf8.c: incremental validation of UTF-8 (RFC 3629).
 *
 * Called from ws_frame.c and other code that checks text. Most text is ASCII,
 * which is checked eight bytes at a time.
 */

#include <string.h>

#include "ws_frame.h"

/* State of ws_utf8() within a character: the number of missing bytes and the
 * range of the next one, which is narrower than 80..BF after E0, ED, F0 and F4
 * (RFC 3629, section 4). */
#define WS_UTF8_NEED(n, low, high)                                           \
    ((uint32_t) (n) | (uint32_t) (low) << 8 | (uint32_t) (high) << 16)

static uint32_t ws_utf8_first(uint8_t c);


uint32_t
ws_utf8(uint32_t state, const uint8_t *data, size_t len)
{
    uint8_t         c;
    uint64_t        word;
    const uint8_t  *end;

    if (state == WS_UTF8_BAD) {
        return WS_UTF8_BAD;
    }

    end = data + len;

    while (data < end) {

        if (state == 0) {

            while (end - data >= 8) {

                memcpy(&word, data, 8);

                if (word & 0x8080808080808080u) {
                    break;
                }

                data += 8;
            }

            if (data == end) {
                break;
            }

            state = ws_utf8_first(*data++);

            if (state == WS_UTF8_BAD) {
                return WS_UTF8_BAD;
            }

            continue;
        }

        c = *data++;

        if (c < (state >> 8 & 0xff) || c > (state >> 16 & 0xff)) {
            return WS_UTF8_BAD;
        }

        state = (state & 0xff) == 1
                ? 0 : WS_UTF8_NEED((state & 0xff) - 1, 0x80, 0xbf);
    }

    return state;
}


static uint32_t
ws_utf8_first(uint8_t c)
{
    if (c < 0x80) {
        return 0;
    }

    /* C0 and C1 could only begin an overlong encoding. */

    if (c < 0xc2 || c > 0xf4) {
        return WS_UTF8_BAD;
    }

    if (c < 0xe0) {
        return WS_UTF8_NEED(1, 0x80, 0xbf);
    }

    switch (c) {
    case 0xe0:
        return WS_UTF8_NEED(2, 0xa0, 0xbf);
    case 0xed:
        return WS_UTF8_NEED(2, 0x80, 0x9f);     /* no surrogates */
    case 0xf0:
        return WS_UTF8_NEED(3, 0x90, 0xbf);
    case 0xf4:
        return WS_UTF8_NEED(3, 0x80, 0x8f);     /* up to U+10FFFF */
    default:
        return c < 0xf0 ? WS_UTF8_NEED(2, 0x80, 0xbf)
                        : WS_UTF8_NEED(3, 0x80, 0xbf);
    }
}
