/*
 * store_chat.h: chats, members, entries, receipts: what a message worker
 * writes.
 *
 * Called from workers/message/; hands to the implementation that `chat_store`
 * names (store_open.c, store_chat_ops.h). Only the owner of a shard writes its
 * chats; the store guarantees that a writer that has lost a shard can no
 * longer commit to it.
 *
 * Changes to a chat or its members are staged: they take effect together at
 * store_chat_commit(), or not at all. Until then the same store_chat_t sees
 * them in its own reads. Receipts, loads and STORE_APPEND_NOW need no commit
 * of their own, but join staged changes if there are any.
 *
 * Ids and seqs are uint64_t, 0 when absent. Borrowed results are valid until
 * the next call.
 */

#ifndef STORE_CHAT_H
#define STORE_CHAT_H

#include <stddef.h>
#include <stdint.h>

#include "chat_entry.h"
#include "chat_event.h"
#include "chat_proto.h"
#include "store_result.h"
#include "store_role.h"
#include "worker.h"

typedef struct store_chat_s  store_chat_t;

/* chats.type */
enum { STORE_DIRECT = 1, STORE_GROUP };

/* ------------------------------------------------------------- connection */

/* New, not yet connected, of the implementation that conf->chat_store names.
 * conf and name (the worker's id) are borrowed for its life. */
store_chat_t *store_chat_open(const worker_conf_t *conf, const char *name);
void store_chat_free(store_chat_t **st);

/* STORE_OK, also when it was connected already, or STORE_UNAVAILABLE. *new_r:
 * the connection is another one than before, so no shard is owned. */
store_e store_chat_connect(store_chat_t *st, int *new_r);
void store_chat_close(store_chat_t *st);
int store_chat_connected(const store_chat_t *st);

/* Detects a connection that the other side has closed, without a request. */
store_e store_chat_poll(store_chat_t *st);

/* Checks with one request that the connection works. */
store_e store_chat_check(store_chat_t *st);

/* Makes the staged changes take effect; STORE_OK when there are none. After
 * STORE_UNAVAILABLE it is unknown whether they have. */
store_e store_chat_commit(store_chat_t *st);
/* Discards the staged changes. */
void store_chat_rollback(store_chat_t *st);

/* A short text without user data about the last STORE_FAILED or
 * STORE_CONFLICT, for logs; borrowed. */
const char *store_chat_error(const store_chat_t *st);

/* ----------------------------------------------------------------- shards */

typedef struct {
    unsigned  shard;
    uint64_t  token;            /* opaque, for store_shard_cut()            */
    char      worker[64];       /* the id of the worker that owns it        */
} store_shard_holder_t;

/* Acquires at most `max` free ones of the n shards; epochs_r[shard] is set
 * for those, and is greater than every epoch of the shard before. Ownership
 * ends with the connection. STORE_UNAVAILABLE on every failure: the
 * connection is then closed, since it is unknown what it owns. */
store_e store_shard_take(store_chat_t *st, const unsigned *shards, size_t n,
    size_t max, const char *worker, uint64_t epochs_r[CHAT_SHARDS]);
store_e store_shard_release(store_chat_t *st, const unsigned *shards,
    size_t n);

/* The current owners, at most CHAT_SHARDS. */
store_e store_shard_holders(store_chat_t *st,
    store_shard_holder_t holders_r[CHAT_SHARDS], size_t *n_r);

/* Ends the ownership of a holder that does not react: whatever it has not
 * committed is lost. STORE_OK also when it was gone. */
store_e store_shard_cut(store_chat_t *st, const store_shard_holder_t *holder);

/* ------------------------------------------------------------------ chats */

/* A closed range of seqs, both ends included. */
typedef struct {
    uint64_t  from;
    uint64_t  to;
} store_span_t;

/* One member of a chat; `user` is 0 when the chat has none. Ordered by chat
 * as requested, then by user. */
typedef struct {
    uint8_t     chat[16];
    uint8_t     type;
    uint64_t    last_seq;
    int64_t     last_at;        /* last_message_time, ms since 1970         */
    uint64_t    members_version;
    uint64_t    created_by;
    int64_t     created_at;     /* ms since 1970                            */
    chat_str_t  title;
    uint64_t    user;
    uint8_t     role;
    uint64_t    joined;
    uint64_t    left;           /* 0: a member                              */
    uint64_t    delivered;
    uint64_t    read;
    const store_span_t  *hidden;    /* between memberships, rising          */
    size_t      nhidden;
} store_chat_row_t;

typedef void (*store_chat_row_pt)(void *arg, const store_chat_row_t *row);

/* Calls `row` once per member. Strings and spans of the row are borrowed for
 * the call. No row for a chat that does not exist. */
store_e store_chat_load(store_chat_t *st, const uint8_t (*ids)[16], size_t n,
    store_chat_row_pt row, void *arg);

/* A chat with its members from the start; `owner` is 0 for a direct one. */
store_e store_chat_create(store_chat_t *st, const uint8_t id[16], uint8_t type,
    const chat_str_t *title, uint64_t creator, uint64_t owner,
    const uint64_t *users, size_t n, int64_t *created_r);
store_e store_chat_title(store_chat_t *st, const uint8_t id[16],
    const chat_str_t *title);

/* Users join, or return, each at the seq of its own member_added entry; the
 * entries between leaving and returning become a hidden span. This function
 * and the next two return the members_version after the change; STORE_STALE
 * when there is no such chat. */
