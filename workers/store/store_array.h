/*
 * store_array.h: binary parameters of a statement, arrays above all.
 *
 * Called from the store_* files that hand many rows to one statement. A
 * store_args_t is kept for the life of its connection: its memory grows to
 * what the largest statement needed and is used again.
 *
 *     store_args_begin(&a);
 *     store_args_array(&a, STORE_INT8);
 *     for (...) store_args_i64(&a, n);        elements of that array
 *     store_args_scalar_i64(&a, worker);      the next parameter
 *     store_args_exec(&a, pg, &stmt, &res);
 */

#ifndef STORE_ARRAY_H
#define STORE_ARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "chat_buf.h"
#include "chat_event.h"
#include "store_pg.h"

#define STORE_ARGS_MAX  20

typedef struct {
    chat_buf_t  buf[STORE_ARGS_MAX];    /* one a parameter                  */
    uint32_t    count[STORE_ARGS_MAX];  /* elements of an array             */
    uint8_t     array[STORE_ARGS_MAX];
    uint8_t     nulls[STORE_ARGS_MAX];  /* has some; scalar: is null        */
    int         n;
} store_args_t;

void store_args_begin(store_args_t *a);
void store_args_free(store_args_t *a);

/* Opens an array of the type `oid` (store_row.h) as the next parameter; the
 * elements that follow are its own. */
void store_args_array(store_args_t *a, unsigned oid);
void store_args_i64(store_args_t *a, uint64_t n);
void store_args_i32(store_args_t *a, uint32_t n);
void store_args_ms(store_args_t *a, int64_t ms);    /* timestamptz */
void store_args_i16(store_args_t *a, uint16_t n);
void store_args_uuid(store_args_t *a, const uint8_t id[16]);
void store_args_str(store_args_t *a, const chat_str_t *s);  /* absent: null */
void store_args_null(store_args_t *a);

/* A number that is null when it is 0. */
void store_args_i64_or_null(store_args_t *a, uint64_t n);
void store_args_i16_or_null(store_args_t *a, uint16_t n);

/* The next parameter, a single value. */
void store_args_scalar_i64(store_args_t *a, uint64_t n);
void store_args_scalar_i64_or_null(store_args_t *a, uint64_t n);
void store_args_scalar_i16_or_null(store_args_t *a, uint16_t n);
void store_args_scalar_i32(store_args_t *a, uint32_t n);
void store_args_scalar_i16(store_args_t *a, uint16_t n);
void store_args_scalar_uuid(store_args_t *a, const uint8_t id[16]);
void store_args_scalar_str(store_args_t *a, const chat_str_t *s);

/* Writes the arrays' heads and executes the statement for a binary result. */
store_e store_args_exec(store_args_t *a, store_pg_t *pg,
    const store_stmt_t *stmt, PGresult **res_r);

#endif
