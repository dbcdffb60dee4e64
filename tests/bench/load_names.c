/*
 * load_names.c: user ids, chat ids, tokens: computed, never stored.
 *
 * Called from load_setup.c, which inserts the rows, and from load_chat.c and
 * load_http.c, which use them, so that no list is needed. The stack's own
 * private key signs the tokens: the benchmark measures the edge's token check,
 * not the login.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "chat_id.h"
#include "chat_token.h"
#include "load.h"

static uint8_t            load_chat_key[CHAT_ID_KEY];
static chat_token_key_t   load_sign_key;
static int64_t            load_issued;      /* s since 1970 */

#define LOAD_TOKENS  65536
static char              *load_tokens[LOAD_TOKENS];

static int load_read(const char *dir, const char *name, char *dst,
    size_t size, size_t *len_r);
static void load_chat_numbered(uint8_t kind, uint32_t a, uint32_t b,
    char *dst);


int
load_names_open(const char *dir)
{
    char                buf[4096], err[128];
    size_t              len;
    chat_token_keys_t  *keys;

    if (sodium_init() < 0) {
        return -1;
    }
    if (load_read(dir, "chat_id.key", buf, sizeof(buf), &len) != 0) {
        return -1;
    }
    if (chat_id_key_parse(buf, len, load_chat_key) != 0) {
        fprintf(stderr, "chatload: %s/chat_id.key is not a key\n", dir);
        return -1;
    }
    if (load_read(dir, "token.jwk", buf, sizeof(buf), &len) != 0) {
        return -1;
    }
    keys = calloc(1, sizeof(*keys));
    if (keys == NULL) {
        return -1;
    }
    if (chat_token_keys_load(buf, len, keys, err, sizeof(err)) != 0
        || keys->n == 0 || !keys->keys[0].has_secret)
    {
        fprintf(stderr, "chatload: %s/token.jwk has no private key\n", dir);
        free(keys);
        return -1;
    }
    load_sign_key = keys->keys[0];
    load_issued = (int64_t) time(NULL);
    free(keys);
    return 0;
}


static int
load_read(const char *dir, const char *name, char *dst, size_t size,
    size_t *len_r)
{
    char   path[1024];
    FILE  *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "r");
    if (f == NULL) {
        perror(path);
        return -1;
    }
    *len_r = fread(dst, 1, size, f);
    fclose(f);
    return 0;
}


uint64_t
load_user_id(uint32_t index)
{
    return LOAD_USER_BASE + index;
}


void
load_chat_direct(uint32_t a, uint32_t b, char *dst)
{
    uint8_t  id[16];

    chat_id_direct(load_chat_key, load_user_id(a), load_user_id(b), id);
    *chat_id_print(id, dst) = '\0';
}


void
load_chat_group(uint32_t members, uint32_t g, char *dst)
{
    load_chat_numbered(1, members, g, dst);
}


void
load_chat_archive(uint32_t a, char *dst)
{
    load_chat_numbered(2, 0, a, dst);
}


/* The last byte determines the shard, so it depends on the number. */
static void
load_chat_numbered(uint8_t kind, uint32_t a, uint32_t b, char *dst)
{
    uint8_t  id[16], bytes[10];

    bytes[0] = kind;
    memcpy(bytes + 1, &a, 4);
    memcpy(bytes + 5, &b, 4);
    bytes[9] = (uint8_t) b;
    chat_id_v7(1700000000000ll, bytes, id);
    *chat_id_print(id, dst) = '\0';
}


/* Cached: signing takes 16 us, which is more than a request takes here. */
int
load_token(uint32_t index, char *dst)
{
    chat_token_t  t;

    if (index < LOAD_TOKENS && load_tokens[index] != NULL) {
        strcpy(dst, load_tokens[index]);
        return 0;
    }
    t.user = load_user_id(index);
    t.device = load_user_id(index);
    t.issued = load_issued;
    t.expires = load_issued + LOAD_TOKEN_LIFE;
    if (chat_token_sign(&load_sign_key, &t, dst) == 0) {
        return -1;
    }
    if (index < LOAD_TOKENS) {
        load_tokens[index] = strdup(dst);
    }
    return 0;
}
