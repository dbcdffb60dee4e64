/*
 * on_edit_message.c: edit_message, by the message's sender.
 *
 * Called from message_try.c; hands to message_target.c. The message itself
 * gets the new content; the `edit` entry records the change.
 */

#include "on.h"

static int on_edit_message_allowed(const message_item_t *it,
    const message_member_t *member, const store_target_t *target);
static store_e on_edit_message_apply(message_t *m, message_item_t *it);

static const message_target_change_t  on_edit_message_change = {
    CHAT_KIND_EDIT, on_edit_message_allowed, on_edit_message_apply
};


store_e
on_edit_message(message_t *m, message_item_t *it)
{
    return message_target_change(m, it, &on_edit_message_change);
}


static int
on_edit_message_allowed(const message_item_t *it,
    const message_member_t *member, const store_target_t *target)
{
    (void) member;

    return target->sender == it->ev.user;
}


static store_e
on_edit_message_apply(message_t *m, message_item_t *it)
{
    return store_chat_edit(m->store, it->chat->id, it->ev.seq,
                           &it->ev.content);
}
