/*
 * on_member_remove.c: DELETE /chats/{chatId}/members/{userId}. The owner
 * removes anybody, an admin removes members, everybody may remove himself.
 *
 * Called from message_try.c; hands to message_depart.c.
 */

#include "on.h"


store_e
on_member_remove(message_t *m, message_item_t *it)
{
    message_member_t  *caller, *member;

    /* first: on a redo the sender is no longer a member */
    if (it->ev.seq == it->ev.user && it->chat->exists
        && it->chat->type == STORE_GROUP)
    {
        return on_chat_leave(m, it);
    }

    caller = request_admin(m, it, "Only admins of a group remove members.");

    if (caller == NULL) {
        return STORE_OK;
    }

    member = message_chat_member(it->chat, it->ev.seq);

    if (member != NULL && member->left != 0 && it->redo) {
        return message_depart_redo(m, it, member);
    }

    if (member == NULL || member->left != 0) {
        reply_refuse(m, it, CHAT_E_NOT_FOUND, "There is no such member.");
        return STORE_OK;
    }

    if (caller->role != STORE_OWNER && member->role != STORE_MEMBER) {
        reply_refuse(m, it, CHAT_E_FORBIDDEN,
                     "Only the owner removes admins.");
        return STORE_OK;
    }

    return message_depart(m, it, member, CHAT_KIND_MEMBER_REMOVED);
}
