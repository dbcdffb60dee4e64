/*
 * on_typing.c: typing. Sent to the other members, stored nowhere.
 *
 * Called from message_try.c; hands to reply.c.
 */

#include "on.h"

#define ON_TYPING_MS  10000         /* clients drop the indicator by then   */


store_e
on_typing(message_t *m, message_item_t *it)
{
    chat_buf_t  *buf;

    if (worker_ms() - it->ev.received > ON_TYPING_MS
        || request_member(m, it) == NULL)
    {
        return STORE_OK;
    }

    buf = reply_buf(m);

    reply_add(buf, "{\"type\":\"typing\",\"chatId\":");
    reply_add_chat_id(buf, it->chat->id);
    reply_add(buf, ",\"userId\":");
    reply_add_id(buf, it->ev.user);
    reply_add(buf, it->ev.seq ? ",\"active\":true}" : ",\"active\":false}");

    reply_notify_others(m, it->chat, it->ev.user, buf);

    return STORE_OK;
}
