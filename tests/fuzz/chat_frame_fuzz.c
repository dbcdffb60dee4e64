/*
 * chat_frame_fuzz.c: a frame that chat_frame_parse() accepts is within the
 * limits, and a refused one has an error and a reason.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "chat_frame.h"
#include "ws_frame.h"


static void
require(int fact)
{
    if (!fact) {
        abort();
    }
}


static void
check_text(const chat_str_t *s, size_t max)
{
    if (s->data != NULL) {
        require(s->len <= max);
        require(memchr(s->data, '\0', s->len) == NULL);
        require(ws_utf8(0, (const uint8_t *) s->data, s->len) == 0);
    }
}


static void
check(const chat_frame_t *frame, chat_error_e error)
{
    require(frame->error == error);
    require((error == CHAT_OK) == (frame->why[0] == '\0'));
    require(memchr(frame->why, '\0', sizeof(frame->why)) != NULL);

    check_text(&frame->message_id, CHAT_MESSAGE_ID_MAX);
    check_text(&frame->chat_text, 64);

    if (error != CHAT_OK) {
        return;
    }

    require(frame->type > CHAT_FRAME_NONE && frame->type < CHAT_FRAME_COUNT);
    check_text(&frame->content, CHAT_CONTENT_MAX);
    check_text(&frame->content_type, CHAT_CONTENT_TYPE_MAX);
    check_text(&frame->media_id, CHAT_MEDIA_ID_MAX);
    require(frame->seq <= INT64_MAX);
    require(frame->reply_to <= INT64_MAX);
    require(frame->expires_in <= CHAT_EXPIRES_MAX);
    require(json_array_size(frame->user_ids) <= CHAT_PRESENCE_MAX);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char          why[128];
    char         *text;
    json_t       *root;
    chat_error_e  error;
    chat_frame_t  frame;

    text = malloc(len ? len : 1);
    memcpy(text, data, len);

    error = chat_frame_parse(text, len, &frame);
    require(error != CHAT_E_INTERNAL && error != CHAT_E_BAD_REQUEST);
    check(&frame, error);
    chat_frame_free(&frame);

    error = chat_frame_parse_body(text, len, &frame);
    require(error == CHAT_OK || error == CHAT_E_BAD_REQUEST
            || error == CHAT_E_BAD_FIELD);
    check(&frame, error);
    chat_frame_free(&frame);

    root = chat_json_load(text, len, &error, why);
    require((root != NULL) == (error == CHAT_OK));
    json_decref(root);

    free(text);

    return 0;
}
