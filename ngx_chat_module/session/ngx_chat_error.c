/*
 * ngx_chat_error.c: the `error` frame of a client message.
 *
 * Called from: dispatch, presence. Hands to: write. The connection stays open:
 * an error refuses one message.
 */

#include "ngx_chat_session.h"


/* Writes an `error` frame. `why`: a sentence of the server, cut to 127 bytes.
 * message_id and chat: as the client sent them; left out when NULL, without data
 * (not sent, or not valid) or too long. retry_after: seconds, 0: left out.
 * Escaping makes a byte at most six, so text has room for all of it. May end the
 * session, as ngx_chat_write_text(). */

void
ngx_chat_error_write(ngx_chat_session_t *s, chat_error_e code,
    const char *why, chat_str_t *message_id, chat_str_t *chat,
    ngx_uint_t retry_after)
{
    u_char  *p, text[2048];

    p = ngx_sprintf(text, "{\"type\":\"error\",\"code\":\"%s\",\"message\":",
                    chat_error_word(code));
    p = chat_json_string(p, why, ngx_min(ngx_strlen(why), 127));

    if (message_id != NULL && message_id->data != NULL
        && message_id->len <= CHAT_MESSAGE_ID_MAX)
    {
        p = ngx_cpymem(p, ",\"messageId\":", sizeof(",\"messageId\":") - 1);
        p = chat_json_string(p, message_id->data, message_id->len);
    }

    if (chat != NULL && chat->data != NULL && chat->len <= 64) {
        p = ngx_cpymem(p, ",\"chatId\":", sizeof(",\"chatId\":") - 1);
        p = chat_json_string(p, chat->data, chat->len);
    }

    if (retry_after) {
        p = ngx_sprintf(p, ",\"retryAfter\":%ui", retry_after);
    }

    *p++ = '}';

    (void) ngx_chat_write_text(s, text, p - text);
}
