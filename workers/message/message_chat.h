/*
 * message_chat.h: the cache of chats with their members.
 *
 * Called from message_prepare.c (loads, removes), on_*.c and message_*.c
 * (read, and change after the statement that made the same change in the
 * database). The owner of a shard is the only writer of its chats, so the
 * cache is accurate; each INSERT validates it by comparing last_seq and
 * members_version. After a rollback the chats of the batch are removed.
 *
 * Bounded by the total number of members. The least recently used chat is
 * evicted first, and only between batches: during a batch a message_chat_t *
 * stays valid.
 */

#ifndef MESSAGE_CHAT_H
#define MESSAGE_CHAT_H

#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "store_chat.h"

typedef struct {
    uint64_t          from;
    uint64_t          to;           /* inclusive                            */
} message_range_t;

typedef struct {
    uint64_t          user;
    uint64_t          joined;       /* first visible seq                    */
    uint64_t          left;         /* last visible seq; 0: is a member     */
    uint64_t          delivered;    /* highest of the user's devices        */
    uint64_t          read;
    message_range_t  *hidden;       /* between memberships, ascending       */
    uint16_t          nhidden;
    uint8_t           role;         /* STORE_OWNER ...                      */
} message_member_t;

typedef struct message_chat_s  message_chat_t;

struct message_chat_s {
    uint8_t            id[16];
    uint8_t            exists;      /* else a placeholder for this batch    */
    uint8_t            type;        /* STORE_DIRECT, STORE_GROUP            */
    uint64_t           last_seq;
    int64_t            last_at;     /* time of last_seq, ms since 1970      */
    uint64_t           members_version;
    uint64_t           created_by;
    int64_t            created_at;
    char              *title;       /* NULL when it has none                */
    message_member_t  *members;     /* ascending by user                    */
    size_t             n;
    size_t             active;      /* current members                      */

    /* valid during a batch only */
    uint64_t           batch;       /* its number                           */
    uint16_t           round;
    uint8_t            round_holds; /* see message_round.c                  */
    void              *last_send;   /* message_item_t: last in the round    */
    size_t             online;      /* fanout_publish.c: first of its list  */
    size_t             nonline;
    size_t             marked;      /* first of its members with markers    */
    size_t             nmarked;
    uint64_t           online_batch;

    message_chat_t    *prev, *next; /* least recently used first            */
    UT_hash_handle     hh;          /* by id                                */
};

typedef struct message_cache_s  message_cache_t;

/* max_members: the limit, where a chat itself counts as eight members. */
message_cache_t *message_cache_new(size_t max_members);
void message_cache_free(message_cache_t **cache);
size_t message_cache_count(const message_cache_t *cache);

/* The chat; a new placeholder when it is not cached (*missing_r is 1). The
 * chat becomes the most recently used. */
message_chat_t *message_cache_get(message_cache_t *cache,
    const uint8_t id[16], int *missing_r);
/* The callback of store_chat_load(): adds one row; arg is the cache. */
void message_cache_row(void *arg, const store_chat_row_t *row);
void message_cache_drop(message_cache_t *cache, message_chat_t *chat);
void message_cache_drop_shard(message_cache_t *cache, unsigned shard);
/* Evicts chats until the limit is kept; between batches. */
void message_cache_trim(message_cache_t *cache);

/* A current or former member, or NULL. Valid until the next
 * message_chat_join(). */
message_member_t *message_chat_member(const message_chat_t *chat,
    uint64_t user);
int message_member_sees(const message_member_t *member, uint64_t seq);
/* The last seq that the member may see. */
uint64_t message_member_last(const message_chat_t *chat,
    const message_member_t *member);

/* Repeat in the cache what a statement changed in the database. seq: of the
 * entry by which the user joins or leaves. A former member who joins again
 * does not see the entries between. */
message_member_t *message_chat_join(message_cache_t *cache,
    message_chat_t *chat, uint64_t user, uint8_t role, uint64_t seq);
void message_chat_leave(message_chat_t *chat, message_member_t *member,
    uint64_t seq);
void message_chat_set_title(message_chat_t *chat, const chat_str_t *title);

#endif
