/*
 * on_chat_leave.c: DELETE /chats/{chatId}. The sender leaves a group; a direct
 * chat disappears from the sender's list until its next entry.
 *
 * Called from message_try.c and, for a member who removes himself, from
 * on_member_remove.c; hands to message_depart.c.
 */

#include "on.h"


store_e
on_chat_leave(message_t *m, message_item_t *it)
{
    store_e            rc;
    message_member_t  *member;

    /* an owner of the shard may have committed this and died before the
     * publish: then the sender is no longer a member */
    member = it->redo && it->chat->exists
             ? message_chat_member(it->chat, it->ev.user) : NULL;

    if (member != NULL && member->left != 0) {
        return message_depart_redo(m, it, member);
    }

    member = request_member(m, it);

    if (member == NULL) {
        return STORE_OK;
    }

    if (it->chat->type != STORE_DIRECT) {
        return message_depart(m, it, member, CHAT_KIND_MEMBER_LEFT);
    }

    rc = store_chat_clear(m->store, it->chat->id, member->user,
                          it->chat->last_seq);
    if (rc == STORE_OK) {
        reply_no_content(m, it);
    }

    return rc;
}
