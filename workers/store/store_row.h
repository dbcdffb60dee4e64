/*
 * store_row.h: one value of a binary result, and of a parameter.
 *
 * Called from the store_* files that ask store_pg_exec() for a binary result.
 * A null reads as 0, or as an absent string; who must tell the difference asks
 * PQgetisnull(). A value of another width than the reader expects is our own
 * mistake and ends the process.
 */

#ifndef STORE_ROW_H
#define STORE_ROW_H

#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "chat_event.h"

/* type oids, for store_stmt_t.types */
#define STORE_BOOL         16
#define STORE_BYTEA        17
#define STORE_INT8         20
#define STORE_INT2         21
#define STORE_INT4         23
#define STORE_TEXT         25
#define STORE_UUID         2950
#define STORE_TIMESTAMPTZ  1184

/* 2000-01-01, from where the server counts, in us since 1970 */
#define STORE_EPOCH_US  INT64_C(946684800000000)
#define STORE_INT8_ARRAY   1016
#define STORE_TEXT_ARRAY   1009
#define STORE_UUID_ARRAY   2951

int64_t store_row_i64(const PGresult *res, int row, int col);
int32_t store_row_i32(const PGresult *res, int row, int col);
int16_t store_row_i16(const PGresult *res, int row, int col);
int store_row_bool(const PGresult *res, int row, int col);

/* timestamptz as ms since 1970, 0 for null. */
int64_t store_row_ms(const PGresult *res, int row, int col);

/* text, bytea: borrowed from the result; data is NULL when it is null. */
chat_str_t store_row_str(const PGresult *res, int row, int col);

/* 16 bytes, zeroes for null. */
void store_row_uuid(const PGresult *res, int row, int col, uint8_t id_r[16]);

/* A binary parameter: big-endian; returns the end. */
char *store_put_i64(char *dst, int64_t n);

#endif
