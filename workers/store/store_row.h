/*
 * store_row.h: one value of a binary result.
 *
 * Called from the store_* files. A null reads as 0, or as an absent string;
 * PQgetisnull() tells the difference. A value of another width than expected is
 * a bug and ends the process.
 */

#ifndef STORE_ROW_H
#define STORE_ROW_H

#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "chat_event.h"
#include "store_args.h"

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

#endif
