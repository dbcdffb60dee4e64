/*
 * chat_frame.h: a client's text message, parsed and checked.
 *
 * Turns the JSON of one WebSocket message, or of a REST body, into a struct
 * whose every field is within the limits of chat_proto.h, or into one named
 * error. Uses jansson; RFC 8259 with duplicate keys refused.
 */

#ifndef CHAT_FRAME_H
#define CHAT_FRAME_H

#include <jansson.h>

#include "chat_error.h"
#include "chat_event.h"

typedef enum {
    CHAT_FRAME_NONE = 0,
#define X(name, word)  CHAT_FRAME_ ## name,
    CHAT_CLIENT_FRAMES(X)
#undef X
    CHAT_FRAME_COUNT
} chat_frame_e;

typedef struct {
    uint8_t       type;         /* chat_frame_e; NONE when error is set early */
    uint8_t       has_chat;     /* chatId was there and is a UUID           */
    uint8_t       active;       /* typing                                   */
    chat_error_e  error;        /* CHAT_OK, or why it is refused            */
    char          why[128];     /* a sentence for `message`, names the field,
                                   never quotes the content                 */
    uint8_t       chat[16];
    uint64_t      seq;          /* target or receipt cursor, >= 1           */
    uint64_t      reply_to;
    uint64_t      expires_in;
    chat_str_t    chat_text;    /* chatId as sent when it is a printable
                                   string of at most 64 bytes, for the error */
    chat_str_t    message_id;   /* as sent, when valid; also set on errors in
                                   other fields, so that they can name it   */
    chat_str_t    content;      /* react: emoji (may be empty, <= 64 bytes) */
    chat_str_t    content_type;
    chat_str_t    media_id;
    json_t       *user_ids;     /* presence_*: array of 1..200 valid ids    */
    json_t       *root;         /* owns all of the above                    */
} chat_frame_t;

/* Parses len bytes. Returns frame->error. chat_frame_free() in every case.
 *   not an object with a string `type`, duplicate keys, nesting above 16,
 *   not JSON                                        CHAT_E_BAD_FRAME
 *   a type that is not in CHAT_CLIENT_FRAMES        CHAT_E_UNKNOWN_TYPE
 *   content above its limit                          CHAT_E_TOO_LARGE
 *   a field missing, of the wrong type or outside its limits, a number that
 *   no 64 bits hold, NUL, a lone surrogate          CHAT_E_BAD_FIELD
 *   chatId that is no UUID, one of userIds that is
 *   no id                                           CHAT_E_NOT_FOUND
 *   out of memory                                   CHAT_E_INTERNAL
 * An absent optional field and one that is null are the same. */
chat_error_e chat_frame_parse(const char *text, size_t len,
    chat_frame_t *frame);

/* The same for the body of POST /chats/{chatId}/messages: no `type`, no
 * `chatId`, and `type` is CHAT_FRAME_SEND_MESSAGE; not a JSON object is
 * CHAT_E_BAD_REQUEST. */
chat_error_e chat_frame_parse_body(const char *text, size_t len,
    chat_frame_t *frame);

void chat_frame_free(chat_frame_t *frame);

/* jansson with our rules, for REST bodies: NULL with *error_r and a sentence
 * in why (at least 128 bytes) as above, CHAT_E_BAD_REQUEST for what is not
 * JSON. The result is new; none of its strings has NUL in it. */
json_t *chat_json_load(const char *text, size_t len, chat_error_e *error_r,
    char *why);

#endif
