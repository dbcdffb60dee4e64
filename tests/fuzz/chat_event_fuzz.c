/*
 * chat_event_fuzz.c: an event that chat_event_decode() accepts is encoded
 * to the same bytes.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "chat_event.h"


static void
require(int fact)
{
    if (!fact) {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t         size;
    uint8_t       *copy, *encoded;
    chat_event_t   ev, again;

    copy = malloc(len ? len : 1);
    memcpy(copy, data, len);

    if (chat_event_decode(copy, len, &ev) != 0) {
        free(copy);
        return 0;
    }

    size = chat_event_size(&ev);
    require(size <= len);

    encoded = malloc(size);
    require(chat_event_encode(&ev, encoded) == encoded + size);

    /* all but the reserved byte */
    require(memcmp(encoded, copy, 3) == 0);
    require(memcmp(encoded + 4, copy + 4, size - 4) == 0);

    require(chat_event_decode(encoded, size, &again) == 0);
    require(again.content.len == ev.content.len);
    require(again.body.len == ev.body.len);

    free(encoded);
    free(copy);

    return 0;
}
