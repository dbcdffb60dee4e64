/*
 * on_chat_change.c: PATCH /chats/{chatId}, the title of a group.
 *
 * Called from message_try.c. By the owner and admins.
 */

#include <string.h>

#include "on.h"

static store_e on_change_title(message_t *m, message_item_t *it,
    const chat_str_t *title);


store_e
on_chat_change(message_t *m, message_item_t *it)
{
    json_t            *root;
    store_e            rc;
    chat_buf_t        *buf;
    chat_str_t         title;
    message_member_t  *member;

    member = on_member(m, it);

    if (member == NULL) {
        return STORE_OK;
    }

    if (it->chat->type == STORE_DIRECT || member->role == STORE_MEMBER) {
        on_refuse(m, it, CHAT_E_FORBIDDEN,
                  "Only admins of a group change its title.");
        return STORE_OK;
    }

    root = on_body(m, it);

    if (root == NULL) {
        return STORE_OK;
    }

    if (on_title(m, it, root, 1, &title) != 0) {
        json_decref(root);
        return STORE_OK;
    }

    rc = on_change_title(m, it, &title);
    json_decref(root);

    if (rc != STORE_OK) {
        return rc;
    }

    buf = on_text(m);

    rc = on_chat_json(m, it, buf);
    if (rc == STORE_OK) {
        on_http(m, it, 200, buf);
    }

    return rc;
}


static store_e
on_change_title(message_t *m, message_item_t *it, const chat_str_t *title)
{
    store_e         rc;
    store_append_t  row;

    /* the same title again leaves nothing in the log */
    if (it->chat->title != NULL && strlen(it->chat->title) == title->len
        && memcmp(it->chat->title, title->data, title->len) == 0)
    {
        return it->redo ? on_republish(m, it, it->chat->last_seq) : STORE_OK;
    }

    on_entry(it, CHAT_KIND_CHAT_CHANGED, 0, 0, &row);
    row.e.content = *title;

    rc = on_append(m, it, &row, 1);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = store_chat_title(m->store, it->chat->id, title);
    if (rc != STORE_OK) {
        return rc;
    }

    message_chat_set_title(it->chat, title);
    on_publish(m, it, &row.e, 0);

    return STORE_OK;
}
