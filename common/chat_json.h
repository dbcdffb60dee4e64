/*
 * chat_json.h: the few JSON writers the main path needs (RFC 8259).
 *
 * Everything off the main path uses jansson.
 */

#ifndef CHAT_JSON_H
#define CHAT_JSON_H

#include "chat_buf.h"

#define CHAT_TIME_TEXT  24      /* 2026-01-02T03:04:05.678Z */

/* Worst case of a string of len bytes between quotes, quotes included. */
#define chat_json_string_max(len)  ((len) * 6 + 2)

/* Writes the bytes, valid UTF-8, as a JSON string with its quotes; returns
 * the end. dst holds chat_json_string_max(len). */
uint8_t *chat_json_string(uint8_t *dst, const char *src, size_t len);

int chat_json_add_string(chat_buf_t *buf, const char *src, size_t len);

/* RFC 3339, milliseconds, UTC: CHAT_TIME_TEXT characters; returns the end. */
uint8_t *chat_json_time(uint8_t *dst, int64_t ms);

/* Decimal digits (at most 20); returns the end. */
uint8_t *chat_json_u64(uint8_t *dst, uint64_t n);

/* problem+json (RFC 9457): type, title, status, detail, code and, when
 * retry_after > 0, retryAfter. 0, or -1 out of memory. */
int chat_json_problem(chat_buf_t *buf, int error, const char *detail,
    unsigned retry_after);

#endif
