/*
 * message_chat.h: the cache of chats with their members.
 *
 * Called from message_try.c (fills, drops) and on_*.c (asks, changes after
 * the statement that changed the same in the database). The owner of a shard
 * is the only writer of its chats, so what is here is true; the proof is
 * members_version, which every send gets back from its UPDATE. After a
 * rollback the chats of the batch are dropped.
 *
 * Bounded by the number of members in all; the longest unused chat goes first,
 * between batches only: within one a message_chat_t * stays valid.
 */

#ifndef MESSAGE_CHAT_H
#define MESSAGE_CHAT_H

#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "store_chat.h"

typedef struct {
    uint64_t          from;
    uint64_t          to;           /* the last one                         */
} message_range_t;

typedef struct {
    uint64_t          user;
    uint64_t          joined;       /* first seq they may see               */
    uint64_t          left;         /* last one; 0: is a member             */
    uint64_t          delivered;    /* highest of the devices               */
    uint64_t          read;
    message_range_t  *hidden;       /* between times, rising                */
    uint16_t          nhidden;
    uint8_t           role;         /* STORE_OWNER ...                      */
} message_member_t;

typedef struct message_chat_s  message_chat_t;

struct message_chat_s {
    uint8_t            id[16];
    uint8_t            exists;      /* else a place holder for this batch   */
    uint8_t            type;        /* STORE_DIRECT, STORE_GROUP            */
    uint64_t           last_seq;
    int64_t            last_at;     /* its time, ms since 1970              */
    uint64_t           members_version;
    uint64_t           created_by;
    int64_t            created_at;
    char              *title;       /* NULL when it has none                */
    message_member_t  *members;     /* by rising user                       */
    size_t             n;
    size_t             active;      /* of them not left                     */

    /* of the batch under way, meaningless outside */
    uint64_t           batch;       /* its number                           */
    uint16_t           round;
    uint8_t            doing;       /* in the round, see message_round.c    */
    void              *last;        /* the last send in the round           */
    size_t             online;      /* fanout_publish.c: first of its list  */
    size_t             nonline;
    size_t             marked;       /* and of members with notes            */
    size_t             nmarked;
    uint64_t           online_batch;

    message_chat_t    *prev, *next; /* least recently used first            */
    UT_hash_handle     hh;          /* by id                                */
};

typedef struct message_cache_s  message_cache_t;

message_cache_t *message_cache_new(size_t max_members);
void message_cache_free(message_cache_t **cache);
size_t message_cache_count(const message_cache_t *cache);

/* The chat, a new place holder when it is not known (*missing_r). */
message_chat_t *message_cache_get(message_cache_t *cache,
    const uint8_t id[16], int *missing_r);
/* For store_chat_load(): arg is the cache. */
void message_cache_row(void *arg, const store_chat_row_t *row);
void message_cache_drop(message_cache_t *cache, message_chat_t *chat);
void message_cache_drop_shard(message_cache_t *cache, unsigned shard);
void message_cache_trim(message_cache_t *cache);

/* NULL when never a member. */
message_member_t *message_chat_member(const message_chat_t *chat,
    uint64_t user);
int message_member_sees(const message_member_t *member, uint64_t seq);
/* The last seq this member may see. */
uint64_t message_member_last(const message_chat_t *chat,
    const message_member_t *member);

/* What the statements changed, here too. */
message_member_t *message_chat_join(message_cache_t *cache,
    message_chat_t *chat, uint64_t user, uint8_t role, uint64_t seq);
void message_chat_leave(message_chat_t *chat, message_member_t *member,
    uint64_t seq);
void message_chat_set_title(message_chat_t *chat, const chat_str_t *title);

#endif
