/*
 * store_args.h: binary parameters of one statement, arrays above all.
 *
 * Called from every store_* file that executes a statement; hands to
 * store_pg_query(), which sends them. A store_args_t belongs to a connection
 * (store_pg_args()): its memory grows to what the largest statement needed
 * and is reused by the next one.
 *
 *     a = store_pg_args(pg);
 *     store_args_array(a, STORE_INT8);
 *     for (...) store_args_i64(a, n);         elements of that array
 *     store_args_scalar_i64(a, worker);       the next parameter
 *     rc = store_pg_query(pg, &stmt, &res);
 *
 * The type of each parameter follows from the function that added it, so the
 * width of a value and the type of its parameter cannot disagree.
 */

#ifndef STORE_ARGS_H
#define STORE_ARGS_H

#include <stddef.h>
#include <stdint.h>

#include "chat_buf.h"
#include "chat_event.h"

#define STORE_ARGS_MAX  20

/* PostgreSQL's type oids */
#define STORE_BOOL         16
#define STORE_BYTEA        17
#define STORE_INT8         20
#define STORE_INT2         21
#define STORE_INT4         23
#define STORE_TEXT         25
#define STORE_UUID         2950
#define STORE_TIMESTAMPTZ  1184

/* 2000-01-01, from where PostgreSQL counts timestamps, in us since 1970 */
#define STORE_EPOCH_US  INT64_C(946684800000000)

typedef struct {
    chat_buf_t  buf[STORE_ARGS_MAX];    /* one per parameter                */
    unsigned    types[STORE_ARGS_MAX];  /* its oid                          */
    uint32_t    count[STORE_ARGS_MAX];  /* elements of an array             */
    uint8_t     array[STORE_ARGS_MAX];
    uint8_t     nulls[STORE_ARGS_MAX];  /* array: has nulls; scalar: is null */
    int         n;
} store_args_t;

void store_args_begin(store_args_t *a);
void store_args_free(store_args_t *a);

/* Opens an array of elements of the type `oid` as the next parameter; the
 * element functions below append to it. */
void store_args_array(store_args_t *a, unsigned oid);
void store_args_i64(store_args_t *a, uint64_t n);
void store_args_i32(store_args_t *a, uint32_t n);
void store_args_i16(store_args_t *a, uint16_t n);
void store_args_ms(store_args_t *a, int64_t ms);    /* timestamptz          */
void store_args_uuid(store_args_t *a, const uint8_t id[16]);
void store_args_str(store_args_t *a, const chat_str_t *s);  /* absent: null */
void store_args_null(store_args_t *a);

/* A number that is null when it is 0. */
void store_args_i64_or_null(store_args_t *a, uint64_t n);
void store_args_i16_or_null(store_args_t *a, uint16_t n);

/* The next parameter, a single value. */
void store_args_scalar_i64(store_args_t *a, uint64_t n);
void store_args_scalar_i32(store_args_t *a, uint32_t n);
void store_args_scalar_i16(store_args_t *a, uint16_t n);
void store_args_scalar_bool(store_args_t *a, int yes);
void store_args_scalar_uuid(store_args_t *a, const uint8_t id[16]);
void store_args_scalar_bytes(store_args_t *a, const void *data, size_t n);
void store_args_scalar_str(store_args_t *a, const chat_str_t *s);
void store_args_scalar_text(store_args_t *a, const char *text); /* or NULL  */
void store_args_scalar_null(store_args_t *a, unsigned oid);

/* A timestamptz as PostgreSQL counts it: us since STORE_EPOCH_US. */
void store_args_scalar_us(store_args_t *a, int64_t us);

/* Completes the parameters and points to them, in the form libpq takes: each
 * array is of at least STORE_ARGS_MAX elements. Borrowed until _begin(). */
void store_args_finish(store_args_t *a, const char **values_r,
    int *lengths_r, int *formats_r);

#endif
