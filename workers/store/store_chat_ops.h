/*
 * store_chat_ops.h: what an implementation of store_chat.h provides.
 *
 * Included by store_chat.c, which dispatches, and by the implementations. Each
 * member does what the function of store_chat.h of the same name says. An
 * implementation's own struct begins with a store_chat_s.
 */

#ifndef STORE_CHAT_OPS_H
#define STORE_CHAT_OPS_H

#include "store_chat.h"
#include "store_pg.h"

typedef struct {
    void (*free)(store_chat_t *st);

    /* The connection to the accounts, which are always in PostgreSQL, for
     * store_user.h. */
    store_pg_t *(*accounts)(store_chat_t *st);

    store_e (*connect)(store_chat_t *st, int *new_r);
    void (*close)(store_chat_t *st);
    int (*connected)(const store_chat_t *st);
    store_e (*poll)(store_chat_t *st);
    store_e (*check)(store_chat_t *st);
    store_e (*commit)(store_chat_t *st);
    void (*rollback)(store_chat_t *st);
    const char *(*error)(const store_chat_t *st);
    store_e (*shard_take)(store_chat_t *st, const unsigned *shards, size_t n,
        size_t max, const char *worker, uint64_t epochs_r[CHAT_SHARDS]);
    store_e (*shard_release)(store_chat_t *st, const unsigned *shards,
        size_t n);
    store_e (*shard_holders)(store_chat_t *st,
        store_shard_holder_t holders_r[CHAT_SHARDS], size_t *n_r);
    store_e (*shard_cut)(store_chat_t *st,
        const store_shard_holder_t *holder);
    store_e (*load)(store_chat_t *st, const uint8_t (*ids)[16], size_t n,
        store_chat_row_pt row, void *arg);
    store_e (*create)(store_chat_t *st, const uint8_t id[16], uint8_t type,
        const chat_str_t *title, uint64_t creator, uint64_t owner,
        const uint64_t *users, size_t n, int64_t *created_r);
    store_e (*title)(store_chat_t *st, const uint8_t id[16],
        const chat_str_t *title);
    store_e (*members_add)(store_chat_t *st, const uint8_t id[16],
        const uint64_t *users, const uint64_t *seqs, size_t n,
        uint64_t *version_r);
    store_e (*member_leave)(store_chat_t *st, const uint8_t id[16],
        uint64_t user, uint64_t left, uint64_t *version_r);
    store_e (*roles)(store_chat_t *st, const uint8_t id[16],
        const uint64_t *users, const uint8_t *roles, size_t n,
        uint64_t *version_r);
    store_e (*clear)(store_chat_t *st, const uint8_t id[16], uint64_t user,
        uint64_t seq);
    store_e (*member_view)(store_chat_t *st, const uint8_t id[16],
        uint64_t user, uint64_t device, store_member_view_t *view_r);
    store_e (*append)(store_chat_t *st, store_append_t *items, size_t n,
        store_append_e when);
    store_e (*entry)(store_chat_t *st, const uint8_t id[16], uint64_t seq,
        chat_entry_t *e_r);
    store_e (*entries_since)(store_chat_t *st, const uint8_t id[16],
        int64_t since, store_entry_pt entry, void *arg);
    store_e (*receipts)(store_chat_t *st, const store_receipt_t *receipts,
        size_t n);
    store_e (*target)(store_chat_t *st, const uint8_t id[16], uint64_t seq,
        uint64_t device, const chat_str_t *message_id,
        store_target_t *target_r);
    store_e (*edit)(store_chat_t *st, const uint8_t id[16], uint64_t seq,
        const chat_str_t *content);
    store_e (*erase)(store_chat_t *st, const uint8_t id[16], uint64_t seq);
    store_e (*key_take)(store_chat_t *st, uint64_t user, const char *route,
        const chat_str_t *key, uint64_t digest, store_key_t *key_r);
    store_e (*key_fill)(store_chat_t *st, uint64_t user, const char *route,
        const chat_str_t *key, unsigned status, const chat_str_t *body);
} store_chat_ops_t;

struct store_chat_s {
    const store_chat_ops_t  *ops;
};

/* store_chat_pg.c: the implementation `postgresql`. */
store_chat_t *store_chat_pg_open(const worker_conf_t *conf, const char *name);

#endif
