/*
 * store_args.c: see store_args.h.
 *
 * Called from the store_* files and store_pg.c; pure but for worker_die(). The
 * binary form of an array: number of dimensions, whether there are nulls,
 * element type, then length and lower bound of each dimension, then the
 * elements, each behind its length; all numbers are big-endian. An empty array
 * has no dimensions.
 */

#include <string.h>

#include "store_args.h"
#include "worker.h"

#define STORE_ARRAY_HEAD   20
#define STORE_ARRAY_EMPTY  12

static uint8_t *store_args_room(store_args_t *a, size_t n);
static void store_args_next(store_args_t *a, unsigned oid, int array);
static unsigned store_args_array_type(unsigned oid);
static void store_args_copy(store_args_t *a, const void *data, size_t n);
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

    store_args_next(a, oid, 1);

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
    store_args_next(a, STORE_INT8, 0);
    (void) store_args_be(store_args_room(a, 8), n, 8);
}


void
store_args_scalar_i32(store_args_t *a, uint32_t n)
{
    store_args_next(a, STORE_INT4, 0);
    (void) store_args_be(store_args_room(a, 4), n, 4);
}


void
store_args_scalar_i16(store_args_t *a, uint16_t n)
{
    store_args_next(a, STORE_INT2, 0);
    (void) store_args_be(store_args_room(a, 2), n, 2);
}


void
store_args_scalar_bool(store_args_t *a, int yes)
{
    store_args_next(a, STORE_BOOL, 0);
    *store_args_room(a, 1) = yes ? 1 : 0;
}


void
store_args_scalar_us(store_args_t *a, int64_t us)
{
    store_args_next(a, STORE_TIMESTAMPTZ, 0);
    (void) store_args_be(store_args_room(a, 8), (uint64_t) us, 8);
}


void
store_args_scalar_uuid(store_args_t *a, const uint8_t id[16])
{
    store_args_next(a, STORE_UUID, 0);
    memcpy(store_args_room(a, 16), id, 16);
}


void
store_args_scalar_bytes(store_args_t *a, const void *data, size_t n)
{
    store_args_next(a, STORE_BYTEA, 0);
    store_args_copy(a, data, n);
}


void
store_args_scalar_str(store_args_t *a, const chat_str_t *s)
{
    if (s->data == NULL) {
        store_args_scalar_null(a, STORE_TEXT);
        return;
    }

    store_args_next(a, STORE_TEXT, 0);
    store_args_copy(a, s->data, s->len);
}


void
store_args_scalar_text(store_args_t *a, const char *text)
{
    chat_str_t  s;

    s.data = text;
    s.len = text ? strlen(text) : 0;

    store_args_scalar_str(a, &s);
}


void
store_args_scalar_null(store_args_t *a, unsigned oid)
{
    store_args_next(a, oid, 0);
    a->nulls[a->n - 1] = 1;
}


void
store_args_finish(store_args_t *a, const char **values_r, int *lengths_r,
    int *formats_r)
{
    int  i;

    for (i = 0; i < a->n; i++) {
        formats_r[i] = 1;

        if (!a->array[i] && a->nulls[i]) {
            values_r[i] = NULL;
            lengths_r[i] = 0;
            continue;
        }

        if (a->array[i]) {
            store_args_close(a, i);
        }

        values_r[i] = (const char *) a->buf[i].data;
        lengths_r[i] = (int) a->buf[i].len;
    }
}


/* The value of a scalar; one byte more than needed is reserved, so that an
 * empty value has an address: NULL would be null. */

static void
store_args_copy(store_args_t *a, const void *data, size_t n)
{
    uint8_t  *p;

    p = store_args_room(a, n + 1);
    a->buf[a->n - 1].len--;

    if (n != 0) {
        memcpy(p, data, n);
    }
}


/* Reserves n bytes at the end of the current parameter; its length already
 * includes them. */

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
store_args_next(store_args_t *a, unsigned oid, int array)
{
    if (a->n == STORE_ARGS_MAX) {
        worker_die("too many parameters");
    }

    chat_buf_reset(&a->buf[a->n]);
    a->types[a->n] = array ? store_args_array_type(oid) : oid;
    a->array[a->n] = (uint8_t) array;
    a->nulls[a->n] = 0;
    a->count[a->n] = 0;
    a->n++;
}


static unsigned
store_args_array_type(unsigned oid)
{
    size_t  i;

    static const unsigned  types[][2] = {
        { STORE_INT8, 1016 }, { STORE_INT4, 1007 }, { STORE_INT2, 1005 },
        { STORE_UUID, 2951 }, { STORE_TEXT, 1009 },
        { STORE_TIMESTAMPTZ, 1185 }
    };

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (types[i][0] == oid) {
            return types[i][1];
        }
    }

    worker_die("no array of type %u", oid);
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
