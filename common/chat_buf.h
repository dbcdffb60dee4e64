/*
 * chat_buf.h: a growable byte buffer, for workers and tools.
 *
 * Memory comes from malloc(); the edge, which has pools, does not use it.
 * After a failed append `failed` stays set and every later append fails too,
 * so a writer may check once at the end.
 */

#ifndef CHAT_BUF_H
#define CHAT_BUF_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t  *data;     /* NULL until the first append */
    size_t    len;
    size_t    cap;
    int       failed;   /* an allocation failed */
} chat_buf_t;

#define CHAT_BUF_INIT  { NULL, 0, 0, 0 }

/* Ensures space for n more bytes and returns data + len, or NULL when out of
 * memory. The caller writes there and then increases len. */
uint8_t *chat_buf_reserve(chat_buf_t *buf, size_t n);
/* Appends n bytes. 0, or -1 when out of memory. */
int chat_buf_add(chat_buf_t *buf, const void *data, size_t n);
void chat_buf_reset(chat_buf_t *buf);   /* len = 0, failed = 0, memory kept */
void chat_buf_free(chat_buf_t *buf);

#endif
