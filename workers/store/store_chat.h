/*
 * store_chat.h: chats, members, entries, marks: what a message worker writes.
 *
 * Called from workers/message/; hands to store_pg.c. One connection, on which
 * the worker also holds the locks of its shards: who has lost a lock has lost
 * the connection and cannot commit. The file says nothing of SQL, so that a
 * store without transactions over rows can stand here later.
 *
 * store_chat.c          the connection and its transaction
 * store_chat_shard.c    ownership of shards
 * store_chat_load.c     a chat with its members
 * store_chat_append.c   entries get their seq
 * store_chat_member.c   chats and members change
 * store_chat_receipt.c     delivered and read
 * store_chat_target.c   the entry an edit, delete or reaction is about
 * store_chat_own.c      a chat as one member sees it
 * store_chat_key.c      answers to POSTs with an Idempotency-Key
 *
 * What changes a chat or its members happens inside a transaction, which the
 * first call opens and store_chat_commit() ends. Reads, marks and appends that
 * stand alone are part of it when it is open and open none. Ids and seqs are
 * uint64_t, 0 when absent. What is called borrowed lives until the next call.
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

typedef struct store_chat_s  store_chat_t;

/* chats.type */
enum { STORE_DIRECT = 1, STORE_GROUP };

/* ------------------------------------------------------------- connection */

/* dsn and name (the worker's id) are borrowed for ever. */
store_chat_t *store_chat_new(const char *dsn, const char *name);
void store_chat_free(store_chat_t **st);

/* STORE_OK also when it was connected already; AWAY. *fresh_r: this is
 * another connection than the last time, so no shard is held. */
store_e store_chat_connect(store_chat_t *st, int *fresh_r);
void store_chat_close(store_chat_t *st);
int store_chat_connected(const store_chat_t *st);

/* Whether the server has closed the connection, as far as is known here:
 * nothing is sent. */
store_e store_chat_poll(store_chat_t *st);

/* Asks whether the connection still lives. */
store_e store_chat_check(store_chat_t *st);

/* Ends the transaction; OK when none was open. AWAY: nobody knows whether it
 * was committed. */
store_e store_chat_commit(store_chat_t *st);
void store_chat_rollback(store_chat_t *st);

/* Of the last STORE_FAILED. */
const char *store_chat_sqlstate(const store_chat_t *st);

/* ----------------------------------------------------------------- shards */

typedef struct {
    unsigned  shard;
    int       pid;              /* of the backend that holds the lock       */
    char      worker[64];       /* its worker's id                          */
} store_shard_holder_t;

/* Takes at most `max` free ones of the n shards; epochs_r[shard] is set for
 * those that were taken. */
store_e store_shard_take(store_chat_t *st, const unsigned *shards, size_t n,
    size_t max, const char *worker, uint64_t epochs_r[CHAT_SHARDS]);
store_e store_shard_release(store_chat_t *st, const unsigned *shards,
    size_t n);

/* Who holds what; at most CHAT_SHARDS. */
store_e store_shard_holders(store_chat_t *st,
    store_shard_holder_t holders_r[CHAT_SHARDS], size_t *n_r);

/* Cuts the holder off. OK also when it was gone. */
store_e store_shard_cut(store_chat_t *st, const store_shard_holder_t *holder);

/* ------------------------------------------------------------------ chats */

/* One member of a chat; `user` is 0 when the chat has none. Ordered by chat
 * as asked, then by user. */
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
    chat_str_t  hidden;         /* absent, or as {[5,9),[12,20)}            */
} store_chat_row_t;

typedef void (*store_chat_row_pt)(void *arg, const store_chat_row_t *row);

/* Strings of the row are borrowed for the call. */
store_e store_chat_load(store_chat_t *st, const uint8_t (*ids)[16], size_t n,
    store_chat_row_pt row, void *arg);

/* A chat with its members from the start; `owner` is 0 for a direct one. */
store_e store_chat_create(store_chat_t *st, const uint8_t id[16], uint8_t type,
    const chat_str_t *title, uint64_t creator, uint64_t owner,
    const uint64_t *users, size_t n, int64_t *created_r);
store_e store_chat_title(store_chat_t *st, const uint8_t id[16],
    const chat_str_t *title);

/* Users come in, or back, each with the seq of the own member_added; back
 * means that what was between is hidden. All below give the members_version
 * that the change made. */
