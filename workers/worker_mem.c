/*
 * worker_mem.c: allocators that abort when out of memory.
 *
 * Called from everywhere in workers/. The pool restarts a worker that has run
 * out of memory; another worker processes its unacknowledged events.
 */

#include <stdlib.h>
#include <string.h>

#include "worker.h"


void *
worker_calloc(size_t n, size_t size)
{
    void  *p;

    p = calloc(n ? n : 1, size ? size : 1);
    if (p == NULL) {
        worker_die("out of memory: %zu * %zu bytes", n, size);
    }

    return p;
}


void *
worker_realloc(void *p, size_t size)
{
    p = realloc(p, size ? size : 1);
    if (p == NULL) {
        worker_die("out of memory: %zu bytes", size);
    }

    return p;
}


char *
worker_strdup(const char *s)
{
    char  *p;

    p = strdup(s);
    if (p == NULL) {
        worker_die("out of memory: %zu bytes", strlen(s) + 1);
    }

    return p;
}
