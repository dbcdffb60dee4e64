/*
 * store_row.c: see store_row.h.
 *
 * Called from the store_* files; pure but for worker_die().
 */

#include <string.h>

#include "store_row.h"
#include "worker.h"

/* µs between 1970, from which we count, and 2000, from which PostgreSQL does */
#define STORE_EPOCH_US  INT64_C(946684800000000)

static uint64_t store_row_read(const PGresult *res, int row, int col,
    int size);
static char *store_put_i32(char *dst, uint32_t n);


int64_t
store_row_i64(const PGresult *res, int row, int col)
{
    return (int64_t) store_row_read(res, row, col, 8);
}


int32_t
store_row_i32(const PGresult *res, int row, int col)
{
    return (int32_t) store_row_read(res, row, col, 4);
}


int16_t
store_row_i16(const PGresult *res, int row, int col)
{
    return (int16_t) store_row_read(res, row, col, 2);
}


int
store_row_bool(const PGresult *res, int row, int col)
{
    return store_row_read(res, row, col, 1) != 0;
}


int64_t
store_row_ms(const PGresult *res, int row, int col)
{
    if (PQgetisnull(res, row, col)) {
        return 0;
    }

    return (store_row_i64(res, row, col) + STORE_EPOCH_US) / 1000;
}


chat_str_t
store_row_str(const PGresult *res, int row, int col)
{
    chat_str_t  str = { NULL, 0 };

    if (!PQgetisnull(res, row, col)) {
        str.data = PQgetvalue(res, row, col);
        str.len = (size_t) PQgetlength(res, row, col);
    }

    return str;
}


void
store_row_uuid(const PGresult *res, int row, int col, uint8_t id_r[16])
{
    if (PQgetisnull(res, row, col)) {
        memset(id_r, 0, 16);
        return;
    }

    if (PQgetlength(res, row, col) != 16) {
        worker_die("column %s is no uuid", PQfname(res, col));
    }

    memcpy(id_r, PQgetvalue(res, row, col), 16);
}


static uint64_t
store_row_read(const PGresult *res, int row, int col, int size)
{
    int             i;
    uint64_t        n;
    const uint8_t  *p;

    if (PQgetisnull(res, row, col)) {
        return 0;
    }

    if (PQfformat(res, col) != 1 || PQgetlength(res, row, col) != size) {
        worker_die("column %s is not a binary number of %d bytes",
                   PQfname(res, col), size);
    }

    p = (const uint8_t *) PQgetvalue(res, row, col);

    for (n = 0, i = 0; i < size; i++) {
        n = n << 8 | p[i];
    }

    return n;
}


char *
store_put_i64(char *dst, int64_t n)
{
    dst = store_put_i32(dst, (uint32_t) ((uint64_t) n >> 32));

    return store_put_i32(dst, (uint32_t) n);
}


static char *
store_put_i32(char *dst, uint32_t n)
{
    dst[0] = (char) (n >> 24);
    dst[1] = (char) (n >> 16);
    dst[2] = (char) (n >> 8);
    dst[3] = (char) n;

    return dst + 4;
}


void
store_put_array(chat_buf_t *buf, unsigned oid, const void *src, size_t n,
    size_t size, size_t stride)
{
    char     *p;
    size_t    i, need;

    need = 20 + n * (4 + size);

    p = (char *) chat_buf_room(buf, need);
    if (p == NULL) {
        return;
    }

    p = store_put_i32(p, n ? 1 : 0);            /* dimensions */
    p = store_put_i32(p, 0);                    /* no nulls */
    p = store_put_i32(p, oid);

    if (n == 0) {
        buf->len += 12;
        return;
    }

    p = store_put_i32(p, (uint32_t) n);
    p = store_put_i32(p, 1);                    /* lower bound */

    for (i = 0; i < n; i++) {
        p = store_put_i32(p, (uint32_t) size);
        memcpy(p, (const char *) src + i * stride, size);
        p += size;
    }

    buf->len += need;
}
