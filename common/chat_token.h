/*
 * chat_token.h: access tokens: JWT (RFC 7519) signed with Ed25519 (RFC 8037).
 *
 * Header {"alg":"EdDSA","typ":"JWT","kid":...}; claims sub (userId), did
 * (deviceId), iat, exp. `alg` is pinned: anything else is refused before a
 * key is looked up. Keys are a JWKS (RFC 7517): OKP, Ed25519. Signatures by
 * libsodium, base64url by libsodium, JSON by jansson.
 */

#ifndef CHAT_TOKEN_H
#define CHAT_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#define CHAT_TOKEN_KEYS_MAX  16
#define CHAT_TOKEN_KID_MAX   64
#define CHAT_TOKEN_MAX       1024   /* bytes of a token */
#define CHAT_TOKEN_LIFE      900    /* seconds, 15 minutes */

typedef struct {
    char     kid[CHAT_TOKEN_KID_MAX + 1];
    uint8_t  public_key[32];
    uint8_t  secret_key[64];        /* libsodium's form; zero when absent */
    int      has_secret;
} chat_token_key_t;

typedef struct {
    size_t            n;
    chat_token_key_t  keys[CHAT_TOKEN_KEYS_MAX];
} chat_token_keys_t;

typedef struct {
    uint64_t  user;
    uint64_t  device;
    int64_t   issued;               /* s since 1970 */
    int64_t   expires;
} chat_token_t;

typedef enum {
    CHAT_TOKEN_OK = 0,
    CHAT_TOKEN_MALFORMED,           /* not three base64url parts of JSON */
    CHAT_TOKEN_ALG,                 /* alg is not EdDSA */
    CHAT_TOKEN_KID,                 /* no such key */
    CHAT_TOKEN_SIGNATURE,
    CHAT_TOKEN_CLAIMS,              /* missing or wrong claims, iat in the
                                       future by more than 60 s */
    CHAT_TOKEN_EXPIRED              /* all is right but exp <= now */
} chat_token_e;

/* Reads a JWKS, or one JWK, text. Unknown key types are skipped; a key without
 * `kid` gets its thumbprint (RFC 7638). 0, or -1 with a sentence in err. A set
 * without a usable key is an error. */
int chat_token_keys_load(const char *text, size_t len,
    chat_token_keys_t *keys_r, char *err, size_t errlen);

/* Validates a token at time now (s since 1970). The work is bounded:
 * tokens above CHAT_TOKEN_MAX are malformed. */
chat_token_e chat_token_verify(const chat_token_keys_t *keys,
    const char *token, size_t len, int64_t now, chat_token_t *token_r);

/* Writes a signed, terminated token to dst (CHAT_TOKEN_MAX + 1 bytes) with a
 * key that has a secret. Its length, or 0 when it could not be made. */
size_t chat_token_sign(const chat_token_key_t *key, const chat_token_t *token,
    char *dst);

/* New random key, named by its thumbprint. The texts are malloc'd JSON: the
 * private JWK (with "d") and the public JWKS. 0, or -1 with both NULL. */
int chat_token_key_generate(char **jwk_r, char **jwks_r);

/* A sentence for logs. */
const char *chat_token_why(chat_token_e e);

#endif
