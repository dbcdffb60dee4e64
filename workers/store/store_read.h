/*
 * store_read.h: chats as one user and device may see them.
 *
 * Called from the API worker; hands to the implementation that `chat_store`
 * names (store_open.c, store_read_ops.h). Never writes, except the receipt
 * cursors of a device that logs in. Each call answers for one moment;
 * visibility (joined, left, hidden, expired) is decided by the store. Results
 * are opaque but for the documented members, and freed by their _free().
 */

#ifndef STORE_READ_H
#define STORE_READ_H

#include <stddef.h>
#include <stdint.h>

#include "chat_entry.h"
#include "store_result.h"
#include "worker.h"

typedef struct store_reader_s      store_reader_t;
typedef struct store_reader_ops_s  store_reader_ops_t;

/* the connection to the accounts, store_pg.h */
struct store_pg_s;

/* A new reader of the implementation that conf->chat_store names. conf and
 * accounts are borrowed for its life. An implementation that keeps the chats
 * where the accounts are reads over that connection and opens none. */
store_reader_t *store_reader_open(const worker_conf_t *conf,
    struct store_pg_s *accounts);
void store_reader_free(store_reader_t **reader);

/* Connects when not connected; the accounts' connection comes first.
 * STORE_OK or STORE_UNAVAILABLE. */
store_e store_reader_connect(store_reader_t *reader);

/* What the caller may see of a chat, by membership. */
typedef enum {
    STORE_SEES_NOTHING = 0,     /* never a member, or no such chat           */
    STORE_SEES_PAST,            /* was one: up to left_seq                   */
    STORE_SEES_ALL              /* is one                                    */
} store_sees_e;

/* ------------------------------------------------------------------ chats */

typedef struct {
    uint8_t       id[16];
    int           type;             /* 1 direct, 2 group                     */
    chat_str_t    title;            /* absent when null                      */
    int64_t       created;          /* ms since 1970                         */
    int64_t       active;           /* opaque, for the cursor                */
    uint64_t      last;             /* last seq                              */
    int           role;
    uint64_t      delivered;        /* this device's                         */
    uint64_t      read;             /* the user's                            */
    uint64_t      unread;           /* counted up to STORE_UNREAD_MAX        */
    uint64_t      members;          /* of a group, else 0                    */
    uint64_t      peer;             /* of a direct chat, else 0              */
    int           has_entry;
    chat_entry_t  entry;            /* the last one                          */
} store_chat_view_t;

#define STORE_UNREAD_MAX  10000

typedef struct {
    size_t                     n;
    store_chat_view_t         *items;
    const store_reader_ops_t  *ops;     /* private, as is `rows`             */
    void                      *rows;
} store_chat_views_t;

/* The position after which a page of the list begins. */
typedef struct {
    int64_t  active;
    uint8_t  id[16];
} store_chat_cursor_t;

/* The user's chats, newest activity first, at most n; after NULL: the first. */
store_e store_read_chats(store_reader_t *reader, uint64_t user,
    uint64_t device, const store_chat_cursor_t *after, unsigned n,
    store_chat_views_t *views_r);
/* One chat: views_r->n is 1 when *sees_r is STORE_SEES_ALL, else 0. */
store_e store_read_chat(store_reader_t *reader, uint64_t user, uint64_t device,
    const uint8_t chat[16], store_sees_e *sees_r,
    store_chat_views_t *views_r);
void store_chat_views_free(store_chat_views_t *views);

/* ------------------------------------------------------------------ pages */

typedef struct {
    store_sees_e  sees;
    int           n;                /* entries, oldest first by _entry()     */
    int           complete;         /* nothing more in that direction        */
    int           backwards;        /* as requested                          */
    uint8_t       chat[16];         /* as requested                          */
    const store_reader_ops_t  *ops;     /* private, as is `rows`             */
    void                      *rows;
} store_page_t;

/* At most n entries: those before `seq` (backwards), or after it. For the
 * newest page give backwards and INT64_MAX. */
store_e store_read_page(store_reader_t *reader, uint64_t user,
    const uint8_t chat[16], int backwards, uint64_t seq, unsigned n,
    store_page_t *page_r);
void store_page_entry(const store_page_t *page, int i, chat_entry_t *entry_r);
void store_page_free(store_page_t *page);

/* ---------------------------------------------------------------- members */

typedef struct {
    store_sees_e  sees;
    int           n;
    const store_reader_ops_t  *ops;     /* private, as is `rows`             */
    void                      *rows;
} store_members_t;

/* Members by rising user id, those after `after`, at most n. */
store_e store_read_members(store_reader_t *reader, uint64_t user,
    const uint8_t chat[16], uint64_t after, unsigned n,
    store_members_t *members_r);
void store_members_item(const store_members_t *members, int i,
    uint64_t *user_r, int *role_r);

typedef struct {
    uint64_t  user;
    int       delivered, read;          /* whether                           */
    int64_t   delivered_at, read_at;    /* when, ms; 0: not, or not known    */
} store_entry_receipt_t;

/* Who may see entry `seq`, its sender apart, and how far they are. n is 0 and
 * sees STORE_SEES_NOTHING when the caller may not see the entry. */
store_e store_read_receipts(store_reader_t *reader, uint64_t user,
    const uint8_t chat[16], uint64_t seq, uint64_t after, unsigned n,
    store_members_t *members_r);
void store_members_receipt(const store_members_t *members, int i,
    store_entry_receipt_t *receipt_r);
void store_members_free(store_members_t *members);

/* --------------------------------------------------------------- receipts */

/* A device that was just created has its receipt cursors at the end of every
 * chat of its user, so that it is not sent all of history. */
store_e store_receipts_start_at_now(store_reader_t *reader, uint64_t user,
    uint64_t device);

#endif
