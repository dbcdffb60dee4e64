/*
 * on_chat_change.c: PATCH /chats/{chatId}, the title of a group, by the owner
 * and admins.
 *
 * Called from message_try.c; hands to store_chat_member.c.
 */

#include <string.h>

#include "on.h"

static store_e on_chat_change_title(message_t *m, message_item_t *it,
    const chat_str_t *title);


store_e
on_chat_change(message_t *m, message_item_t *it)
{
    json_t      *root;
    store_e      rc;
    chat_buf_t  *buf;
    chat_str_t   title;

    if (request_admin(m, it, "Only admins of a group change its title.")
        == NULL)
    {
        return STORE_OK;
    }

    root = request_body(m, it);

    if (root == NULL) {
        return STORE_OK;
    }

    if (request_title(m, it, root, 1, &title) != 0) {
        json_decref(root);
        return STORE_OK;
    }

    rc = on_chat_change_title(m, it, &title);
    json_decref(root);

    if (rc != STORE_OK) {
        return rc;
    }

    buf = reply_buf(m);

    rc = reply_chat_json(m, it, buf);
    if (rc == STORE_OK) {
        reply_http(m, it, 200, buf);
    }

    return rc;
}


static store_e
on_chat_change_title(message_t *m, message_item_t *it,
    const chat_str_t *title)
{
    store_e         rc;
    store_append_t  row;

    /* an unchanged title makes no entry */
    if (it->chat->title != NULL && strlen(it->chat->title) == title->len
        && memcmp(it->chat->title, title->data, title->len) == 0)
    {
        return it->redo ? message_entry_republish(m, it, it->chat->last_seq)
                        : STORE_OK;
    }

    message_entry_init(it, CHAT_KIND_CHAT_CHANGED, 0, 0, &row);
    row.e.content = *title;

    rc = message_entry_append(m, it, &row, 1);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = store_chat_title(m->store, it->chat->id, title);
    if (rc != STORE_OK) {
        return rc;
    }

    message_chat_set_title(it->chat, title);
    message_entry_publish(m, it, &row.e, 0);

    return STORE_OK;
}
