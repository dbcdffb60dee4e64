/*
 * api_token.c: pairs of an access token and a refresh token.
 *
 * Called from api_login.c and api_refresh.c; hands to common/chat_token.c and
 * libsodium. The database stores only the hash of a refresh token. The pair
 * that replaced a token is stored for a minute, encrypted with a key derived
 * from the old token: a client that lost the answer can read it, a reader of
 * the table cannot.
 */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "api.h"

/* plaintext of a sealed pair */
typedef struct {
    int64_t  expires;
    char     refresh[API_TOKEN_TEXT + 1];
    char     access[CHAT_TOKEN_MAX + 1];
} api_sealed_t;

_Static_assert(sizeof(api_sealed_t) + crypto_secretbox_NONCEBYTES
               + crypto_secretbox_MACBYTES <= API_SEALED_MAX, "seal");

static void api_token_seal_key(const char *refresh,
    uint8_t key[crypto_secretbox_KEYBYTES]);


int
api_token_pair(const api_t *api, uint64_t user, uint64_t device,
    api_pair_t *pair_r)
{
    uint8_t       random[32];
    chat_token_t  token;

    token.user = user;
    token.device = device;
    token.issued = (int64_t) time(NULL);
    token.expires = token.issued + CHAT_TOKEN_LIFE;

    if (chat_token_sign(api->signer, &token, pair_r->access) == 0) {
        worker_log(WORKER_ERROR, "access token could not be signed");
        return -1;
    }

    pair_r->expires = token.expires;

    randombytes_buf(random, sizeof(random));
    sodium_bin2base64(pair_r->refresh, sizeof(pair_r->refresh), random,
                      sizeof(random),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(random, sizeof(random));

    return api_token_hash(pair_r->refresh, strlen(pair_r->refresh),
                          pair_r->refresh_hash);
}


int
api_token_hash(const char *refresh, size_t len, uint8_t hash_r[32])
{
    if (len != API_TOKEN_TEXT) {
        return -1;
    }

    return crypto_generichash(hash_r, 32, (const uint8_t *) refresh, len, NULL,
                              0);
}


size_t
api_token_seal(const char *refresh, const api_pair_t *pair,
    uint8_t dst[API_SEALED_MAX])
{
    uint8_t       key[crypto_secretbox_KEYBYTES];
    api_sealed_t  open;

    memset(&open, 0, sizeof(open));
    open.expires = pair->expires;
    snprintf(open.refresh, sizeof(open.refresh), "%s", pair->refresh);
    snprintf(open.access, sizeof(open.access), "%s", pair->access);

    api_token_seal_key(refresh, key);
    randombytes_buf(dst, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(dst + crypto_secretbox_NONCEBYTES,
                          (const uint8_t *) &open, sizeof(open), dst, key);

    sodium_memzero(key, sizeof(key));
    sodium_memzero(&open, sizeof(open));

    return crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES
           + sizeof(open);
}


int
api_token_open(const char *refresh, const uint8_t *sealed, size_t len,
    api_pair_t *pair_r)
{
    int           rc;
    uint8_t       key[crypto_secretbox_KEYBYTES];
    api_sealed_t  open;

    if (len != crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES
               + sizeof(open))
    {
        return -1;
    }

    api_token_seal_key(refresh, key);
    rc = crypto_secretbox_open_easy((uint8_t *) &open,
                                    sealed + crypto_secretbox_NONCEBYTES,
                                    len - crypto_secretbox_NONCEBYTES,
                                    sealed, key);
    sodium_memzero(key, sizeof(key));

    if (rc != 0) {
        return -1;
    }

    pair_r->expires = open.expires;
    snprintf(pair_r->refresh, sizeof(pair_r->refresh), "%s", open.refresh);
    snprintf(pair_r->access, sizeof(pair_r->access), "%s", open.access);
    sodium_memzero(&open, sizeof(open));

    return api_token_hash(pair_r->refresh, strlen(pair_r->refresh),
                          pair_r->refresh_hash);
}


json_t *
api_token_json(const api_pair_t *pair)
{
    int64_t  left;

    left = pair->expires - (int64_t) time(NULL);

    return json_pack("{s:s,s:I,s:s}", "accessToken", pair->access,
                     "expiresIn", (json_int_t) (left > 0 ? left : 1),
                     "refreshToken", pair->refresh);
}


static void
api_token_seal_key(const char *refresh, uint8_t key[crypto_secretbox_KEYBYTES])
{
    static const char  purpose[] = "chat refresh successor v1";

    crypto_generichash(key, crypto_secretbox_KEYBYTES,
                       (const uint8_t *) refresh, strlen(refresh),
                       (const uint8_t *) purpose, sizeof(purpose) - 1);
}
