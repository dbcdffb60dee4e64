/*
 * chat_bytes.h: little-endian numbers in byte strings, for chat_event.c and
 * chat_batch.c.
 *
 * Bytes are read and written one at a time, so that neither alignment nor the
 * machine's byte order matters; compilers merge them into one load or store.
 */

#ifndef CHAT_BYTES_H
#define CHAT_BYTES_H

#include <stdint.h>
#include <string.h>

#include "chat_event.h"

/* encoded length of a string that is absent, as opposed to empty */
#define CHAT_STR_ABSENT  0xffffffffu


static inline uint8_t *
chat_put_u16(uint8_t *dst, uint16_t n)
{
    dst[0] = (uint8_t) n;
    dst[1] = (uint8_t) (n >> 8);

    return dst + 2;
}


static inline uint8_t *
chat_put_u32(uint8_t *dst, uint32_t n)
{
    dst = chat_put_u16(dst, (uint16_t) n);

    return chat_put_u16(dst, (uint16_t) (n >> 16));
}


static inline uint8_t *
chat_put_u64(uint8_t *dst, uint64_t n)
{
    dst = chat_put_u32(dst, (uint32_t) n);

    return chat_put_u32(dst, (uint32_t) (n >> 32));
}


static inline uint8_t *
chat_put_bytes(uint8_t *dst, const void *src, size_t n)
{
    if (n != 0) {
        memcpy(dst, src, n);
    }

    return dst + n;
}


static inline uint16_t
chat_get_u16(const uint8_t *src)
{
    return (uint16_t) (src[0] | src[1] << 8);
}


static inline uint32_t
chat_get_u32(const uint8_t *src)
{
    return chat_get_u16(src) | (uint32_t) chat_get_u16(src + 2) << 16;
}


static inline uint64_t
chat_get_u64(const uint8_t *src)
{
    return chat_get_u32(src) | (uint64_t) chat_get_u32(src + 4) << 32;
}

#endif
