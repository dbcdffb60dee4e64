/*
 * store_chat_own.c: a chat as one of its members sees it.
 *
 * Called from reply_chat.c; hands to store_read_chats.c, so that the answer to
 * a change and the answer to GET /chats/{chatId} are the same. Reads inside
 * the transaction: what it has changed is seen.
 */

#include "store_chat_pg.h"


store_e
store_chat_own(store_chat_t *st, const uint8_t id[16], uint64_t user,
    uint64_t device, store_own_t *own_r)
{
    store_e                   rc;
    store_sees_e              sees;
    const store_chat_view_t  *v;

    store_chat_forget(st);

    rc = store_chat_begin(st);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = store_read_chat(&st->pg, user, device, id, &sees, &st->views);
    if (rc != STORE_OK) {
        return rc;
    }

    if (sees != STORE_SEES_ALL) {
        return STORE_NOT_FOUND;
    }

    v = &st->views.items[0];

    own_r->last = v->last;
    own_r->delivered = v->delivered;
    own_r->read = v->read;
    own_r->unread = v->unread;
    own_r->members = v->members;
    own_r->peer = v->peer;
    own_r->has_entry = (uint8_t) v->has_entry;
    own_r->entry = v->entry;

    return STORE_OK;
}