store_e store_chat_members_add(store_chat_t *st, const uint8_t id[16],
    const uint64_t *users, const uint64_t *seqs, size_t n,
    uint64_t *version_r);
store_e store_chat_member_leave(store_chat_t *st, const uint8_t id[16],
    uint64_t user, uint64_t left, uint64_t *version_r);
store_e store_chat_roles(store_chat_t *st, const uint8_t id[16],
    const uint64_t *users, const uint8_t *roles, size_t n,
    uint64_t *version_r);

/* Off the user's list until a later entry than `seq`. */
store_e store_chat_clear(store_chat_t *st, const uint8_t id[16],
    uint64_t user, uint64_t seq);

/* What a chat is to one of its members; borrowed. */
typedef struct {
    uint64_t      last;         /* highest seq they may see                 */
    uint64_t      delivered;    /* by this device                           */
    uint64_t      read;
    uint64_t      unread;
    uint64_t      members;      /* of a group                               */
    uint64_t      peer;         /* of a direct chat                         */
    uint8_t       has_entry;
    chat_entry_t  entry;        /* the last one                             */
} store_own_t;

/* NONE when not a member. */
store_e store_chat_own(store_chat_t *st, const uint8_t id[16], uint64_t user,
    uint64_t device, store_own_t *own_r);

/* ---------------------------------------------------------------- entries */

typedef struct {
    chat_entry_t  e;            /* seq and timestamp are filled in          */
    uint64_t      digest;       /* chat_entry_digest(); of a repeat the
                                   first one's is filled in                 */
    uint64_t      last;         /* the chat's last_seq, members_version and */
    uint64_t      version;      /* last_message_time (ms since 1970), as    */
    int64_t       at;           /* the caller believes                      */
    uint8_t       check_duplicate;         /* it may well be a repeat                  */
    uint8_t       inserted;        /* out: it was written, no repeat           */
} store_append_t;

/* Gives out seqs in the order of the items and writes what is no repeat (the
 * same chat, device and message id). No two items may repeat each other. NONE
 * when a chat is not as was believed; then nothing was written. `alone`: no
 * transaction is opened for it, on OK it is committed. Otherwise a repeat that
 * is not to be looked for is WRONG, and the transaction can only be undone. */
store_e store_chat_append(store_chat_t *st, store_append_t *items, size_t n,
    int alone);

/* One entry as nobody in particular sees it; borrowed. NONE. */
store_e store_chat_entry(store_chat_t *st, const uint8_t id[16], uint64_t seq,
    chat_entry_t *e_r);

/* ------------------------------------------------------------------ marks */

typedef struct {
    uint8_t   chat[16];
    uint64_t  user;
    uint64_t  device;
    uint64_t  device_delivered;
    uint64_t  delivered;        /* of the user; 0 when it does not rise     */
    uint64_t  read;
} store_receipt_t;

/* No two of a device and chat, and no two that raise one user's. */
store_e store_chat_receipts(store_chat_t *st, const store_receipt_t *marks,
    size_t n);

/* --------------------------------------------------- edit, delete, react */

typedef struct {
    uint8_t   kind;             /* of the target, 0 when there is none      */
    uint8_t   gone;             /* deleted or expired                       */
    uint64_t  sender;
    uint64_t  repeat;           /* seq that this device and message id have */
} store_target_t;

store_e store_chat_target(store_chat_t *st, const uint8_t id[16], uint64_t seq,
    uint64_t device, const chat_str_t *message_id, store_target_t *target_r);
store_e store_chat_edit(store_chat_t *st, const uint8_t id[16], uint64_t seq,
    const chat_str_t *content);
store_e store_chat_erase(store_chat_t *st, const uint8_t id[16],
    uint64_t seq);

/* -------------------------------------------------------- idempotency keys */

typedef struct {
    uint64_t    digest;         /* of the request that came first           */
    unsigned    status;
    chat_str_t  body;           /* borrowed                                 */
} store_key_t;

/* OK: the key is ours, to be filled in this transaction. NONE: it was used in
 * the last 24 hours, *key_r is its answer. */
store_e store_chat_key_take(store_chat_t *st, uint64_t user, const char *route,
    const chat_str_t *key, uint64_t digest, store_key_t *key_r);
store_e store_chat_key_fill(store_chat_t *st, uint64_t user, const char *route,
    const chat_str_t *key, unsigned status, const chat_str_t *body);

#endif
