/*
 * store_read_ops.h: what an implementation of the readers provides.
 *
 * Included by store_read.c, store_sync.c and store_presence.c, which dispatch,
 * and by the implementations. A member does what the function of store_read.h,
 * store_sync.h or store_presence.h that dispatches to it says. An
 * implementation's own struct begins with a store_reader_s.
 */

#ifndef STORE_READ_OPS_H
#define STORE_READ_OPS_H

#include "store_pg.h"
#include "store_presence.h"
#include "store_read.h"
#include "store_shards.h"
#include "store_sync.h"

struct store_reader_s {
    const store_reader_ops_t  *ops;
    store_pg_t                *accounts;    /* borrowed                     */
};

struct store_reader_ops_s {
    void (*free)(store_reader_t *reader);
    store_e (*connect)(store_reader_t *reader);

    /* store_read.h */
    store_e (*chats)(store_reader_t *reader, uint64_t user, uint64_t device,
        const store_chat_cursor_t *after, unsigned n,
        store_chat_views_t *views_r);
    store_e (*chat)(store_reader_t *reader, uint64_t user, uint64_t device,
        const uint8_t chat[16], store_sees_e *sees_r,
        store_chat_views_t *views_r);
    store_e (*page)(store_reader_t *reader, uint64_t user,
        const uint8_t chat[16], int backwards, uint64_t seq, unsigned n,
        store_page_t *page_r);
    void (*page_entry)(const store_page_t *page, int i,
        chat_entry_t *entry_r);
    store_e (*members)(store_reader_t *reader, uint64_t user,
        const uint8_t chat[16], uint64_t after, unsigned n,
        store_members_t *members_r);
    void (*member)(const store_members_t *members, int i, uint64_t *user_r,
        int *role_r);
    store_e (*receipts)(store_reader_t *reader, uint64_t user,
        const uint8_t chat[16], uint64_t seq, uint64_t after, unsigned n,
        store_members_t *members_r);
    void (*receipt)(const store_members_t *members, int i,
        store_entry_receipt_t *receipt_r);
    store_e (*start_at_now)(store_reader_t *reader, uint64_t user,
        uint64_t device);
    void (*rows_free)(void *rows);      /* of any result; also NULL         */

    /* store_sync.h */
    store_e (*behind)(store_reader_t *reader, uint64_t user, uint64_t device,
        unsigned limit, store_sync_item_pt each, void *ctx, int *more_r);
    store_e (*behind_many)(store_reader_t *reader, const uint64_t *users,
        const uint64_t *devices, size_t n, unsigned limit,
        store_sync_many_pt each, void *ctx);
    store_e (*requested)(store_reader_t *reader, uint64_t user,
        uint64_t device, const chat_page_req_t *requests, size_t n,
        store_sync_item_pt each, void *ctx);
    store_e (*entries)(store_reader_t *reader, uint64_t user,
        const chat_page_req_t *requests, size_t n, unsigned limit,
        store_sync_entry_pt each, void *ctx);

    /* store_presence.h */
    store_e (*shared)(store_reader_t *reader, const store_pair_t *pairs,
        size_t n, uint8_t *shared_r);

    /* store_shards.h */
    store_e (*shards)(store_reader_t *reader,
        store_shard_t list_r[CHAT_SHARDS]);
};

/* store_read_pg.c: the implementation `postgresql`; its members are in
 * store_read_pg_*.c. */
extern const store_reader_ops_t  store_read_pg_ops;
store_reader_t *store_read_pg_open(const worker_conf_t *conf,
    store_pg_t *accounts);

store_e store_read_pg_chats(store_reader_t *reader, uint64_t user,
    uint64_t device, const store_chat_cursor_t *after, unsigned n,
    store_chat_views_t *views_r);
store_e store_read_pg_chat(store_reader_t *reader, uint64_t user,
    uint64_t device, const uint8_t chat[16], store_sees_e *sees_r,
    store_chat_views_t *views_r);
store_e store_read_pg_page(store_reader_t *reader, uint64_t user,
    const uint8_t chat[16], int backwards, uint64_t seq, unsigned n,
    store_page_t *page_r);
void store_read_pg_page_entry(const store_page_t *page, int i,
    chat_entry_t *entry_r);
store_e store_read_pg_members(store_reader_t *reader, uint64_t user,
    const uint8_t chat[16], uint64_t after, unsigned n,
    store_members_t *members_r);
void store_read_pg_member(const store_members_t *members, int i,
    uint64_t *user_r, int *role_r);
store_e store_read_pg_receipts(store_reader_t *reader, uint64_t user,
    const uint8_t chat[16], uint64_t seq, uint64_t after, unsigned n,
    store_members_t *members_r);
void store_read_pg_receipt(const store_members_t *members, int i,
    store_entry_receipt_t *receipt_r);
store_e store_read_pg_start_at_now(store_reader_t *reader, uint64_t user,
    uint64_t device);
store_e store_read_pg_behind(store_reader_t *reader, uint64_t user,
    uint64_t device, unsigned limit, store_sync_item_pt each, void *ctx,
    int *more_r);
store_e store_read_pg_behind_many(store_reader_t *reader,
    const uint64_t *users, const uint64_t *devices, size_t n, unsigned limit,
    store_sync_many_pt each, void *ctx);
store_e store_read_pg_requested(store_reader_t *reader, uint64_t user,
    uint64_t device, const chat_page_req_t *requests, size_t n,
    store_sync_item_pt each, void *ctx);
store_e store_read_pg_entries(store_reader_t *reader, uint64_t user,
    const chat_page_req_t *requests, size_t n, unsigned limit,
    store_sync_entry_pt each, void *ctx);
store_e store_read_pg_shared(store_reader_t *reader,
    const store_pair_t *pairs, size_t n, uint8_t *shared_r);

store_e store_read_pg_shards(store_reader_t *reader,
    store_shard_t list_r[CHAT_SHARDS]);

/* ops->chat on a connection of the caller's, for store_chat_pg_view.c. */
store_e store_read_pg_chat_view(store_pg_t *pg, uint64_t user,
    uint64_t device, const uint8_t chat[16], store_sees_e *sees_r,
    store_chat_views_t *views_r);

#endif
