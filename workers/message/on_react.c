/*
 * on_react.c: react. The last reaction of a user to a message counts; an
 * empty emoji takes it back.
 *
 * Called from message_try.c.
 */

#include "on.h"


store_e
on_react(message_t *m, message_item_t *it)
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

    return on_target_entry(m, it, CHAT_KIND_REACTION, &fresh);
}
