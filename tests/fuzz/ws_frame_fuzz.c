/*
 * ws_frame_fuzz.c: ws_parse() gives the same result for whole input and
 * for pieces.
 *
 * The first byte of the input selects the sizes of the pieces, the remainder is
 * sent by the client. How much of a message is delivered before its error
 * depends on the pieces, so both runs are compared up to the last whole
 * message.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ws_frame.h"

#define LIMIT  1000

typedef struct {
    uint8_t   *data;
    size_t     len;
    size_t     whole;           /* end of the last whole message */
    unsigned   error;
} heard_t;


static void
require(int fact)
{
    if (!fact) {
        abort();
    }
}


static void
hear(heard_t *heard, const ws_event_t *ev)
{
    memcpy(heard->data + heard->len, ev->data, ev->len);
    heard->len += ev->len;
}


static void
run(const uint8_t *data, size_t len, size_t step, heard_t *heard)
{
    int           open;
    size_t        at, n, total;
    uint8_t      *copy, *pos;
    uint32_t      utf8;
    ws_event_t    ev;
    ws_parser_t   p;

    ws_parser_init(&p, LIMIT);
    open = 0;
    total = 0;
    utf8 = 0;

    for (at = 0; at < len; at += n) {

        n = len - at < step ? len - at : step;
        copy = malloc(n);
        memcpy(copy, data + at, n);
        pos = copy;

        for ( ;; ) {

            switch (ws_parse(&p, &pos, copy + n, &ev)) {

            case WS_MORE:
                require(pos == copy + n);
                break;

            case WS_DATA:
                require(ev.op == WS_OP_TEXT || ev.op == WS_OP_BINARY);
                require(ev.first == !open);
                total = ev.first ? ev.len : total + ev.len;
                require(total <= LIMIT);
                utf8 = ws_utf8(ev.first ? 0 : utf8, ev.data, ev.len);
                require(ev.op == WS_OP_BINARY || utf8 != WS_UTF8_BAD);
                require(ev.op == WS_OP_BINARY || !ev.last || utf8 == 0);
                hear(heard, &ev);
                open = !ev.last;

                if (!open) {
                    heard->whole = heard->len;
                }

                continue;

            case WS_CONTROL:
                require(ev.len <= 125);
                require(ev.op >= WS_OP_CLOSE && ev.op <= WS_OP_PONG);

                if (!open) {
                    hear(heard, &ev);
                    heard->whole = heard->len;
                }

                continue;

            case WS_ERROR:
                require(ev.why != NULL);
                require(ev.code == 1002 || ev.code == 1007
                        || ev.code == 1009);
                heard->error = ev.code;
                free(copy);
                return;
            }

            break;
        }

        free(copy);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    heard_t  whole, pieces;

    if (len < 2) {
        return 0;
    }

    memset(&whole, 0, sizeof(whole));
    memset(&pieces, 0, sizeof(pieces));
    whole.data = malloc(len);
    pieces.data = malloc(len);

    run(data + 1, len - 1, len, &whole);
    run(data + 1, len - 1, 1 + data[0] % 16, &pieces);

    require(whole.error == pieces.error);
    require(whole.whole == pieces.whole);
    require(memcmp(whole.data, pieces.data, whole.whole) == 0);

    free(whole.data);
    free(pieces.data);

    return 0;
}
