/*
 * chat_field.c: checks the fields of a client's frame against the limits
 * of chat_proto.h.
 *
 * Called from chat_frame.c; hands to chat_id.c. Strings here contain no
 * NUL: chat_load.c refuses it.
 */

#include <stdio.h>
#include <string.h>

#include "chat_field.h"
#include "chat_id.h"

#define CHAT_EMOJI_MAX  64

static int chat_field_chat(chat_frame_t *frame);
static int chat_field_id(chat_frame_t *frame);
static int chat_field_seq(chat_frame_t *frame);
static int chat_field_text(chat_frame_t *frame, const char *key, size_t min,
    size_t max, chat_str_t *s_r);
static int chat_field_extras(chat_frame_t *frame);
static int chat_field_word(chat_frame_t *frame, const char *key, size_t max,
    chat_str_t *s_r);
static int chat_field_number(chat_frame_t *frame, const char *key,
    uint64_t max, uint64_t *n_r);
static int chat_field_active(chat_frame_t *frame);
static int chat_field_users(chat_frame_t *frame);
static json_t *chat_field(const chat_frame_t *frame, const char *key);


chat_error_e
chat_frame_fields(chat_frame_t *frame, unsigned has)
{
    if ((has & CHAT_HAS_CHAT && chat_field_chat(frame) != 0)
        || (has & CHAT_HAS_ID && chat_field_id(frame) != 0)
        || (has & CHAT_HAS_SEQ && chat_field_seq(frame) != 0)
        || (has & CHAT_HAS_CONTENT
            && chat_field_text(frame, "content", 1, CHAT_CONTENT_MAX,
                               &frame->content) != 0)
        || (has & CHAT_HAS_EMOJI
            && chat_field_text(frame, "emoji", 0, CHAT_EMOJI_MAX,
                               &frame->content) != 0)
        || (has & CHAT_HAS_EXTRAS && chat_field_extras(frame) != 0)
        || (has & CHAT_HAS_ACTIVE && chat_field_active(frame) != 0)
        || (has & CHAT_HAS_USERS && chat_field_users(frame) != 0))
    {
        return frame->error;
    }

    return CHAT_OK;
}


static int
chat_field_chat(chat_frame_t *frame)
{
    if (frame->has_chat) {
        return 0;
    }

    if (!json_is_string(chat_field(frame, "chatId"))) {
        return chat_refuse(frame, CHAT_E_BAD_FIELD, "chatId",
                           "must be a string");
    }

    return chat_refuse(frame, CHAT_E_NOT_FOUND, "chatId", "is no chat's id");
}


static int
chat_field_id(chat_frame_t *frame)
{
    if (frame->message_id.data != NULL) {
        return 0;
    }

    return chat_refuse(frame, CHAT_E_BAD_FIELD, "messageId",
                       "must be a string of 1 to 64 bytes from '!' to '~'");
}


static int
chat_field_seq(chat_frame_t *frame)
{
    if (chat_field_number(frame, "seq", INT64_MAX, &frame->seq) != 0) {
        return -1;
    }

    if (frame->seq == 0) {
        return chat_refuse(frame, CHAT_E_BAD_FIELD, "seq", "is missing");
    }

    return 0;
}


static int
chat_field_text(chat_frame_t *frame, const char *key, size_t min, size_t max,
    chat_str_t *s_r)
{
    size_t   len;
    json_t  *v;

    v = chat_field(frame, key);

    if (!json_is_string(v)) {
        return chat_refuse(frame, CHAT_E_BAD_FIELD, key, "must be a string");
    }

    len = json_string_length(v);

    if (len < min) {
        return chat_refuse(frame, CHAT_E_BAD_FIELD, key, "is empty");
    }

    if (len > max) {
        /* The limit of a frame is above the limit of the content. */
        return chat_refuse(frame, max == CHAT_CONTENT_MAX ? CHAT_E_TOO_LARGE
                                                          : CHAT_E_BAD_FIELD,
                           key, "is too long");
    }

    s_r->data = json_string_value(v);
    s_r->len = len;

    return 0;
}


