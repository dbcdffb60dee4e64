/*
 * on_member_remove.c: DELETE /chats/{chatId}/members/{userId}.
 *
 * Called from message_try.c; hands to on_depart(). The owner removes
 * anybody, admins remove members, everybody may go.
 */

#include "on.h"


store_e
on_member_remove(message_t *m, message_item_t *it)
{
    message_member_t  *caller, *member;

    /* who removed himself is no member when it is done again */
    if (it->ev.seq == it->ev.user && it->chat->exists
        && it->chat->type == STORE_GROUP)
    {
        return on_chat_leave(m, it);
    }

    caller = on_member(m, it);

    if (caller == NULL) {
        return STORE_OK;
    }

    if (it->chat->type == STORE_DIRECT || caller->role == STORE_MEMBER) {
        on_refuse(m, it, CHAT_E_FORBIDDEN,
                  "Only admins of a group remove members.");
        return STORE_OK;
    }

    member = message_chat_member(it->chat, it->ev.seq);

    if (member != NULL && member->left != 0 && it->redo) {
        on_notify_chat(m, it, &member->user, 1, 0);
        on_no_content(m, it);
        return on_republish(m, it, member->left);
    }

    if (member == NULL || member->left != 0) {
        on_refuse(m, it, CHAT_E_NOT_FOUND, "There is no such member.");
        return STORE_OK;
    }

    if (caller->role != STORE_OWNER && member->role != STORE_MEMBER) {
        on_refuse(m, it, CHAT_E_FORBIDDEN, "Only the owner removes admins.");
        return STORE_OK;
    }

    return on_depart(m, it, member, CHAT_KIND_MEMBER_REMOVED);
}
