/*
 * on_edit_message.c: edit_message, by who sent it.
 *
 * Called from message_try.c. The message shows its new content from now on;
 * the `edit` entry stands beside it.
 */

#include "on.h"


store_e
on_edit_message(message_t *m, message_item_t *it)
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

    if (target.duplicate == 0 && target.sender != it->ev.user) {
        on_refuse(m, it, CHAT_E_FORBIDDEN, "It is not your message.");
        return STORE_OK;
    }

    rc = on_target_entry(m, it, CHAT_KIND_EDIT, &fresh);
    if (rc != STORE_OK || !fresh) {
        return rc;
    }

    return store_chat_edit(m->store, it->chat->id, it->ev.seq,
                           &it->ev.content);
}
