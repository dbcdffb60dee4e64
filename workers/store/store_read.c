/*
 * store_read.c: calls of store_read.h and store_shards.h go to the
 * implementation.
 *
 * Called from workers/api/ and chatctl; hands to a store_reader_ops_t.
 */

#include <stdlib.h>
#include <string.h>

#include "store_read_ops.h"


void
store_reader_free(store_reader_t **reader)
{
    if (*reader != NULL) {
        (*reader)->ops->free(*reader);
        *reader = NULL;
    }
}


store_e
store_reader_connect(store_reader_t *reader)
{
    return reader->ops->connect(reader);
}


store_e
store_read_chats(store_reader_t *reader, uint64_t user, uint64_t device,
    const store_chat_cursor_t *after, unsigned n, store_chat_views_t *views_r)
{
    return reader->ops->chats(reader, user, device, after, n, views_r);
}


store_e
store_read_chat(store_reader_t *reader, uint64_t user, uint64_t device,
    const uint8_t chat[16], store_sees_e *sees_r, store_chat_views_t *views_r)
{
    return reader->ops->chat(reader, user, device, chat, sees_r, views_r);
}


store_e
store_read_page(store_reader_t *reader, uint64_t user, const uint8_t chat[16],
    int backwards, uint64_t seq, unsigned n, store_page_t *page_r)
{
    return reader->ops->page(reader, user, chat, backwards, seq, n, page_r);
}


void
store_page_entry(const store_page_t *page, int i, chat_entry_t *entry_r)
{
    page->ops->page_entry(page, i, entry_r);
}


store_e
store_read_members(store_reader_t *reader, uint64_t user,
    const uint8_t chat[16], uint64_t after, unsigned n,
    store_members_t *members_r)
{
    return reader->ops->members(reader, user, chat, after, n, members_r);
}


void
store_members_item(const store_members_t *members, int i, uint64_t *user_r,
    int *role_r)
{
    members->ops->member(members, i, user_r, role_r);
}


store_e
store_read_receipts(store_reader_t *reader, uint64_t user,
    const uint8_t chat[16], uint64_t seq, uint64_t after, unsigned n,
    store_members_t *members_r)
{
    return reader->ops->receipts(reader, user, chat, seq, after, n,
        members_r);
}


void
store_members_receipt(const store_members_t *members, int i,
    store_entry_receipt_t *receipt_r)
{
    members->ops->receipt(members, i, receipt_r);
}


store_e
store_receipts_start_at_now(store_reader_t *reader, uint64_t user,
    uint64_t device)
{
    return reader->ops->start_at_now(reader, user, device);
}


void
store_chat_views_free(store_chat_views_t *views)
{
    free(views->items);

    if (views->ops != NULL) {
        views->ops->rows_free(views->rows);
    }

    memset(views, 0, sizeof(*views));
}


void
store_page_free(store_page_t *page)
{
    if (page->ops != NULL) {
        page->ops->rows_free(page->rows);
    }

    memset(page, 0, sizeof(*page));
}


void
store_members_free(store_members_t *members)
{
    if (members->ops != NULL) {
        members->ops->rows_free(members->rows);
    }

    memset(members, 0, sizeof(*members));
}


store_e
store_shards_read(store_reader_t *reader, store_shard_t list_r[CHAT_SHARDS])
{
    return reader->ops->shards(reader, list_r);
}
