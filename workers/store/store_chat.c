/*
 * store_chat.c: calls of store_chat.h go to the implementation.
 *
 * Called from workers/message/; hands to a store_chat_ops_t.
 */

#include "store_chat_ops.h"


void
store_chat_free(store_chat_t **st)
{
    if (*st != NULL) {
        (*st)->ops->free(*st);
        *st = NULL;
    }
}


store_e
store_chat_connect(store_chat_t *st, int *new_r)
{
    return st->ops->connect(st, new_r);
}


void
store_chat_close(store_chat_t *st)
{
    st->ops->close(st);
}


int
store_chat_connected(const store_chat_t *st)
{
    return st->ops->connected(st);
}


store_e
store_chat_poll(store_chat_t *st)
{
    return st->ops->poll(st);
}


store_e
store_chat_check(store_chat_t *st)
{
    return st->ops->check(st);
}


store_e
store_chat_commit(store_chat_t *st)
{
    return st->ops->commit(st);
}


void
store_chat_rollback(store_chat_t *st)
{
    st->ops->rollback(st);
}


const char *
store_chat_error(const store_chat_t *st)
{
    return st->ops->error(st);
}


store_e
store_shard_take(store_chat_t *st, const unsigned *shards, size_t n,
    size_t max, const char *worker, uint64_t epochs_r[CHAT_SHARDS])
{
    return st->ops->shard_take(st, shards, n, max, worker, epochs_r);
}


store_e
store_shard_release(store_chat_t *st, const unsigned *shards, size_t n)
{
    return st->ops->shard_release(st, shards, n);
}


store_e
store_shard_holders(store_chat_t *st,
    store_shard_holder_t holders_r[CHAT_SHARDS], size_t *n_r)
{
    return st->ops->shard_holders(st, holders_r, n_r);
}


store_e
store_shard_cut(store_chat_t *st, const store_shard_holder_t *holder)
{
    return st->ops->shard_cut(st, holder);
}


store_e
store_chat_load(store_chat_t *st, const uint8_t (*ids)[16], size_t n,
    store_chat_row_pt row, void *arg)
{
    return st->ops->load(st, ids, n, row, arg);
}


store_e
store_chat_create(store_chat_t *st, const uint8_t id[16], uint8_t type,
    const chat_str_t *title, uint64_t creator, uint64_t owner,
    const uint64_t *users, size_t n, int64_t *created_r)
{
    return st->ops->create(st, id, type, title, creator, owner, users, n,
        created_r);
}


store_e
store_chat_title(store_chat_t *st, const uint8_t id[16],
    const chat_str_t *title)
{
    return st->ops->title(st, id, title);
}


store_e
store_chat_members_add(store_chat_t *st, const uint8_t id[16],
    const uint64_t *users, const uint64_t *seqs, size_t n,
    uint64_t *version_r)
{
    return st->ops->members_add(st, id, users, seqs, n, version_r);
}


store_e
store_chat_member_leave(store_chat_t *st, const uint8_t id[16], uint64_t user,
    uint64_t left, uint64_t *version_r)
{
    return st->ops->member_leave(st, id, user, left, version_r);
}


store_e
store_chat_roles(store_chat_t *st, const uint8_t id[16],
    const uint64_t *users, const uint8_t *roles, size_t n,
    uint64_t *version_r)
{
    return st->ops->roles(st, id, users, roles, n, version_r);
}


store_e
store_chat_clear(store_chat_t *st, const uint8_t id[16], uint64_t user,
    uint64_t seq)
{
    return st->ops->clear(st, id, user, seq);
}


store_e
store_chat_member_view(store_chat_t *st, const uint8_t id[16], uint64_t user,
    uint64_t device, store_member_view_t *view_r)
{
    return st->ops->member_view(st, id, user, device, view_r);
}


store_e
store_chat_append(store_chat_t *st, store_append_t *items, size_t n,
    store_append_e when)
{
    return st->ops->append(st, items, n, when);
}


store_e
store_chat_entry(store_chat_t *st, const uint8_t id[16], uint64_t seq,
    chat_entry_t *e_r)
{
    return st->ops->entry(st, id, seq, e_r);
}


store_e
store_chat_entries_since(store_chat_t *st, const uint8_t id[16],
    int64_t since, store_entry_pt entry, void *arg)
{
    return st->ops->entries_since(st, id, since, entry, arg);
}


store_e
store_chat_receipts(store_chat_t *st, const store_receipt_t *receipts,
    size_t n)
{
    return st->ops->receipts(st, receipts, n);
}


store_e
store_chat_target(store_chat_t *st, const uint8_t id[16], uint64_t seq,
    uint64_t device, const chat_str_t *message_id, store_target_t *target_r)
{
    return st->ops->target(st, id, seq, device, message_id, target_r);
}


store_e
store_chat_edit(store_chat_t *st, const uint8_t id[16], uint64_t seq,
    const chat_str_t *content)
{
    return st->ops->edit(st, id, seq, content);
}


store_e
store_chat_erase(store_chat_t *st, const uint8_t id[16], uint64_t seq)
{
    return st->ops->erase(st, id, seq);
}


store_e
store_chat_key_take(store_chat_t *st, uint64_t user, const char *route,
    const chat_str_t *key, uint64_t digest, store_key_t *key_r)
{
    return st->ops->key_take(st, user, route, key, digest, key_r);
}


store_e
store_chat_key_fill(store_chat_t *st, uint64_t user, const char *route,
    const chat_str_t *key, unsigned status, const chat_str_t *body)
{
    return st->ops->key_fill(st, user, route, key, status, body);
}
