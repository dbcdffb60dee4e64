/*
 * api_out.c: streaming JSON writer into a chat_buf_t.
 *
 * Called from api_chats.c, api_members.c, api_messages.c, because a
 * jansson tree of a page would cost more than its query. A failed allocation
 * is reported by out->failed.
 */

#include <string.h>

#include <sodium.h>

#include "api.h"
#include "chat_id.h"
#include "chat_json.h"


void
api_out_text(chat_buf_t *out, const char *json)
{
    chat_buf_add(out, json, strlen(json));
}


void
api_out_num(chat_buf_t *out, uint64_t n)
{
    uint8_t  text[20];

    chat_buf_add(out, text, (size_t) (chat_json_u64(text, n) - text));
}


void
api_out_id(chat_buf_t *out, uint64_t n)
{
    chat_buf_add(out, "\"", 1);
    api_out_num(out, n);
    chat_buf_add(out, "\"", 1);
}


void
api_out_str(chat_buf_t *out, chat_str_t str)
{
    if (str.data == NULL) {
        api_out_text(out, "null");
        return;
    }

    chat_json_add_string(out, str.data, str.len);
}


void
api_out_time(chat_buf_t *out, int64_t ms)
{
    uint8_t  text[CHAT_TIME_TEXT + 2], *p;

    if (ms == 0) {
        api_out_text(out, "null");
        return;
    }

    text[0] = '"';
    p = chat_json_time(text + 1, ms);
    *p++ = '"';
    chat_buf_add(out, text, (size_t) (p - text));
}


void
api_out_chat_id(chat_buf_t *out, const uint8_t id[16])
{
    char  text[CHAT_ID_TEXT + 2], *p;

    text[0] = '"';
    p = chat_id_print(id, text + 1);
    *p++ = '"';
    chat_buf_add(out, text, (size_t) (p - text));
}


void
api_out_cursor(chat_buf_t *out, const void *src, size_t n)
{
    char  text[sodium_base64_ENCODED_LEN(API_CURSOR_MAX,
               sodium_base64_VARIANT_URLSAFE_NO_PADDING)];

    sodium_bin2base64(text, sizeof(text), src, n,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);

    chat_buf_add(out, "\"", 1);
    api_out_text(out, text);
    chat_buf_add(out, "\"", 1);
}
