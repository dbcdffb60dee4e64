/*
 * api_field.c: reads fields of bodies, query arguments and path parts.
 *
 * Called from the resources (api_auth.c ... api_users.c); hands errors to
 * api_reply.c. Nothing is clamped or trimmed: a value outside its limits is
 * bad_field, a malformed id is not_found.
 */

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "api.h"
#include "chat_id.h"
#include "chat_json.h"

static size_t api_field_chars(const char *text, size_t len);


int
api_field_text(api_req_t *req, json_t *object, const char *name, size_t min,
    size_t max, int required, const char **text_r)
{
    char     why[64];
    size_t   n;
    json_t  *value;

    *text_r = NULL;
    value = json_object_get(object, name);

    if (value == NULL || json_is_null(value)) {
        if (required) {
            api_reply_field(req, name, "is missing");
            return -1;
        }
        return 0;
    }

    if (!json_is_string(value)) {
        api_reply_field(req, name, "is not a string");
        return -1;
    }

    if (strlen(json_string_value(value)) != json_string_length(value)) {
        api_reply_field(req, name, "has a NUL");
        return -1;
    }

    n = api_field_chars(json_string_value(value), json_string_length(value));

    if (n < min || n > max) {
        snprintf(why, sizeof(why), "has not %zu to %zu characters", min, max);
        api_reply_field(req, name, why);
        return -1;
    }

    *text_r = json_string_value(value);

    return 0;
}


/* E.164: '+' and 7 to 15 digits, the first not 0. */

int
api_field_number(api_req_t *req, const char *name, chat_str_t *phone_r)
{
    size_t       i;
    json_t      *value;
    const char  *text;

    value = json_object_get(req->json, name);
    text = json_is_string(value) ? json_string_value(value) : NULL;

    if (value == NULL || json_is_null(value)) {
        api_reply_field(req, name, "is missing");
        return -1;
    }

    if (text == NULL || text[0] != '+' || text[1] < '1' || text[1] > '9'
        || json_string_length(value) < 8 || json_string_length(value) > 16)
    {
        api_reply_field(req, name, "is not an E.164 number");
        return -1;
    }

    for (i = 1; i < json_string_length(value); i++) {
        if (text[i] < '0' || text[i] > '9') {
            api_reply_field(req, name, "is not an E.164 number");
            return -1;
        }
    }

    phone_r->data = text;
    phone_r->len = i;

    return 0;
}


int
api_field_has_control(const char *text, int lines)
{
    const unsigned char  *p;

    for (p = (const unsigned char *) text; *p != '\0'; p++) {
        if ((*p < 0x20 && !(lines && (*p == '\n' || *p == '\r' || *p == '\t')))
            || *p == 0x7f)
        {
            return 1;
        }
    }

    return 0;
}


int
api_arg_limit(api_req_t *req, unsigned preset, unsigned *limit_r)
{
    uint64_t     n;
    const char  *text;

    *limit_r = preset;

    if (MHD_lookup_connection_value_n(req->conn, MHD_GET_ARGUMENT_KIND,
                                      "limit", 5, &text, NULL)
        != MHD_YES)
    {
        return 0;
    }

    /* "?limit" without a value is not a number either. */
    if (text == NULL || chat_num_parse(text, strlen(text), &n) != 0
        || n > API_LIMIT_MAX)
    {
        api_reply_field(req, "limit", "is not a number from 1 to 100");
        return -1;
    }

    *limit_r = (unsigned) n;

    return 0;
}


int
api_arg_seq(api_req_t *req, const char *name, uint64_t min, int *given_r,
    uint64_t *seq_r)
{
    const char  *text;

    *given_r = MHD_lookup_connection_value_n(req->conn, MHD_GET_ARGUMENT_KIND,
                                             name, strlen(name), &text, NULL)
               == MHD_YES;
    if (!*given_r) {
        return 0;
    }

    if (text != NULL && min == 0 && strcmp(text, "0") == 0) {
        *seq_r = 0;
        return 0;
    }

    if (text == NULL || chat_num_parse(text, strlen(text), seq_r) != 0) {
        api_reply_field(req, name, "is not the number of an entry");
        return -1;
    }

    return 0;
}


int
api_arg_cursor(api_req_t *req, void *dst, size_t n, int *given_r)
{
    size_t       len;
    uint8_t      bytes[API_CURSOR_MAX];
    const char  *text;

    *given_r = MHD_lookup_connection_value_n(req->conn, MHD_GET_ARGUMENT_KIND,
                                             "cursor", 6, &text, NULL)
               == MHD_YES;
    if (!*given_r) {
        return 0;
    }

    if (text == NULL
        || sodium_base642bin(bytes, sizeof(bytes), text, strlen(text), NULL,
                             &len, NULL,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0
        || len != n)
    {
        api_reply_field(req, "cursor", "is not one of ours");
        return -1;
    }

    memcpy(dst, bytes, n);

    return 0;
}


int
api_param_num(api_req_t *req, unsigned i, uint64_t *num_r)
{
    if (chat_num_parse(req->param[i].data, req->param[i].len, num_r) != 0) {
        api_reply_error(req, CHAT_E_NOT_FOUND, NULL);
        return -1;
    }

    return 0;
}


int
api_param_chat(api_req_t *req, uint8_t id_r[16])
{
    if (chat_id_parse(req->param[0].data, req->param[0].len, id_r) != 0) {
        api_reply_error(req, CHAT_E_NOT_FOUND, NULL);
        return -1;
    }

    return 0;
}


json_t *
api_json_num(uint64_t n)
{
    uint8_t  text[20];

    return json_stringn((char *) text,
                        (size_t) (chat_json_u64(text, n) - text));
}


json_t *
api_json_time(int64_t ms)
{
    uint8_t  text[CHAT_TIME_TEXT];

    if (ms == 0) {
        return json_null();
    }

    return json_stringn((char *) text,
                        (size_t) (chat_json_time(text, ms) - text));
}


json_t *
api_json_str(chat_str_t str)
{
    return str.data == NULL ? json_null() : json_stringn(str.data, str.len);
}


json_t *
api_json_cursor(const void *src, size_t n)
{
    char  text[sodium_base64_ENCODED_LEN(API_CURSOR_MAX,
               sodium_base64_VARIANT_URLSAFE_NO_PADDING)];

    sodium_bin2base64(text, sizeof(text), src, n,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);

    return json_string(text);
}


void
api_set(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0) {
        worker_die("out of memory");
    }
}


/* jansson gives valid UTF-8 only: every byte but a continuation byte begins a
 * character. */

static size_t
api_field_chars(const char *text, size_t len)
{
    size_t  i, n;

    for (n = 0, i = 0; i < len; i++) {
        n += ((unsigned char) text[i] & 0xc0) != 0x80;
    }

    return n;
}
