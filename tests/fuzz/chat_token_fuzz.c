/*
 * chat_token_fuzz.c: tokens and key sets of any bytes.
 *
 * The input is used three times: as a token, which must never be valid;
 * as header, newline and claims of a token that is then signed correctly, so
 * that the checks behind the signature are reached; and as a key set.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "chat_token.h"

#define JWK  "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\","           \
             "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\","        \
             "\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"}"

#define NOW  1767323045

static chat_token_keys_t  keys;


static void
require(int fact)
{
    if (!fact) {
        abort();
    }
}


static size_t
base64(char *dst, const void *src, size_t len)
{
    size_t  size;

    size = sodium_base64_encoded_len(len,
                                     sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_bin2base64(dst, size, src, len,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);

    return size - 1;
}


static void
fuzz_signed(const uint8_t *data, size_t len)
{
    char           token[4096];
    size_t         n, head;
    uint8_t        signature[64];
    chat_token_t   t;
    const uint8_t *newline;

    newline = memchr(data, '\n', len);

    if (newline == NULL || len > 1200) {
        return;
    }

    head = (size_t) (newline - data);

    n = base64(token, data, head);
    token[n++] = '.';
    n += base64(token + n, newline + 1, len - head - 1);
    crypto_sign_detached(signature, NULL, (uint8_t *) token, n,
                         keys.keys[0].secret_key);
    token[n++] = '.';
    n += base64(token + n, signature, 64);

    if (chat_token_verify(&keys, token, n, NOW, &t) == CHAT_TOKEN_OK) {
        require(t.user > 0 && t.user <= INT64_MAX);
        require(t.device > 0 && t.device <= INT64_MAX);
        require(t.expires > NOW && t.issued <= NOW + 60);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char               *copy, err[200];
    chat_token_t        t;
    chat_token_keys_t   loaded;

    if (keys.n == 0) {
        require(chat_token_keys_load(JWK, sizeof(JWK) - 1, &keys, err,
                                     sizeof(err)) == 0);
    }

    copy = malloc(len ? len : 1);
    memcpy(copy, data, len);

    require(chat_token_verify(&keys, copy, len, NOW, &t) != CHAT_TOKEN_OK);

    if (chat_token_keys_load(copy, len, &loaded, err, sizeof(err)) == 0) {
        require(loaded.n > 0 && loaded.n <= CHAT_TOKEN_KEYS_MAX);
    }

    fuzz_signed(data, len);
    free(copy);

    return 0;
}
