/*
 * store_chat_pg.h: store_chat.h as PostgreSQL keeps it.
 *
 * store_chat_pg.c           the connection and its transaction
 * store_chat_pg_shard.c     ownership of shards
 * store_chat_pg_load.c      a chat with its members, an entry
 * store_chat_pg_feed.c      the entries of a chat since a time
 * store_chat_pg_append.c    entries get their seq
 * store_chat_pg_member.c    chats and members change
 * store_chat_pg_receipt.c   delivered and read
 * store_chat_pg_target.c    the target of an edit, delete or reaction
 * store_chat_pg_view.c      a chat as one member sees it
 * store_chat_pg_key.c       answers to POSTs with an Idempotency-Key
 *
 * Included by these files only. One connection, on which the worker also
 * holds the locks of its shards: a worker that has lost a lock has lost the
 * connection and cannot commit. Staged changes are an open transaction.
 */

#ifndef STORE_CHAT_PG_H
#define STORE_CHAT_PG_H

#include "store_chat_ops.h"
#include "store_read_ops.h"
#include "store_row.h"

typedef struct {
    store_chat_t        base;
    store_pg_t          pg;
    PGresult           *res;    /* the last call's borrowed answer          */
    store_chat_views_t  views;  /* the same                                 */
    int                 open;   /* a transaction is open                    */
} store_chat_pg_t;

/* Opens a transaction when none is open. */
store_e store_chat_pg_begin(store_chat_t *st);

/* Frees what the last call's answer was borrowed from. */
void store_chat_pg_release(store_chat_t *st);

/* Begins a statement's parameters, after store_chat_pg_release(). */
store_args_t *store_chat_pg_args(store_chat_t *st);

/* Executes inside the transaction, which it opens if need be. The result is
 * borrowed until the next call. */
store_e store_chat_pg_change(store_chat_t *st, const store_stmt_t *stmt,
    PGresult **res_r);

/* The same without opening one: the statement is its own transaction, or part
 * of the one that is open. */
store_e store_chat_pg_query(store_chat_t *st, const store_stmt_t *stmt,
    PGresult **res_r);

/* The members of store_chat_ops_t. */
store_e store_chat_pg_shard_take(store_chat_t *st, const unsigned *shards,
    size_t n, size_t max, const char *worker, uint64_t epochs_r[CHAT_SHARDS]);
store_e store_chat_pg_shard_release(store_chat_t *st, const unsigned *shards,
    size_t n);
store_e store_chat_pg_shard_holders(store_chat_t *st,
    store_shard_holder_t holders_r[CHAT_SHARDS], size_t *n_r);
store_e store_chat_pg_shard_cut(store_chat_t *st,
    const store_shard_holder_t *holder);
store_e store_chat_pg_load(store_chat_t *st, const uint8_t (*ids)[16],
    size_t n, store_chat_row_pt row, void *arg);
store_e store_chat_pg_create(store_chat_t *st, const uint8_t id[16],
    uint8_t type, const chat_str_t *title, uint64_t creator, uint64_t owner,
    const uint64_t *users, size_t n, int64_t *created_r);
store_e store_chat_pg_title(store_chat_t *st, const uint8_t id[16],
    const chat_str_t *title);
store_e store_chat_pg_members_add(store_chat_t *st, const uint8_t id[16],
    const uint64_t *users, const uint64_t *seqs, size_t n,
    uint64_t *version_r);
store_e store_chat_pg_member_leave(store_chat_t *st, const uint8_t id[16],
    uint64_t user, uint64_t left, uint64_t *version_r);
store_e store_chat_pg_roles(store_chat_t *st, const uint8_t id[16],
    const uint64_t *users, const uint8_t *roles, size_t n,
    uint64_t *version_r);
store_e store_chat_pg_clear(store_chat_t *st, const uint8_t id[16],
    uint64_t user, uint64_t seq);
store_e store_chat_pg_member_view(store_chat_t *st, const uint8_t id[16],
    uint64_t user, uint64_t device, store_member_view_t *view_r);
store_e store_chat_pg_append(store_chat_t *st, store_append_t *items,
    size_t n, store_append_e when);
store_e store_chat_pg_entry(store_chat_t *st, const uint8_t id[16],
    uint64_t seq, chat_entry_t *e_r);
store_e store_chat_pg_entries_since(store_chat_t *st, const uint8_t id[16],
    int64_t since, store_entry_pt entry, void *arg);
store_e store_chat_pg_receipts(store_chat_t *st,
    const store_receipt_t *receipts, size_t n);
store_e store_chat_pg_target(store_chat_t *st, const uint8_t id[16],
    uint64_t seq, uint64_t device, const chat_str_t *message_id,
    store_target_t *target_r);
store_e store_chat_pg_edit(store_chat_t *st, const uint8_t id[16],
    uint64_t seq, const chat_str_t *content);
store_e store_chat_pg_erase(store_chat_t *st, const uint8_t id[16],
    uint64_t seq);
store_e store_chat_pg_key_take(store_chat_t *st, uint64_t user,
    const char *route, const chat_str_t *key, uint64_t digest,
    store_key_t *key_r);
store_e store_chat_pg_key_fill(store_chat_t *st, uint64_t user,
    const char *route, const chat_str_t *key, unsigned status,
    const chat_str_t *body);

#endif
