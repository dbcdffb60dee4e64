/*
 * on_delete_message.c: delete_message, by the message's sender or, in a group,
 * by the owner or an admin.
 *
 * Called from message_try.c; hands to message_target.c. The content is erased
 * from the database; seq, digest and message id stay.
 */

#include "on.h"

static int on_delete_message_allowed(const message_item_t *it,
    const message_member_t *member, const store_target_t *target);
static store_e on_delete_message_apply(message_t *m, message_item_t *it);

static const message_target_change_t  on_delete_message_change = {
    CHAT_KIND_DELETE, on_delete_message_allowed, on_delete_message_apply
};


store_e
on_delete_message(message_t *m, message_item_t *it)
{
    return message_target_change(m, it, &on_delete_message_change);
}


static int
on_delete_message_allowed(const message_item_t *it,
    const message_member_t *member, const store_target_t *target)
{
    return target->sender == it->ev.user
           || (it->chat->type == STORE_GROUP && member->role != STORE_MEMBER);
}


static store_e
on_delete_message_apply(message_t *m, message_item_t *it)
{
    return store_chat_erase(m->store, it->chat->id, it->ev.seq);
}
