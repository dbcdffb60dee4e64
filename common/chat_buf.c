/*
 * chat_buf.c: a growable byte buffer.
 *
 * Called from chat_json.c, chat_entry.c, chat_batch.c and the workers; hands
 * to realloc(). Capacity doubles, so that appending a byte
 * has a constant amortized cost. It never shrinks by itself.
 */

#include <stdlib.h>
#include <string.h>

#include "chat_buf.h"

#define CHAT_BUF_MIN  256


uint8_t *
chat_buf_reserve(chat_buf_t *buf, size_t n)
{
    size_t    cap;
    uint8_t  *data;

    if (buf->failed) {
        return NULL;
    }

    if (buf->data != NULL && n <= buf->cap - buf->len) {
        return buf->data + buf->len;
    }

    if (n > SIZE_MAX / 2 - buf->len) {
        buf->failed = 1;
        return NULL;
    }

    cap = buf->cap ? buf->cap : CHAT_BUF_MIN;

    while (cap < buf->len + n) {
        cap *= 2;
    }

    data = realloc(buf->data, cap);

    if (data == NULL) {
        buf->failed = 1;
        return NULL;
    }

    buf->data = data;
    buf->cap = cap;

    return data + buf->len;
}


int
chat_buf_add(chat_buf_t *buf, const void *data, size_t n)
{
    uint8_t  *p;

    p = chat_buf_reserve(buf, n);

    if (p == NULL) {
        return -1;
    }

    if (n != 0) {
        memcpy(p, data, n);
        buf->len += n;
    }

    return 0;
}


void
chat_buf_reset(chat_buf_t *buf)
{
    buf->len = 0;
    buf->failed = 0;
}


void
chat_buf_free(chat_buf_t *buf)
{
    free(buf->data);

    buf->data = NULL;
    buf->len = 0;
    buf->cap = 0;
    buf->failed = 0;
}
