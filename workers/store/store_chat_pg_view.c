/*
 * store_chat_pg_view.c: a chat as one of its members sees it.
 *
 * Called from store_chat.c; hands to store_read_pg_chats.c, so that the answer
 * to a change and the answer to GET /chats/{chatId} are the same. Reads inside
 * the transaction, and so sees its changes.
 */

#include "store_chat_pg.h"


store_e
store_chat_pg_member_view(store_chat_t *st, const uint8_t id[16],
    uint64_t user, uint64_t device, store_member_view_t *view_r)
{
    store_e                   rc;
    store_sees_e              sees;
    store_chat_pg_t          *pg;
    const store_chat_view_t  *v;

    pg = (store_chat_pg_t *) st;
    store_chat_pg_release(st);

    rc = store_chat_pg_begin(st);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = store_read_pg_chat_view(&pg->pg, user, device, id, &sees,
                                 &pg->views);
    if (rc != STORE_OK) {
        return rc;
    }

    if (sees != STORE_SEES_ALL) {
        return STORE_NOT_FOUND;
    }

    v = &pg->views.items[0];

    view_r->last = v->last;
    view_r->delivered = v->delivered;
    view_r->read = v->read;
    view_r->unread = v->unread;
    view_r->members = v->members;
    view_r->peer = v->peer;
    view_r->has_entry = (uint8_t) v->has_entry;
    view_r->entry = v->entry;

    return STORE_OK;
}
