/*
 * ngx_chat_table.c: a session's chat cursors.
 *
 * Called from: deliver, sync, duplicate, receipt. A dense array in order of
 * arrival, with an index above eight cursors: most sessions have a handful of
 * chats. The array is in a pool of its own, which is replaced when it grows, so
 * an empty table costs nothing.
 */

#include "ngx_chat_delivery.h"


#define NGX_CHAT_TABLE_LINEAR  8


static ngx_inline ngx_uint_t
ngx_chat_table_slot(ngx_chat_table_t *t, const u_char *chat)
{
    uint64_t  low;

    /* the random half of the id, but not the shard's six bits alone */
    ngx_memcpy(&low, chat + 8, sizeof(low));

    return (low * 0x9e3779b97f4a7c15ull >> 32) & t->mask;
}


ngx_chat_cursor_t *
ngx_chat_table_find(ngx_chat_table_t *t, const u_char *chat)
{
    ngx_uint_t  i;

    if (t->index == NULL) {
        for (i = 0; i < t->n; i++) {
            if (ngx_memcmp(t->cursors[i].chat, chat, 16) == 0) {
                return &t->cursors[i];
            }
        }

        return NULL;
    }

    for (i = ngx_chat_table_slot(t, chat);
         t->index[i] != 0;
         i = (i + 1) & t->mask)
    {
        if (ngx_memcmp(t->cursors[t->index[i] - 1].chat, chat, 16) == 0) {
            return &t->cursors[t->index[i] - 1];
        }
    }

    return NULL;
}


static void
ngx_chat_table_index(ngx_chat_table_t *t, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = ngx_chat_table_slot(t, t->cursors[n].chat);
         t->index[i] != 0;
         i = (i + 1) & t->mask)
    {
        /* void */
    }

    t->index[i] = n + 1;
}


static ngx_int_t
ngx_chat_table_grow(ngx_chat_table_t *t, ngx_log_t *log)
{
    size_t            size;
    ngx_uint_t        i;
    ngx_chat_table_t  bigger;

    ngx_memzero(&bigger, sizeof(ngx_chat_table_t));

    bigger.cap = t->cap ? t->cap * 2 : 2;
    size = bigger.cap * sizeof(ngx_chat_cursor_t);

    bigger.pool = ngx_create_pool(size + sizeof(ngx_pool_t), log);
    if (bigger.pool == NULL) {
        return NGX_ERROR;
    }

    bigger.cursors = ngx_palloc(bigger.pool, size);

    if (bigger.cap > NGX_CHAT_TABLE_LINEAR) {
        bigger.mask = bigger.cap * 2 - 1;
        bigger.index = ngx_pcalloc(bigger.pool,
                                   (bigger.mask + 1) * sizeof(uint32_t));
    }

    if (bigger.cursors == NULL
        || (bigger.cap > NGX_CHAT_TABLE_LINEAR && bigger.index == NULL))
    {
        ngx_destroy_pool(bigger.pool);
        return NGX_ERROR;
    }

    bigger.n = t->n;

    if (t->n) {
        ngx_memcpy(bigger.cursors, t->cursors,
                   t->n * sizeof(ngx_chat_cursor_t));
    }

    if (bigger.index != NULL) {
        for (i = 0; i < bigger.n; i++) {
            ngx_chat_table_index(&bigger, i);
        }
    }

    ngx_chat_table_free(t);
    *t = bigger;

    return NGX_OK;
}


/* A new, zeroed cursor for a chat that has none. Pointers to other cursors are
 * invalid afterwards. NULL out of memory or when the table is full. */

ngx_chat_cursor_t *
ngx_chat_table_add(ngx_chat_table_t *t, ngx_log_t *log, const u_char *chat)
{
    ngx_chat_cursor_t  *k;

    if (t->n == t->cap
        && (t->n >= NGX_CHAT_TABLE_MAX
            || ngx_chat_table_grow(t, log) != NGX_OK))
    {
        return NULL;
    }

    k = &t->cursors[t->n];
    ngx_memzero(k, sizeof(ngx_chat_cursor_t));
    ngx_memcpy(k->chat, chat, 16);

    if (t->index != NULL) {
        ngx_chat_table_index(t, t->n);
    }

    t->n++;

    return k;
}


/* Evicts cursors of chats with nothing to fetch and no receipt to flush: their
 * next entry starts a new cursor. Needed only by a session with thousands of
 * chats. */

void
ngx_chat_table_compact(ngx_chat_table_t *t)
{
    ngx_uint_t         i, n;
    ngx_chat_cursor_t  *k;

    for (i = 0, n = 0; i < t->n; i++) {
        k = &t->cursors[i];

        if (k->target > k->last
            || (k->flags & (NGX_CHAT_RECEIPT | NGX_CHAT_UNVALIDATED)))
        {
            t->cursors[n++] = *k;
        }
    }

    t->n = n;

    if (t->index != NULL) {
        ngx_memzero(t->index, (t->mask + 1) * sizeof(uint32_t));

        for (i = 0; i < n; i++) {
            ngx_chat_table_index(t, i);
        }
    }
}


void
ngx_chat_table_free(ngx_chat_table_t *t)
{
    if (t->pool != NULL) {
        ngx_destroy_pool(t->pool);
    }

    ngx_memzero(t, sizeof(ngx_chat_table_t));
}
