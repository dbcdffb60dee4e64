/*
 * message_chat.c: the cache of chats with their members, see message_chat.h.
 *
 * Called from message_prepare.c, on_*.c and message_*.c; memory only.
 */

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "chat_id.h"
#include "message_chat.h"
#include "worker.h"

struct message_cache_s {
    message_chat_t  *chats;         /* hash by id                           */
    message_chat_t  *oldest;        /* list, least recently used first      */
    size_t           n;
    size_t           members;       /* of all chats                         */
    size_t           max_members;
};

static void message_chat_add(message_cache_t *cache, message_chat_t *chat,
    const store_chat_row_t *row);
static void message_member_hide(message_member_t *member, uint64_t from,
    uint64_t to);


message_cache_t *
message_cache_new(size_t max_members)
{
    message_cache_t  *cache;

    cache = worker_calloc(1, sizeof(*cache));
    cache->max_members = max_members;

    return cache;
}


void
message_cache_free(message_cache_t **cache)
{
    if (*cache == NULL) {
        return;
    }

    while ((*cache)->oldest != NULL) {
        message_cache_drop(*cache, (*cache)->oldest);
    }

    free(*cache);
    *cache = NULL;
}


size_t
message_cache_count(const message_cache_t *cache)
{
    return cache->n;
}


message_chat_t *
message_cache_get(message_cache_t *cache, const uint8_t id[16],
    int *missing_r)
{
    message_chat_t  *chat;

    HASH_FIND(hh, cache->chats, id, 16, chat);

    if (chat != NULL) {
        /* now the most recently used */
        DL_DELETE(cache->oldest, chat);
        DL_APPEND(cache->oldest, chat);

        *missing_r = 0;
        return chat;
    }

    chat = worker_calloc(1, sizeof(*chat));
    memcpy(chat->id, id, 16);

    HASH_ADD(hh, cache->chats, id, 16, chat);
    DL_APPEND(cache->oldest, chat);
    cache->n++;

    *missing_r = 1;

    return chat;
}


void
message_cache_row(void *arg, const store_chat_row_t *row)
{
    message_chat_t   *chat;
    message_cache_t  *cache;

    cache = arg;

    HASH_FIND(hh, cache->chats, row->chat, 16, chat);

    if (chat == NULL) {
        return;
    }

    if (!chat->exists) {
        chat->exists = 1;
        chat->type = row->type;
        chat->last_seq = row->last_seq;
        chat->last_at = row->last_at;
        chat->members_version = row->members_version;
        chat->created_by = row->created_by;
        chat->created_at = row->created_at;
        message_chat_set_title(chat, &row->title);
    }

    if (row->user != 0) {
        message_chat_add(cache, chat, row);
    }
}


void
message_cache_drop(message_cache_t *cache, message_chat_t *chat)
{
    size_t  i;

    HASH_DELETE(hh, cache->chats, chat);
    DL_DELETE(cache->oldest, chat);
    cache->n--;
    cache->members -= chat->n;

    for (i = 0; i < chat->n; i++) {
        free(chat->members[i].hidden);
    }

    free(chat->members);
    free(chat->title);
    free(chat);
}


void
message_cache_drop_shard(message_cache_t *cache, unsigned shard)
{
    message_chat_t  *chat, *next;

    DL_FOREACH_SAFE(cache->oldest, chat, next) {
        if (chat_id_shard(chat->id) == shard) {
            message_cache_drop(cache, chat);
        }
    }
}


void
message_cache_trim(message_cache_t *cache)
{
    /* a chat takes about as much memory as eight members */
    while (cache->oldest != NULL
           && cache->members + 8 * cache->n > cache->max_members)
    {
        message_cache_drop(cache, cache->oldest);
    }
}


message_member_t *
message_chat_member(const message_chat_t *chat, uint64_t user)
{
    size_t             low, high, mid;
    message_member_t  *m;

    low = 0;
    high = chat->n;

    while (low < high) {
        mid = low + (high - low) / 2;
        m = &chat->members[mid];

        if (m->user == user) {
            return m;
        }

        if (m->user < user) {
            low = mid + 1;

        } else {
            high = mid;
        }
    }

    return NULL;
}


int
message_member_sees(const message_member_t *member, uint64_t seq)
{
    size_t  i;

    if (seq < member->joined || (member->left != 0 && seq > member->left)) {
        return 0;
    }

    for (i = 0; i < member->nhidden; i++) {
        if (seq >= member->hidden[i].from && seq <= member->hidden[i].to) {
            return 0;
        }
    }

    return 1;
}


uint64_t
message_member_last(const message_chat_t *chat, const message_member_t *member)
{
    return member->left != 0 ? member->left : chat->last_seq;
}


message_member_t *
message_chat_join(message_cache_t *cache, message_chat_t *chat, uint64_t user,
    uint8_t role, uint64_t seq)
{
    message_member_t  *member;
    store_chat_row_t   row;

    member = message_chat_member(chat, user);

    if (member == NULL) {
        memset(&row, 0, sizeof(row));
        row.user = user;
        row.role = role;
        row.joined = seq;

        message_chat_add(cache, chat, &row);

        return message_chat_member(chat, user);
    }

    if (member->left + 1 < seq) {
        message_member_hide(member, member->left + 1, seq - 1);
    }

    member->left = 0;
    member->role = role;
    chat->active++;

    return member;
}


void
message_chat_leave(message_chat_t *chat, message_member_t *member,
    uint64_t seq)
{
    member->left = seq;
    chat->active--;
}


void
message_chat_set_title(message_chat_t *chat, const chat_str_t *title)
{
    free(chat->title);
    chat->title = NULL;

    if (title->data != NULL) {
        chat->title = worker_calloc(1, title->len + 1);
        memcpy(chat->title, title->data, title->len);
    }
}


/* Rows are ordered by user, so a row is added at the end; only a user who
 * joins later is inserted before others. */

static void
message_chat_add(message_cache_t *cache, message_chat_t *chat,
    const store_chat_row_t *row)
{
    size_t             i;
    message_member_t  *m;

    if ((chat->n & (chat->n - 1)) == 0) {
        chat->members = worker_realloc(chat->members,
                                       (chat->n ? 2 * chat->n : 1)
                                       * sizeof(*chat->members));
    }

    for (i = chat->n; i > 0 && chat->members[i - 1].user > row->user; i--) {
        chat->members[i] = chat->members[i - 1];
    }

    m = &chat->members[i];
    memset(m, 0, sizeof(*m));

    m->user = row->user;
    m->role = row->role;
    m->joined = row->joined;
    m->left = row->left;
    m->delivered = row->delivered;
    m->read = row->read;

    for (i = 0; i < row->nhidden; i++) {
        message_member_hide(m, row->hidden[i].from, row->hidden[i].to);
    }

    chat->n++;
    cache->members++;

    if (m->left == 0) {
        chat->active++;
    }
}


static void
message_member_hide(message_member_t *member, uint64_t from, uint64_t to)
{
    member->hidden = worker_realloc(member->hidden,
                                    (member->nhidden + 1u)
                                    * sizeof(*member->hidden));

    member->hidden[member->nhidden].from = from;
    member->hidden[member->nhidden].to = to;
    member->nhidden++;
}
