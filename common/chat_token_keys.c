/*
 * chat_token_keys.c: the keys of access tokens as JWK and JWKS (RFC 7517,
 * RFC 8037).
 *
 * Called from the edge at start, the API worker and chatctl; hands to jansson
 * and libsodium. A key without `kid` is named by its thumbprint (RFC 7638).
 * Keys of other algorithms or uses are skipped, so that one set may serve
 * other services too. An invalid Ed25519 key is an error: skipping it would
 * look like a revoked key.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "chat_token.h"

#define CHAT_TOKEN_B64    sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define CHAT_TOKEN_B64_X  44        /* 32 bytes as text, with terminator */

static int chat_token_keys_add(const json_t *jwk, chat_token_keys_t *keys_r,
    char *err, size_t errlen);
static int chat_token_key_is_ours(const json_t *jwk);
static int chat_token_key_bytes(const json_t *jwk, const char *name,
    uint8_t dst[32]);
static int chat_token_key_secret(const json_t *jwk, chat_token_key_t *key);
static int chat_token_key_kid(const json_t *jwk, chat_token_key_t *key);
static void chat_token_thumbprint(const uint8_t public_key[32],
    char kid[CHAT_TOKEN_B64_X]);
static int chat_token_error(char *err, size_t errlen, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));


int
chat_token_keys_load(const char *text, size_t len, chat_token_keys_t *keys_r,
    char *err, size_t errlen)
{
    int           rc;
    size_t        i;
    json_t       *root, *list, *jwk;
    json_error_t  error;

    memset(keys_r, 0, sizeof(*keys_r));

    root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);

    /* jansson's error text could quote a secret key: report the place only. */

    if (root == NULL) {
        return chat_token_error(err, errlen, "not JSON at line %d, column %d",
                              error.line, error.column);
    }

    list = json_object_get(root, "keys");
    rc = 0;

    if (list == NULL) {
        rc = chat_token_keys_add(root, keys_r, err, errlen);

    } else if (!json_is_array(list)) {
        rc = chat_token_error(err, errlen, "\"keys\" is not a list");

    } else {
        json_array_foreach(list, i, jwk) {

            rc = chat_token_keys_add(jwk, keys_r, err, errlen);

            if (rc != 0) {
                break;
            }
        }
    }

    if (rc == 0 && keys_r->n == 0) {
        rc = chat_token_error(err, errlen, "no Ed25519 key for signatures");
    }

    if (rc != 0) {
        sodium_memzero(keys_r, sizeof(*keys_r));
    }

    json_decref(root);

    return rc;
}


int
chat_token_key_generate(char **jwk_r, char **jwks_r)
{
    char     kid[CHAT_TOKEN_B64_X], x[CHAT_TOKEN_B64_X], d[CHAT_TOKEN_B64_X];
    uint8_t  public_key[32], secret_key[64], seed[32];

    *jwk_r = NULL;
    *jwks_r = NULL;

    if (sodium_init() < 0) {
        return -1;
    }

    randombytes_buf(seed, sizeof(seed));
    (void) crypto_sign_seed_keypair(public_key, secret_key, seed);

    chat_token_thumbprint(public_key, kid);
    (void) sodium_bin2base64(x, sizeof(x), public_key, 32, CHAT_TOKEN_B64);
    (void) sodium_bin2base64(d, sizeof(d), seed, 32, CHAT_TOKEN_B64);

#define PUBLIC_PART                                                          \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\",\"use\":\"sig\"," \
    "\"kid\":\"%s\",\"x\":\"%s\""

    if (asprintf(jwk_r, "{" PUBLIC_PART ",\"d\":\"%s\"}\n", kid, x, d) < 0) {
        *jwk_r = NULL;
    }

    if (asprintf(jwks_r, "{\"keys\":[{" PUBLIC_PART "}]}\n", kid, x) < 0) {
        *jwks_r = NULL;
    }

#undef PUBLIC_PART

    sodium_memzero(seed, sizeof(seed));
    sodium_memzero(secret_key, sizeof(secret_key));
    sodium_memzero(d, sizeof(d));

    if (*jwk_r == NULL || *jwks_r == NULL) {
        free(*jwk_r);
        free(*jwks_r);
        *jwk_r = NULL;
        *jwks_r = NULL;
        return -1;
    }

    return 0;
}


