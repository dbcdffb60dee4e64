/*
 * reply.c: the JSON buffer, REST answers, refusals and notices.
 *
 * Called from on_*.c, message_batch.c, message_entry.c, message_unavailable.c
 * and request*.c; hands to fanout.c.
 */

#include <string.h>

#include "chat_id.h"
#include "chat_json.h"
#include "reply.h"

static void reply_error_frame(message_t *m, message_item_t *it,
    chat_error_e error, const char *why, unsigned retry_after);
static void reply_check(const chat_buf_t *buf);


fanout_to_t
reply_address(const message_item_t *it)
{
    fanout_to_t  to = { it->ev.edge, it->ev.session };

    return to;
}


chat_buf_t *
reply_buf(message_t *m)
{
    chat_buf_reset(&m->json);

    return &m->json;
}


void
reply_add(chat_buf_t *buf, const char *json)
{
    (void) chat_buf_add(buf, json, strlen(json));
}


void
reply_add_num(chat_buf_t *buf, uint64_t n)
{
    uint8_t  text[20];

    (void) chat_buf_add(buf, text,
                        (size_t) (chat_json_u64(text, n) - text));
}


void
reply_add_id(chat_buf_t *buf, uint64_t id)
{
    reply_add(buf, "\"");
    reply_add_num(buf, id);
    reply_add(buf, "\"");
}


void
reply_add_chat_id(chat_buf_t *buf, const uint8_t id[16])
{
    char  text[CHAT_ID_TEXT];

    (void) chat_id_print(id, text);
    reply_add(buf, "\"");
    (void) chat_buf_add(buf, text, CHAT_ID_TEXT);
    reply_add(buf, "\"");
}


void
reply_add_str(chat_buf_t *buf, const chat_str_t *s)
{
    if (s->data == NULL) {
        reply_add(buf, "null");
        return;
    }

    (void) chat_json_add_string(buf, s->data, s->len);
}


void
reply_http(message_t *m, message_item_t *it, unsigned status,
    const chat_buf_t *json)
{
    reply_check(json);
    fanout_http(m->out, reply_address(it), status, json);
}


void
reply_no_content(message_t *m, message_item_t *it)
{
    reply_http(m, it, 204, reply_buf(m));
}


void
reply_refuse(message_t *m, message_item_t *it, chat_error_e error,
    const char *why)
{
    unsigned     retry_after;
    chat_buf_t  *buf;

    retry_after = error == CHAT_E_UNAVAILABLE ? MESSAGE_RETRY_AFTER : 0;

    if (!(it->ev.flags & CHAT_EV_F_REST)) {
        reply_error_frame(m, it, error, why, retry_after);
        return;
    }

    buf = reply_buf(m);
    (void) chat_json_problem(buf, (int) error, why, retry_after);
    reply_http(m, it, (unsigned) chat_error_status(error), buf);
}


void
reply_notify_others(message_t *m, message_chat_t *chat, uint64_t except,
    const chat_buf_t *json)
{
    reply_check(json);
    fanout_notice_others(m->out, chat, except, json);
}


void
reply_notify_users(message_t *m, const uint64_t *users, size_t n,
    uint64_t except_device, const chat_buf_t *json)
{
    reply_check(json);
    fanout_notice_users(m->out, users, n, except_device, json);
}


static void
reply_error_frame(message_t *m, message_item_t *it, chat_error_e error,
    const char *why, unsigned retry_after)
{
    chat_buf_t  *buf;
    chat_str_t   message;

    message.data = why;
    message.len = strlen(why);

    buf = reply_buf(m);

    reply_add(buf, "{\"type\":\"error\",\"code\":\"");
    reply_add(buf, chat_error_word(error));
    reply_add(buf, "\",\"message\":");
    reply_add_str(buf, &message);

    if (it->ev.message_id.data != NULL) {
        reply_add(buf, ",\"messageId\":");
        reply_add_str(buf, &it->ev.message_id);
    }

    reply_add(buf, ",\"chatId\":");
    reply_add_chat_id(buf, it->ev.chat);

    if (retry_after != 0) {
        reply_add(buf, ",\"retryAfter\":");
        reply_add_num(buf, retry_after);
    }

    reply_add(buf, "}");

    reply_check(buf);
    fanout_frame(m->out, reply_address(it), it->ev.chat, &it->ev.message_id,
                 buf);
}


/* chat_buf_t remembers a failed allocation, so one check at the end is
 * enough. */

static void
reply_check(const chat_buf_t *buf)
{
    if (buf->failed) {
        worker_die("out of memory");
    }
}
