/*
 * on_target.c: the message that an edit, a delete or a reaction is about.
 *
 * Called from on_edit_message.c, on_delete_message.c, on_react.c.
 */

#include <string.h>

#include "on.h"


store_e
on_target(message_t *m, message_item_t *it, message_member_t *member,
    store_target_t *target_r, int *go_r)
{
    store_e  rc;

    *go_r = 0;

    if (it->ev.seq == 0 || it->ev.seq > it->chat->last_seq
        || !message_member_sees(member, it->ev.seq))
    {
        on_refuse(m, it, CHAT_E_NOT_FOUND, "There is no such message.");
        return STORE_OK;
    }

    rc = store_chat_target(m->store, it->chat->id, it->ev.seq, it->ev.device,
                           &it->ev.message_id, target_r);
    if (rc != STORE_OK) {
        return rc;
    }

    if (target_r->duplicate == 0
        && (target_r->kind != CHAT_KIND_MESSAGE || target_r->gone))
    {
        on_refuse(m, it, CHAT_E_NOT_FOUND, "There is no such message.");
        return STORE_OK;
    }

    *go_r = 1;

    return STORE_OK;
}


store_e
on_target_entry(message_t *m, message_item_t *it, chat_kind_e kind,
    int *fresh_r)
{
    store_e         rc;
    store_append_t  row;

    *fresh_r = 0;
    on_entry(it, kind, 0, 0, &row);
    row.e.target = it->ev.seq;
    row.e.message_id = it->ev.message_id;

    if (kind != CHAT_KIND_DELETE) {
        row.e.content = it->ev.content;
    }

    rc = on_append(m, it, &row, 1);
    if (rc != STORE_OK) {
        return rc;
    }

    *fresh_r = row.inserted;

    return on_appended(m, it, &row);
}
