/*
 * chat_id.h: chat ids and user ids, as bytes and as text.
 *
 * A chat id is a UUID (RFC 9562) of version 7, lower case when printed. A
 * group's is made of the time and random bytes; a direct chat's is a keyed
 * BLAKE2b hash of its two users with the version and variant bits of a UUID
 * v7 set, so that two users who open it at the same time get the same
 * chat, and the id cannot be computed without the key. User and device ids are
 * positive 63-bit integers, decimal strings on the wire.
 */

#ifndef CHAT_ID_H
#define CHAT_ID_H

#include <stddef.h>
#include <stdint.h>

#define CHAT_ID_TEXT  36        /* length of a printed UUID, no terminator */
#define CHAT_ID_KEY   32        /* bytes of the key of chat_id_direct()    */

/* Parses exactly len bytes as 8-4-4-4-12 hex digits, either case, any
 * version. 0, or -1 when they are not a UUID. */
int chat_id_parse(const char *text, size_t len, uint8_t id_r[16]);

/* Writes CHAT_ID_TEXT characters; returns the end. */
char *chat_id_print(const uint8_t id[16], char *dst);

/* A version 7 id: ms since 1970 and 10 bytes of randomness from the caller. */
void chat_id_v7(int64_t ms, const uint8_t random[10], uint8_t id_r[16]);

/* The direct chat of two users, in either order. */
void chat_id_direct(const uint8_t key[CHAT_ID_KEY], uint64_t a, uint64_t b,
    uint8_t id_r[16]);

/* 0 <= shard < CHAT_SHARDS: the last byte's low six bits. */
unsigned chat_id_shard(const uint8_t id[16]);

/* A decimal string without sign, leading zero or space, 1 .. 2^63-1.
 * 0, or -1. */
int chat_num_parse(const char *text, size_t len, uint64_t *num_r);

/* A route's value "<edge>:<session>": 16 hex digits in lower case, a colon and
 * a decimal number as above. 0, or -1. */
int chat_route_parse(const char *text, size_t len, uint64_t *edge_r,
    uint64_t *session_r);

/* The key file: 64 hex digits and an optional newline. 0, or -1. */
int chat_id_key_parse(const char *text, size_t len, uint8_t key_r[CHAT_ID_KEY]);

#endif
