/*
 * message_target.c: an entry about an earlier message: edit, delete, reaction.
 *
 * Called from on_edit_message.c, on_delete_message.c and on_react.c; hands to
 * store_chat_target.c and message_entry.c.
 */

#include "message_entry.h"
#include "reply.h"
#include "request.h"

static int message_target_check(message_t *m, message_item_t *it,
    const message_member_t *member, const store_target_t *target,
    const message_target_change_t *change);
static store_e message_target_append(message_t *m, message_item_t *it,
    chat_kind_e kind, store_append_t *row_r);


store_e
message_target_change(message_t *m, message_item_t *it,
    const message_target_change_t *change)
{
    store_e            rc;
    store_append_t     row;
    store_target_t     target;
    message_member_t  *member;

    member = request_member(m, it);

    if (member == NULL) {
        return STORE_OK;
    }

    if (it->ev.seq == 0 || it->ev.seq > it->chat->last_seq
        || !message_member_sees(member, it->ev.seq))
    {
        reply_refuse(m, it, CHAT_E_NOT_FOUND, "There is no such message.");
        return STORE_OK;
    }

    rc = store_chat_target(m->store, it->chat->id, it->ev.seq, it->ev.device,
                           &it->ev.message_id, &target);
    if (rc != STORE_OK) {
        return rc;
    }

    /* a duplicate passes: it was allowed the first time */
    if (target.duplicate == 0
        && !message_target_check(m, it, member, &target, change))
    {
        return STORE_OK;
    }

    rc = message_target_append(m, it, change->kind, &row);

    if (rc == STORE_OK) {
        rc = message_entry_complete(m, it, &row);
    }

    if (rc != STORE_OK || !row.inserted || change->apply == NULL) {
        return rc;
    }

    return change->apply(m, it);
}


/* 1, or 0 after refusing. */

static int
message_target_check(message_t *m, message_item_t *it,
    const message_member_t *member, const store_target_t *target,
    const message_target_change_t *change)
{
    if (target->kind != CHAT_KIND_MESSAGE || target->gone) {
        reply_refuse(m, it, CHAT_E_NOT_FOUND, "There is no such message.");
        return 0;
    }

    if (change->allowed != NULL && !change->allowed(it, member, target)) {
        reply_refuse(m, it, CHAT_E_FORBIDDEN, "It is not your message.");
        return 0;
    }

    return 1;
}


static store_e
message_target_append(message_t *m, message_item_t *it, chat_kind_e kind,
    store_append_t *row_r)
{
    message_entry_init(it, kind, 0, 0, row_r);
    row_r->e.target = it->ev.seq;
    row_r->e.message_id = it->ev.message_id;

    if (kind != CHAT_KIND_DELETE) {
        row_r->e.content = it->ev.content;
    }

    return message_entry_append(m, it, row_r, 1);
}
