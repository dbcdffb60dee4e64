/*
 * chat_id.c: chat ids and user ids, as bytes and as text.
 *
 * Called from the edge, the workers and chat_frame.c; hands to libsodium for
 * the keyed hash alone. Randomness and time come from the caller.
 */

#include <string.h>

#include <sodium.h>

#include "chat_bytes.h"
#include "chat_id.h"
#include "chat_proto.h"

static int chat_hex_digit(char c);
static void chat_id_stamp(uint8_t id[16]);


int
chat_id_parse(const char *text, size_t len, uint8_t id_r[16])
{
    int       hi, lo;
    size_t    i, n;
    uint8_t   id[16];

    if (len != CHAT_ID_TEXT) {
        return -1;
    }

    n = 0;

    for (i = 0; i < CHAT_ID_TEXT; /* void */ ) {

        if (i == 8 || i == 13 || i == 18 || i == 23) {

            if (text[i++] != '-') {
                return -1;
            }

            continue;
        }

        hi = chat_hex_digit(text[i++]);
        lo = chat_hex_digit(text[i++]);

        if (hi < 0 || lo < 0) {
            return -1;
        }

        id[n++] = (uint8_t) (hi << 4 | lo);
    }

    memcpy(id_r, id, 16);

    return 0;
}


char *
chat_id_print(const uint8_t id[16], char *dst)
{
    size_t  i;

    static const char  hex[] = "0123456789abcdef";

    for (i = 0; i < 16; i++) {

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *dst++ = '-';
        }

        *dst++ = hex[id[i] >> 4];
        *dst++ = hex[id[i] & 0xf];
    }

    return dst;
}


void
chat_id_v7(int64_t ms, const uint8_t random[10], uint8_t id_r[16])
{
    size_t  i;

    for (i = 0; i < 6; i++) {
        id_r[i] = (uint8_t) ((uint64_t) ms >> (40 - 8 * i));
    }

    memcpy(id_r + 6, random, 10);
    chat_id_stamp(id_r);
}


void
chat_id_direct(const uint8_t key[CHAT_ID_KEY], uint64_t a, uint64_t b,
    uint8_t id_r[16])
{
    uint8_t  pair[16];

    (void) chat_put_u64(pair, a < b ? a : b);
    (void) chat_put_u64(pair + 8, a < b ? b : a);

    (void) crypto_generichash(id_r, 16, pair, sizeof(pair), key, CHAT_ID_KEY);

    chat_id_stamp(id_r);
}


unsigned
chat_id_shard(const uint8_t id[16])
{
    return id[15] & (CHAT_SHARDS - 1);
}


int
chat_num_parse(const char *text, size_t len, uint64_t *num_r)
{
    size_t    i;
    uint64_t  n;

    /* 19 digits cannot overflow 64 bits */

    if (len == 0 || len > 19 || text[0] == '0') {
        return -1;
    }

    n = 0;

    for (i = 0; i < len; i++) {

        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }

        n = n * 10 + (uint64_t) (text[i] - '0');
    }

    if (n > INT64_MAX) {
        return -1;
    }

    *num_r = n;

    return 0;
}


int
chat_id_key_parse(const char *text, size_t len, uint8_t key_r[CHAT_ID_KEY])
{
    int      hi, lo;
    size_t   i;
    uint8_t  key[CHAT_ID_KEY];

    if (len == CHAT_ID_KEY * 2 + 1 && text[CHAT_ID_KEY * 2] == '\n') {
        len--;
    }

    if (len != CHAT_ID_KEY * 2) {
        return -1;
    }

    for (i = 0; i < CHAT_ID_KEY; i++) {

        hi = chat_hex_digit(text[2 * i]);
        lo = chat_hex_digit(text[2 * i + 1]);

        if (hi < 0 || lo < 0) {
            sodium_memzero(key, sizeof(key));
            return -1;
        }

        key[i] = (uint8_t) (hi << 4 | lo);
    }

    memcpy(key_r, key, CHAT_ID_KEY);
    sodium_memzero(key, sizeof(key));

    return 0;
}


static int
chat_hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }

    return -1;
}


/* version 7, variant 10 (RFC 9562, section 5.7) */

static void
chat_id_stamp(uint8_t id[16])
{
    id[6] = (id[6] & 0x0f) | 0x70;
    id[8] = (id[8] & 0x3f) | 0x80;
}


int
chat_route_parse(const char *text, size_t len, uint64_t *edge_r,
    uint64_t *session_r)
{
    int       c;
    size_t    i;
    uint64_t  edge;

    if (len < 18 || text[16] != ':') {
        return -1;
    }

    for (edge = 0, i = 0; i < 16; i++) {
        c = text[i];

        if (c >= '0' && c <= '9') {
            c -= '0';

        } else if (c >= 'a' && c <= 'f') {
            c -= 'a' - 10;

        } else {
            return -1;
        }

        edge = edge << 4 | (uint64_t) c;
    }

    *edge_r = edge;

    return chat_num_parse(text + 17, len - 17, session_r);
}
