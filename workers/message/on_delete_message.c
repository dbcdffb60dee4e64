/*
 * on_delete_message.c: delete_message, by who sent it or an admin of a group.
 *
 * Called from message_try.c. The content goes from the database; the place,
 * the digest and the message id stay.
 */

#include "on.h"


store_e
on_delete_message(message_t *m, message_item_t *it)
{
    int                go, fresh;
    store_e            rc;
    store_target_t     target;
    message_member_t  *member;

    member = on_member(m, it);

    if (member == NULL) {
        return STORE_OK;
    }

    rc = on_target(m, it, member, &target, &go);
    if (rc != STORE_OK || !go) {
        return rc;
    }

    if (target.duplicate == 0 && target.sender != it->ev.user
        && (it->chat->type != STORE_GROUP || member->role == STORE_MEMBER))
    {
        on_refuse(m, it, CHAT_E_FORBIDDEN, "It is not your message.");
        return STORE_OK;
    }

    rc = on_target_entry(m, it, CHAT_KIND_DELETE, &fresh);
    if (rc != STORE_OK || !fresh) {
        return rc;
    }

    return store_chat_erase(m->store, it->chat->id, it->ev.seq);
}
