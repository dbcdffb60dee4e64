/*
 * ngx_pool_asan.h: lets AddressSanitizer see inside nginx's pools.
 *
 * Put before every file of ngx_chat_module/ by `make asan` (-include). A pool
 * hands out pieces of one big block, so a write past a piece goes unnoticed.
 * Here each piece of ours is an allocation of its own, still freed with the
 * pool. nginx itself comes from its package: what it allocates is untouched.
 */

#ifndef NGX_POOL_ASAN_H
#define NGX_POOL_ASAN_H

#include <ngx_config.h>
#include <ngx_core.h>

static ngx_inline void *
ngx_pool_asan_calloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_pmemalign(pool, size, NGX_ALIGNMENT);
    if (p != NULL) {
        ngx_memzero(p, size);
    }

    return p;
}

#define ngx_palloc(pool, size)   ngx_pmemalign(pool, size, NGX_ALIGNMENT)
#define ngx_pnalloc(pool, size)  ngx_pmemalign(pool, size, NGX_ALIGNMENT)
#define ngx_pcalloc(pool, size)  ngx_pool_asan_calloc(pool, size)

#endif