static int
chat_token_keys_add(const json_t *jwk, chat_token_keys_t *keys_r, char *err,
    size_t errlen)
{
    size_t             i;
    chat_token_key_t  *key;

    if (!json_is_object(jwk)) {
        return chat_token_error(err, errlen, "a key is not an object");
    }

    if (!chat_token_key_is_ours(jwk)) {
        return 0;
    }

    if (keys_r->n == CHAT_TOKEN_KEYS_MAX) {
        return chat_token_error(err, errlen, "more than %d keys",
                              CHAT_TOKEN_KEYS_MAX);
    }

    key = &keys_r->keys[keys_r->n];

    if (chat_token_key_bytes(jwk, "x", key->public_key) != 0) {
        return chat_token_error(err, errlen, "key %zu: \"x\" is not 32 bytes "
                              "in base64url", keys_r->n);
    }

    if (chat_token_key_secret(jwk, key) != 0) {
        return chat_token_error(err, errlen, "key %zu: \"d\" is not the secret "
                              "of \"x\"", keys_r->n);
    }

    if (chat_token_key_kid(jwk, key) != 0) {
        return chat_token_error(err, errlen, "key %zu: \"kid\" is not 1 to %d "
                              "printable characters", keys_r->n,
                              CHAT_TOKEN_KID_MAX);
    }

    for (i = 0; i < keys_r->n; i++) {
        if (strcmp(keys_r->keys[i].kid, key->kid) == 0) {
            return chat_token_error(err, errlen, "two keys are called \"%s\"",
                                  key->kid);
        }
    }

    keys_r->n++;

    return 0;
}


static int
chat_token_key_is_ours(const json_t *jwk)
{
    json_t  *use, *alg;

    static const struct {
        const char  *name;
        const char  *value;
    } must[] = { { "kty", "OKP" }, { "crv", "Ed25519" } };

    size_t       i;
    const char  *s;

    for (i = 0; i < sizeof(must) / sizeof(must[0]); i++) {

        s = json_string_value(json_object_get(jwk, must[i].name));

        if (s == NULL || strcmp(s, must[i].value) != 0) {
            return 0;
        }
    }

    use = json_object_get(jwk, "use");
    alg = json_object_get(jwk, "alg");

    if (use != NULL
        && (!json_is_string(use)
            || strcmp(json_string_value(use), "sig") != 0))
    {
        return 0;
    }

    return alg == NULL
           || (json_is_string(alg)
               && strcmp(json_string_value(alg), "EdDSA") == 0);
}


static int
chat_token_key_bytes(const json_t *jwk, const char *name, uint8_t dst[32])
{
    size_t   n;
    json_t  *v;

    v = json_object_get(jwk, name);

    if (!json_is_string(v)
        || sodium_base642bin(dst, 32, json_string_value(v),
                             json_string_length(v), NULL, &n, NULL,
                             CHAT_TOKEN_B64) != 0
        || n != 32)
    {
        return -1;
    }

    return 0;
}


static int
chat_token_key_secret(const json_t *jwk, chat_token_key_t *key)
{
    int      rc;
    uint8_t  seed[32], public_key[32];

    if (json_object_get(jwk, "d") == NULL) {
        return 0;
    }

    rc = chat_token_key_bytes(jwk, "d", seed);

    if (rc == 0) {
        (void) crypto_sign_seed_keypair(public_key, key->secret_key, seed);
        rc = memcmp(public_key, key->public_key, 32) == 0 ? 0 : -1;
    }

    sodium_memzero(seed, sizeof(seed));
    key->has_secret = (rc == 0);

    return rc;
}


static int
chat_token_key_kid(const json_t *jwk, chat_token_key_t *key)
{
    size_t       i, len;
    json_t      *v;
    const char  *s;

    v = json_object_get(jwk, "kid");

    if (v == NULL) {
        chat_token_thumbprint(key->public_key, key->kid);
        return 0;
    }

    s = json_string_value(v);
    len = json_string_length(v);

    if (s == NULL || len < 1 || len > CHAT_TOKEN_KID_MAX) {
        return -1;
    }

    for (i = 0; i < len; i++) {
        if (s[i] < '!' || s[i] > '~') {
            return -1;
        }
    }

    memcpy(key->kid, s, len);
    key->kid[len] = '\0';

    return 0;
}


/* RFC 7638: SHA-256 over the required members in the order of their names,
 * without white space. */

static void
chat_token_thumbprint(const uint8_t public_key[32],
    char kid[CHAT_TOKEN_B64_X])
{
    int      n;
    char     x[CHAT_TOKEN_B64_X], text[128];
    uint8_t  hash[crypto_hash_sha256_BYTES];

    (void) sodium_bin2base64(x, sizeof(x), public_key, 32, CHAT_TOKEN_B64);

    n = snprintf(text, sizeof(text),
                 "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", x);

    (void) crypto_hash_sha256(hash, (const uint8_t *) text, (size_t) n);
    (void) sodium_bin2base64(kid, CHAT_TOKEN_B64_X, hash, sizeof(hash),
                             CHAT_TOKEN_B64);
}


static int
chat_token_error(char *err, size_t errlen, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(err, errlen, fmt, args);
    va_end(args);

    return -1;
}