static int
chat_field_extras(chat_frame_t *frame)
{
    if (chat_field_word(frame, "contentType", CHAT_CONTENT_TYPE_MAX,
                        &frame->content_type) != 0
        || chat_field_word(frame, "mediaId", CHAT_MEDIA_ID_MAX,
                           &frame->media_id) != 0
        || chat_field_number(frame, "replyTo", INT64_MAX,
                             &frame->reply_to) != 0
        || chat_field_number(frame, "expiresIn", CHAT_EXPIRES_MAX,
                             &frame->expires_in) != 0)
    {
        return -1;
    }

    return 0;
}


/* optional; printable ASCII, blanks included ("text/plain; charset=utf-8") */

static int
chat_field_word(chat_frame_t *frame, const char *key, size_t max,
    chat_str_t *s_r)
{
    size_t       len;
    json_t      *v;
    const char  *s;

    v = chat_field(frame, key);

    if (v == NULL) {
        return 0;
    }

    s = json_string_value(v);
    len = json_string_length(v);

    if (s == NULL || !chat_field_printable(s, len, max, ' ')) {
        return chat_refuse(frame, CHAT_E_BAD_FIELD, key, "must be a string "
                           "of 1 to 64 printable ASCII characters");
    }

    s_r->data = s;
    s_r->len = len;

    return 0;
}


/* Optional: *n_r stays 0 when it is absent. Like jansson, refuses 1.0 and
 * 1e0 as integers. */

static int
chat_field_number(chat_frame_t *frame, const char *key, uint64_t max,
    uint64_t *n_r)
{
    json_t      *v;
    json_int_t   n;

    v = chat_field(frame, key);

    if (v == NULL) {
        return 0;
    }

    if (!json_is_integer(v)) {
        return chat_refuse(frame, CHAT_E_BAD_FIELD, key,
                           "must be an integer");
    }

    n = json_integer_value(v);

    if (n < 1 || (uint64_t) n > max) {
        return chat_refuse(frame, CHAT_E_BAD_FIELD, key, "is out of range");
    }

    *n_r = (uint64_t) n;

    return 0;
}


static int
chat_field_active(chat_frame_t *frame)
{
    json_t  *v;

    v = chat_field(frame, "active");

    if (!json_is_boolean(v)) {
        return chat_refuse(frame, CHAT_E_BAD_FIELD, "active",
                           "must be true or false");
    }

    frame->active = json_is_true(v);

    return 0;
}


static int
chat_field_users(chat_frame_t *frame)
{
    size_t     i;
    json_t    *v, *id;
    uint64_t   n;

    v = chat_field(frame, "userIds");

    if (!json_is_array(v)
        || json_array_size(v) < 1
        || json_array_size(v) > CHAT_PRESENCE_MAX)
    {
        return chat_refuse(frame, CHAT_E_BAD_FIELD, "userIds",
                           "must be a list of 1 to 200 ids");
    }

    json_array_foreach(v, i, id) {

        if (!json_is_string(id)) {
            return chat_refuse(frame, CHAT_E_BAD_FIELD, "userIds",
                               "must be a list of strings");
        }

        if (chat_num_parse(json_string_value(id), json_string_length(id), &n)
            != 0)
        {
            return chat_refuse(frame, CHAT_E_NOT_FOUND, "userIds",
                               "has one that is no user's id");
        }
    }

    frame->user_ids = v;

    return 0;
}


/* A null field counts as absent. */

static json_t *
chat_field(const chat_frame_t *frame, const char *key)
{
    json_t  *v;

    v = json_object_get(frame->root, key);

    return json_is_null(v) ? NULL : v;
}


int
chat_field_printable(const char *s, size_t len, size_t max, char low)
{
    size_t  i;

    if (len < 1 || len > max) {
        return 0;
    }

    for (i = 0; i < len; i++) {

        if (s[i] < low || s[i] > '~') {
            return 0;
        }
    }

    return 1;
}


int
chat_refuse(chat_frame_t *frame, chat_error_e error, const char *key,
    const char *why)
{
    frame->error = error;

    (void) snprintf(frame->why, sizeof(frame->why), "%s %s", key, why);

    return -1;
}
