/*
 * chat_frame.c: a client's text message, parsed and checked.
 *
 * Called from the edge's dispatch and, for REST bodies, from the edge and the
 * workers; hands to chat_load.c and chat_field.c. Membership and the
 * existence of a seq are checked by the message workers, not here.
 *
 * Checks are made in this order: an object with a type; a known type; no NUL,
 * lone surrogate or too large number anywhere; then the fields, chatId first.
 */

#include <string.h>

#include "chat_field.h"
#include "chat_frame.h"
#include "chat_id.h"
#include "chat_load.h"

#define CHAT_TEXT_MAX  64      /* longest chatId that an error repeats */

static const unsigned  chat_frame_has[CHAT_FRAME_COUNT] = {
    [CHAT_FRAME_SEND_MESSAGE] = CHAT_HAS_CHAT | CHAT_HAS_MESSAGE,
    [CHAT_FRAME_EDIT_MESSAGE] = CHAT_HAS_TARGET | CHAT_HAS_CONTENT,
    [CHAT_FRAME_DELETE_MESSAGE] = CHAT_HAS_TARGET,
    [CHAT_FRAME_REACT] = CHAT_HAS_TARGET | CHAT_HAS_EMOJI,
    [CHAT_FRAME_DELIVERED] = CHAT_HAS_CHAT | CHAT_HAS_SEQ,
    [CHAT_FRAME_READ] = CHAT_HAS_CHAT | CHAT_HAS_SEQ,
    [CHAT_FRAME_TYPING] = CHAT_HAS_CHAT | CHAT_HAS_ACTIVE,
    [CHAT_FRAME_PRESENCE_SUBSCRIBE] = CHAT_HAS_USERS,
    [CHAT_FRAME_PRESENCE_UNSUBSCRIBE] = CHAT_HAS_USERS,
    [CHAT_FRAME_PING] = 0,
};

static const char  *chat_frame_words[CHAT_FRAME_COUNT] = {
    "",
#define X(name, word)  word,
    CHAT_CLIENT_FRAMES(X)
#undef X
};

static uint8_t chat_frame_type(const json_t *type);
static void chat_frame_name(chat_frame_t *frame, int with_chat);


chat_error_e
chat_frame_parse(const char *text, size_t len, chat_frame_t *frame)
{
    json_t       *type;
    chat_error_e  error;

    memset(frame, 0, sizeof(*frame));

    error = chat_load(text, len, &frame->root, frame->why);

    if (frame->root == NULL) {
        frame->error = error;
        return error;
    }

    if (!json_is_object(frame->root)) {
        (void) chat_refuse(frame, CHAT_E_BAD_FRAME, "the frame",
                           "must be an object");
        return frame->error;
    }

    chat_frame_name(frame, 1);

    type = json_object_get(frame->root, "type");

    if (!json_is_string(type)) {
        (void) chat_refuse(frame, CHAT_E_BAD_FRAME, "type",
                           "must be a string");
        return frame->error;
    }

    frame->type = chat_frame_type(type);

    if (frame->type == CHAT_FRAME_NONE) {
        (void) chat_refuse(frame, CHAT_E_UNKNOWN_TYPE, "type",
                           "is not one this server knows");
        return frame->error;
    }

    if (error != CHAT_OK) {
        frame->error = error;
        return error;
    }

    return chat_frame_fields(frame, chat_frame_has[frame->type]);
}


chat_error_e
chat_frame_parse_body(const char *text, size_t len, chat_frame_t *frame)
{
    chat_error_e  error;

    memset(frame, 0, sizeof(*frame));

    error = chat_load(text, len, &frame->root, frame->why);

    if (frame->root == NULL) {
        frame->error = error == CHAT_E_BAD_FRAME ? CHAT_E_BAD_REQUEST : error;
        return frame->error;
    }

    if (!json_is_object(frame->root)) {
        (void) chat_refuse(frame, CHAT_E_BAD_REQUEST, "the body",
                           "must be an object");
        return frame->error;
    }

    frame->type = CHAT_FRAME_SEND_MESSAGE;

    chat_frame_name(frame, 0);

    if (error != CHAT_OK) {
        frame->error = error;
        return error;
    }

    return chat_frame_fields(frame, CHAT_HAS_MESSAGE);
}


void
chat_frame_free(chat_frame_t *frame)
{
    json_decref(frame->root);
    memset(frame, 0, sizeof(*frame));
}


json_t *
chat_json_load(const char *text, size_t len, chat_error_e *error_r, char *why)
{
    json_t  *root;

    *error_r = chat_load(text, len, &root, why);

    if (*error_r == CHAT_E_BAD_FRAME) {
        *error_r = CHAT_E_BAD_REQUEST;
    }

    if (*error_r != CHAT_OK) {
        json_decref(root);
        return NULL;
    }

    return root;
}


static uint8_t
chat_frame_type(const json_t *type)
{
    size_t       len;
    uint8_t      i;
    const char  *word;

    word = json_string_value(type);
    len = json_string_length(type);

    for (i = 1; i < CHAT_FRAME_COUNT; i++) {

        if (strlen(chat_frame_words[i]) == len
            && memcmp(chat_frame_words[i], word, len) == 0)
        {
            return i;
        }
    }

    return CHAT_FRAME_NONE;
}


/* Sets the ids that an error frame names, even when other fields are wrong. */

static void
chat_frame_name(chat_frame_t *frame, int with_chat)
{
    size_t       len;
    json_t      *v;
    const char  *s;

    v = json_object_get(frame->root, "messageId");
    s = json_string_value(v);
    len = json_string_length(v);

    if (s != NULL && chat_field_printable(s, len, CHAT_MESSAGE_ID_MAX, '!')) {
        frame->message_id.data = s;
        frame->message_id.len = len;
    }

    if (!with_chat) {
        return;
    }

    v = json_object_get(frame->root, "chatId");
    s = json_string_value(v);
    len = json_string_length(v);

    if (s != NULL && chat_field_printable(s, len, CHAT_TEXT_MAX, ' ')) {
        frame->chat_text.data = s;
        frame->chat_text.len = len;
        frame->has_chat = (chat_id_parse(s, len, frame->chat) == 0);
    }
}
