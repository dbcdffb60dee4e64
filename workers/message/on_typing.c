/*
 * on_typing.c: typing. Told to the other members, written nowhere.
 *
 * Called from message_try.c.
 */

#include "on.h"

#define ON_TYPING_MS  10000


store_e
on_typing(message_t *m, message_item_t *it)
{
    chat_buf_t  *buf;

    /* clients let it lapse by then: it was about a moment that has passed */
    if (worker_ms() - it->ev.received > ON_TYPING_MS
        || on_member(m, it) == NULL)
    {
        return STORE_OK;
    }

    buf = on_text(m);

    on_add(buf, "{\"type\":\"typing\",\"chatId\":");
    on_add_chat(buf, it->chat->id);
    on_add(buf, ",\"userId\":");
    on_add_id(buf, it->ev.user);
    on_add(buf, it->ev.seq ? ",\"active\":true}" : ",\"active\":false}");

    fanout_notice_others(m->out, it->chat, it->ev.user, buf);

    return STORE_OK;
}
