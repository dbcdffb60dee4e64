/*
 * store_row.c: see store_row.h.
 *
 * Called from the store_* files; pure except for worker_die().
 */

#include <string.h>

#include "store_row.h"
#include "worker.h"


static uint64_t store_row_read(const PGresult *res, int row, int col,
    int size);


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
