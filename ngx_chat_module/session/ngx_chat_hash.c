/*
 * ngx_chat_hash.c: an intrusive hash table with 64-bit keys.
 *
 * Called from: session, rest, follow, leave. Hands to: nothing. An item
 * contains its key and its link; `id` and `next` are their offsets in the item.
 * The table never owns items. It grows by doubling and never shrinks. Several
 * items may have the same key.
 */

#include "ngx_chat_session.h"


#define key_of(item, id)     (*(uint64_t *) ((u_char *) (item) + (id)))
#define next_of(item, next)  (*(void **) ((u_char *) (item) + (next)))


/* Keys are often consecutive: Fibonacci hashing spreads them. */
static ngx_inline ngx_uint_t
ngx_chat_hash_slot(ngx_chat_hash_t *h, uint64_t key)
{
    return ((key * 0x9e3779b97f4a7c15ull) >> 32) & h->mask;
}


static ngx_int_t
ngx_chat_hash_grow(ngx_chat_hash_t *h, size_t id, size_t next)
{
    void             *item, *following;
    ngx_uint_t        i, size, slot;
    ngx_chat_hash_t   bigger;

    size = h->buckets ? (h->mask + 1) * 2 : 64;

    bigger.buckets = ngx_chat_alloc(size * sizeof(void *));
    if (bigger.buckets == NULL) {
        return NGX_ERROR;
    }

    bigger.mask = size - 1;
    bigger.n = h->n;

    if (h->buckets != NULL) {

        for (i = 0; i <= h->mask; i++) {
            for (item = h->buckets[i]; item; item = following) {
                following = next_of(item, next);
                slot = ngx_chat_hash_slot(&bigger, key_of(item, id));
                next_of(item, next) = bigger.buckets[slot];
                bigger.buckets[slot] = item;
            }
        }

        ngx_free(h->buckets);
    }

    *h = bigger;

    return NGX_OK;
}


/* Adds an item that is not in the table. NGX_ERROR out of memory. */

ngx_int_t
ngx_chat_hash_add(ngx_chat_hash_t *h, void *item, size_t id, size_t next)
{
    ngx_uint_t  slot;

    if ((h->buckets == NULL || h->n > h->mask)
        && ngx_chat_hash_grow(h, id, next) != NGX_OK)
    {
        return NGX_ERROR;
    }

    slot = ngx_chat_hash_slot(h, key_of(item, id));
    next_of(item, next) = h->buckets[slot];
    h->buckets[slot] = item;
    h->n++;

    return NGX_OK;
}


/* The first item with this key, or NULL. Others with the same key, if any, are
 * behind it in the chain of `next`, mixed with items of other keys. */

void *
ngx_chat_hash_find(ngx_chat_hash_t *h, uint64_t key, size_t id, size_t next)
{
    void  *item;

    if (h->buckets == NULL) {
        return NULL;
    }

    item = h->buckets[ngx_chat_hash_slot(h, key)];

    while (item != NULL && key_of(item, id) != key) {
        item = next_of(item, next);
    }

    return item;
}


/* Removes this item; does nothing when the table does not contain it. */

void
ngx_chat_hash_remove(ngx_chat_hash_t *h, void *item, size_t id, size_t next)
{
    void  **link;

    if (h->buckets == NULL) {
        return;
    }

    link = &h->buckets[ngx_chat_hash_slot(h, key_of(item, id))];

    while (*link != NULL) {

        if (*link == item) {
            *link = next_of(item, next);
            h->n--;
            return;
        }

        link = (void **) ((u_char *) *link + next);
    }
}
