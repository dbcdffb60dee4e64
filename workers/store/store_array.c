/*
 * store_array.c: see store_array.h.
 *
 * Called from store_chat*.c; hands to store_pg.c. The server's form of an
 * array: dimensions, whether it has nulls, type, then for each dimension its
 * length and lower bound, then the elements with their lengths; all
 * big-endian. An empty array has no dimensions.
 */

#include <string.h>

#include "store_array.h"
#include "store_row.h"
#include "worker.h"

#define STORE_ARRAY_HEAD   20
#define STORE_ARRAY_EMPTY  12

static uint8_t *store_args_room(store_args_t *a, size_t n);
static void store_args_next(store_args_t *a, int array);
static void store_args_element(store_args_t *a, const void *data, size_t n);
static void store_args_close(store_args_t *a, int i);
static uint8_t *store_args_be(uint8_t *dst, uint64_t n, int size);


void
store_args_begin(store_args_t *a)
{
    a->n = 0;
}


void
store_args_free(store_args_t *a)
{
    int  i;

    for (i = 0; i < STORE_ARGS_MAX; i++) {
        chat_buf_free(&a->buf[i]);
    }
}


void
store_args_array(store_args_t *a, unsigned oid)
{
    uint8_t  *p;

    store_args_next(a, 1);

    p = store_args_room(a, STORE_ARRAY_HEAD);
    memset(p, 0, STORE_ARRAY_HEAD);
    (void) store_args_be(p + 8, oid, 4);
}


void
store_args_i64(store_args_t *a, uint64_t n)
{
    uint8_t  be[8];

    (void) store_args_be(be, n, 8);
    store_args_element(a, be, 8);
}


void
store_args_i32(store_args_t *a, uint32_t n)
{
    uint8_t  be[4];

    (void) store_args_be(be, n, 4);
    store_args_element(a, be, 4);
}


void
store_args_ms(store_args_t *a, int64_t ms)
{
    store_args_i64(a, (uint64_t) (ms * 1000 - STORE_EPOCH_US));
}


void
store_args_i16(store_args_t *a, uint16_t n)
{
    uint8_t  be[2];

    (void) store_args_be(be, n, 2);
    store_args_element(a, be, 2);
}


void
store_args_uuid(store_args_t *a, const uint8_t id[16])
{
    store_args_element(a, id, 16);
}


void
store_args_str(store_args_t *a, const chat_str_t *s)
{
    if (s->data == NULL) {
        store_args_null(a);
        return;
    }

    store_args_element(a, s->data, s->len);
}


void
store_args_null(store_args_t *a)
{
    (void) store_args_be(store_args_room(a, 4), UINT32_MAX, 4);
    a->count[a->n - 1]++;
    a->nulls[a->n - 1] = 1;
}


void
store_args_i64_or_null(store_args_t *a, uint64_t n)
{
    if (n == 0) {
        store_args_null(a);
        return;
    }

    store_args_i64(a, n);
}


void
store_args_i16_or_null(store_args_t *a, uint16_t n)
{
    if (n == 0) {
        store_args_null(a);
        return;
    }

    store_args_i16(a, n);
}


void
store_args_scalar_i64(store_args_t *a, uint64_t n)
{
    store_args_next(a, 0);
    (void) store_args_be(store_args_room(a, 8), n, 8);
}


void
store_args_scalar_i64_or_null(store_args_t *a, uint64_t n)
{
    store_args_scalar_i64(a, n);
    a->nulls[a->n - 1] = n == 0;
}


void
store_args_scalar_i16_or_null(store_args_t *a, uint16_t n)
{
    store_args_scalar_i16(a, n);
    a->nulls[a->n - 1] = n == 0;
}


void
store_args_scalar_i32(store_args_t *a, uint32_t n)
{
    store_args_next(a, 0);
    (void) store_args_be(store_args_room(a, 4), n, 4);
}


void
store_args_scalar_i16(store_args_t *a, uint16_t n)
{
    store_args_next(a, 0);
    (void) store_args_be(store_args_room(a, 2), n, 2);
}


void
store_args_scalar_uuid(store_args_t *a, const uint8_t id[16])
{
    store_args_next(a, 0);
    memcpy(store_args_room(a, 16), id, 16);
}


void
store_args_scalar_str(store_args_t *a, const chat_str_t *s)
{
    store_args_next(a, 0);

    if (s->data == NULL) {
        a->nulls[a->n - 1] = 1;
        return;
    }

    /* one more, so that an empty string has an address */
    memcpy(store_args_room(a, s->len + 1), s->data, s->len);
    a->buf[a->n - 1].len--;
}


store_e
store_args_exec(store_args_t *a, store_pg_t *pg, const store_stmt_t *stmt,
    PGresult **res_r)
{
    int          i;
    int          lengths[STORE_ARGS_MAX], formats[STORE_ARGS_MAX];
    const char  *values[STORE_ARGS_MAX];

    if (stmt->nparams != a->n) {
        worker_die("statement %s: %d parameters", stmt->name, a->n);
    }

    for (i = 0; i < a->n; i++) {

        if (a->array[i]) {
            store_args_close(a, i);

        } else if (a->nulls[i]) {
            values[i] = NULL;
            lengths[i] = 0;
            formats[i] = 1;
            continue;
        }

        values[i] = (const char *) a->buf[i].data;
        lengths[i] = (int) a->buf[i].len;
        formats[i] = 1;
    }

    return store_pg_exec(pg, stmt, values, lengths, formats, 1, res_r);
}


/* n bytes at the end of the current parameter, already counted */

static uint8_t *
store_args_room(store_args_t *a, size_t n)
{
    uint8_t     *p;
    chat_buf_t  *buf;

    buf = &a->buf[a->n - 1];

    p = chat_buf_reserve(buf, n);
    if (p == NULL) {
        worker_die("out of memory");
    }

    buf->len += n;

    return p;
}


static void
store_args_next(store_args_t *a, int array)
{
    if (a->n == STORE_ARGS_MAX) {
        worker_die("too many parameters");
    }

    chat_buf_reset(&a->buf[a->n]);
    a->array[a->n] = (uint8_t) array;
    a->nulls[a->n] = 0;
    a->count[a->n] = 0;
    a->n++;
}


static void
store_args_element(store_args_t *a, const void *data, size_t n)
{
    uint8_t  *p;

    p = store_args_room(a, 4 + n);
    p = store_args_be(p, n, 4);

    if (n != 0) {
        memcpy(p, data, n);
    }

    a->count[a->n - 1]++;
}


static void
store_args_close(store_args_t *a, int i)
{
    uint8_t  *p;

    if (a->count[i] == 0) {
        a->buf[i].len = STORE_ARRAY_EMPTY;
        return;
    }

    p = a->buf[i].data;

    (void) store_args_be(p, 1, 4);
    (void) store_args_be(p + 4, a->nulls[i], 4);
    (void) store_args_be(p + 12, a->count[i], 4);
    (void) store_args_be(p + 16, 1, 4);
}


static uint8_t *
store_args_be(uint8_t *dst, uint64_t n, int size)
{
    int  i;

    for (i = size - 1; i >= 0; i--) {
        dst[i] = (uint8_t) n;
        n >>= 8;
    }

    return dst + size;
}
