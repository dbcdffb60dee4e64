/*
 * on_react.c: react, by every member who sees the message.
 *
 * Called from message_try.c; hands to message_target.c. The last reaction of a
 * user to a message counts; an empty emoji removes it.
 */

#include "on.h"

static const message_target_change_t  on_react_change = {
    CHAT_KIND_REACTION, NULL, NULL
};


store_e
on_react(message_t *m, message_item_t *it)
{
    return message_target_change(m, it, &on_react_change);
}