store_e store_chat_members_add(store_chat_t *st, const uint8_t id[16],
    const uint64_t *users, const uint64_t *seqs, size_t n,
    uint64_t *version_r);
store_e store_chat_member_leave(store_chat_t *st, const uint8_t id[16],
    uint64_t user, uint64_t left, uint64_t *version_r);
store_e store_chat_roles(store_chat_t *st, const uint8_t id[16],
    const uint64_t *users, const uint8_t *roles, size_t n,
    uint64_t *version_r);

/* Takes the chat off the user's list until an entry later than `seq`. */
store_e store_chat_clear(store_chat_t *st, const uint8_t id[16],
    uint64_t user, uint64_t seq);

/* A chat as one of its members sees it; borrowed. */
typedef struct {
    uint64_t      last;         /* highest seq they may see                 */
    uint64_t      delivered;    /* by this device                           */
    uint64_t      read;
    uint64_t      unread;
    uint64_t      members;      /* of a group                               */
    uint64_t      peer;         /* of a direct chat                         */
    uint8_t       has_entry;
    chat_entry_t  entry;        /* the last one                             */
} store_member_view_t;

/* STORE_NOT_FOUND when the user is not a member. */
store_e store_chat_member_view(store_chat_t *st, const uint8_t id[16],
    uint64_t user, uint64_t device, store_member_view_t *view_r);

/* ---------------------------------------------------------------- entries */

typedef struct {
    chat_entry_t  e;            /* out: seq and timestamp                   */
    uint64_t      digest;       /* chat_entry_digest(); out: of the first
                                   entry when this one is a duplicate       */
    uint64_t      last;         /* the chat's last_seq, members_version and */
    uint64_t      version;      /* last_message_time (ms since 1970), as    */
    int64_t       at;           /* the caller believes                      */
    uint8_t       check_duplicate;  /* it may well be a duplicate           */
    uint8_t       inserted;     /* out: written, not a duplicate            */
} store_append_t;

typedef enum {
    STORE_APPEND_STAGED = 0,    /* takes effect at store_chat_commit()      */
    STORE_APPEND_NOW            /* has taken effect on STORE_OK: for entries
                                   that depend on no other change           */
} store_append_e;

/* Assigns dense seqs in the order of the items and writes those that are not
 * duplicates (same chat, device and message id as a stored entry; these get
 * the first one's seq, timestamp and digest). No two items may be duplicates
 * of each other. STORE_STALE when a chat is not as believed; nothing was
 * written. STORE_APPEND_STAGED with a duplicate whose check_duplicate is 0 is
 * STORE_FAILED, and the staged changes can only be rolled back. */
store_e store_chat_append(store_chat_t *st, store_append_t *items, size_t n,
    store_append_e when);

/* One entry without a reader's visibility rules; borrowed. STORE_NOT_FOUND. */
store_e store_chat_entry(store_chat_t *st, const uint8_t id[16], uint64_t seq,
    chat_entry_t *e_r);

/* The latest entries of a chat that store_chat_entries_since() considers: more
 * than one request writes (CHAT_MEMBERS_MAX). */
#define STORE_SINCE_MAX  20000

typedef void (*store_entry_pt)(void *arg, const chat_entry_t *e);

/* Calls `entry`, in the order of seq, for each of the chat's latest entries
 * that was written at `since` (ms since 1970) or later. Content, message id,
 * role and reply_to are not read; expires_in is 1 when the entry expires.
 * Strings are borrowed for the call. */
store_e store_chat_entries_since(store_chat_t *st, const uint8_t id[16],
    int64_t since, store_entry_pt entry, void *arg);

/* --------------------------------------------------------------- receipts */

typedef struct {
    uint8_t   chat[16];
    uint64_t  user;
    uint64_t  device;
    uint64_t  device_delivered;
    uint64_t  delivered;        /* of the user; 0: leave it                 */
    uint64_t  read;
} store_receipt_t;

/* Raises receipt cursors; a cursor never falls. No two items of one device and
 * chat, and no two that raise those of one user and chat. */
store_e store_chat_receipts(store_chat_t *st, const store_receipt_t *receipts,
    size_t n);

/* --------------------------------------------------- edit, delete, react */

typedef struct {
    uint8_t   kind;             /* of the target, 0 when there is none      */
    uint8_t   gone;             /* deleted or expired                       */
    uint64_t  sender;
    uint64_t  duplicate;        /* seq of the entry with this device and
                                   message id, 0 when there is none         */
} store_target_t;

store_e store_chat_target(store_chat_t *st, const uint8_t id[16], uint64_t seq,
    uint64_t device, const chat_str_t *message_id, store_target_t *target_r);
store_e store_chat_edit(store_chat_t *st, const uint8_t id[16], uint64_t seq,
    const chat_str_t *content);
store_e store_chat_erase(store_chat_t *st, const uint8_t id[16],
    uint64_t seq);

/* -------------------------------------------------------- idempotency keys */

typedef struct {
    uint64_t    digest;         /* of the first request                     */
    unsigned    status;
    chat_str_t  body;           /* borrowed                                 */
} store_key_t;

/* STORE_OK: the key is taken, and must be filled before the commit.
 * STORE_NOT_FOUND: it was used in the last 24 hours, *key_r is its answer. */
store_e store_chat_key_take(store_chat_t *st, uint64_t user, const char *route,
    const chat_str_t *key, uint64_t digest, store_key_t *key_r);
store_e store_chat_key_fill(store_chat_t *st, uint64_t user, const char *route,
    const chat_str_t *key, unsigned status, const chat_str_t *body);

#endif
