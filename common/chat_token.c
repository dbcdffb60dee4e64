/*
 * chat_token.c: signs and validates access tokens.
 *
 * Called from the edge before 101 and before each REST call (check) and from
 * the API worker (make); hands to libsodium and jansson. The header
 * only selects which of our own keys is tried (RFC 8725, section 3.1), and no
 * claim is read before the signature is valid.
 */

#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "chat_id.h"
#include "chat_json.h"
#include "chat_token.h"

#define CHAT_TOKEN_B64    sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define CHAT_TOKEN_EDDSA  "EdDSA"
#define CHAT_TOKEN_SKEW   60         /* s of tolerated clock skew */

static chat_token_e chat_token_header(const chat_token_keys_t *keys,
    const char *text, size_t len, const chat_token_key_t **key_r);
static chat_token_e chat_token_claims(const char *text, size_t len,
    int64_t now, chat_token_t *token_r);
static json_t *chat_token_part(const char *text, size_t len);
static int chat_token_claim_id(const json_t *claims, const char *name,
    uint64_t *id_r);
static int chat_token_claim_time(const json_t *claims, const char *name,
    int64_t *s_r);
static char *chat_token_encode(const char *src, size_t len, char *dst);


chat_token_e
chat_token_verify(const chat_token_keys_t *keys, const char *token, size_t len,
    int64_t now, chat_token_t *token_r)
{
    size_t                   n;
    uint8_t                  signature[crypto_sign_BYTES];
    const char              *end, *dot, *dot2;
    chat_token_e             rc;
    const chat_token_key_t  *key;

    if (len > CHAT_TOKEN_MAX) {
        return CHAT_TOKEN_MALFORMED;
    }

    end = token + len;
    dot = memchr(token, '.', len);

    if (dot == NULL) {
        return CHAT_TOKEN_MALFORMED;
    }

    dot2 = memchr(dot + 1, '.', (size_t) (end - dot - 1));

    if (dot2 == NULL) {
        return CHAT_TOKEN_MALFORMED;
    }

    rc = chat_token_header(keys, token, (size_t) (dot - token), &key);

    if (rc != CHAT_TOKEN_OK) {
        return rc;
    }

    /* A third dot is not base64url and fails here. */

    if (sodium_base642bin(signature, sizeof(signature), dot2 + 1,
                          (size_t) (end - dot2 - 1), NULL, &n, NULL,
                          CHAT_TOKEN_B64) != 0
        || n != sizeof(signature))
    {
        return CHAT_TOKEN_MALFORMED;
    }

    if (crypto_sign_verify_detached(signature, (const uint8_t *) token,
                                    (size_t) (dot2 - token), key->public_key)
        != 0)
    {
        return CHAT_TOKEN_SIGNATURE;
    }

    return chat_token_claims(dot + 1, (size_t) (dot2 - dot - 1), now, token_r);
}


size_t
chat_token_sign(const chat_token_key_t *key, const chat_token_t *token,
    char *dst)
{
    int       n;
    char      text[256], *p;
    uint8_t   head[64 + chat_json_string_max(CHAT_TOKEN_KID_MAX)], *end;
    uint8_t   signature[crypto_sign_BYTES];

    static const char  begin[] = "{\"alg\":\"" CHAT_TOKEN_EDDSA
                                 "\",\"typ\":\"JWT\",\"kid\":";

    if (!key->has_secret) {
        return 0;
    }

    memcpy(head, begin, sizeof(begin) - 1);
    end = chat_json_string(head + sizeof(begin) - 1, key->kid,
                           strlen(key->kid));
    *end++ = '}';

    n = snprintf(text, sizeof(text), "{\"sub\":\"%llu\",\"did\":\"%llu\","
                 "\"iat\":%lld,\"exp\":%lld}",
                 (unsigned long long) token->user,
                 (unsigned long long) token->device,
                 (long long) token->issued, (long long) token->expires);

    if (n < 0 || (size_t) n >= sizeof(text)) {
        return 0;
    }

    /* The three parts are at most 4/3 of 512, 256 and 64 bytes. */

    p = chat_token_encode((char *) head, (size_t) (end - head), dst);
    *p++ = '.';
    p = chat_token_encode(text, (size_t) n, p);

    (void) crypto_sign_detached(signature, NULL, (uint8_t *) dst,
                                (size_t) (p - dst), key->secret_key);

    *p++ = '.';
    p = chat_token_encode((char *) signature, sizeof(signature), p);

    return (size_t) (p - dst);
}


const char *
chat_token_why(chat_token_e e)
{
    switch (e) {
    case CHAT_TOKEN_OK:
        return "the token is good";
    case CHAT_TOKEN_MALFORMED:
        return "the token is malformed";
    case CHAT_TOKEN_ALG:
        return "the token's alg is not EdDSA";
    case CHAT_TOKEN_KID:
        return "the token's key is not known";
    case CHAT_TOKEN_SIGNATURE:
        return "the token's signature is wrong";
    case CHAT_TOKEN_CLAIMS:
        return "the token's claims are wrong";
    case CHAT_TOKEN_EXPIRED:
        return "the token has expired";
    }

    return "the token is wrong";
}


static chat_token_e
chat_token_header(const chat_token_keys_t *keys, const char *text, size_t len,
    const chat_token_key_t **key_r)
{
    size_t        i;
    json_t       *header, *typ;
    const char   *alg, *kid;
    chat_token_e  rc;

    header = chat_token_part(text, len);

    if (header == NULL) {
        return CHAT_TOKEN_MALFORMED;
    }

    rc = CHAT_TOKEN_MALFORMED;
    typ = json_object_get(header, "typ");

    /* RFC 7515, section 4.1.11: a token with an unknown critical extension is
     * invalid, and no extension is supported. */

    if (json_object_get(header, "crit") != NULL
        || (typ != NULL
            && (!json_is_string(typ)
                || strcmp(json_string_value(typ), "JWT") != 0)))
    {
        goto done;
    }

    rc = CHAT_TOKEN_ALG;
    alg = json_string_value(json_object_get(header, "alg"));

    if (alg == NULL || strcmp(alg, CHAT_TOKEN_EDDSA) != 0) {
        goto done;
    }

    rc = CHAT_TOKEN_KID;
    kid = json_string_value(json_object_get(header, "kid"));

    if (kid == NULL) {
        goto done;
    }

    for (i = 0; i < keys->n; i++) {

        if (strcmp(keys->keys[i].kid, kid) == 0) {
            *key_r = &keys->keys[i];
            rc = CHAT_TOKEN_OK;
            break;
        }
    }

done:

    json_decref(header);

    return rc;
}


static chat_token_e
chat_token_claims(const char *text, size_t len, int64_t now,
    chat_token_t *token_r)
{
    json_t        *claims;
    int64_t        begins;
    chat_token_t   token;
    chat_token_e   rc;

    claims = chat_token_part(text, len);

    if (claims == NULL) {
        return CHAT_TOKEN_MALFORMED;
    }

    rc = CHAT_TOKEN_CLAIMS;

    if (chat_token_claim_id(claims, "sub", &token.user) != 0
        || chat_token_claim_id(claims, "did", &token.device) != 0
        || chat_token_claim_time(claims, "iat", &token.issued) != 0
        || chat_token_claim_time(claims, "exp", &token.expires) != 0
        || token.issued > now + CHAT_TOKEN_SKEW)
    {
        goto done;
    }

    /* chat_token_sign() never sets aud or nbf, but a token that has them must
     * be judged by them (RFC 7519, sections 4.1.3 and 4.1.5): a token for an
     * audience is meant for another service. */

    if (json_object_get(claims, "aud") != NULL) {
        goto done;
    }

    if (json_object_get(claims, "nbf") != NULL
        && (chat_token_claim_time(claims, "nbf", &begins) != 0
            || begins > now + CHAT_TOKEN_SKEW))
    {
        goto done;
    }

    rc = CHAT_TOKEN_EXPIRED;

    if (token.expires <= now) {
        goto done;
    }

    *token_r = token;
    rc = CHAT_TOKEN_OK;

done:

    json_decref(claims);

    return rc;
}


/* Decodes one base64url part that is a JSON object; new, or NULL. */

static json_t *
chat_token_part(const char *text, size_t len)
{
    size_t    n;
    json_t   *part;
    uint8_t   data[CHAT_TOKEN_MAX];

    if (sodium_base642bin(data, sizeof(data), text, len, NULL, &n, NULL,
                          CHAT_TOKEN_B64) != 0)
    {
        return NULL;
    }

    part = json_loadb((const char *) data, n, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(part)) {
        json_decref(part);
        return NULL;
    }

    return part;
}


static int
chat_token_claim_id(const json_t *claims, const char *name, uint64_t *id_r)
{
    json_t  *v;

    v = json_object_get(claims, name);

    if (!json_is_string(v)) {
        return -1;
    }

    return chat_num_parse(json_string_value(v), json_string_length(v), id_r);
}


/* whole seconds since 1970; times after the year 9999 are refused, because
 * sums with them could overflow. */

static int
chat_token_claim_time(const json_t *claims, const char *name, int64_t *s_r)
{
    json_t  *v;

    v = json_object_get(claims, name);

    if (!json_is_integer(v)
        || json_integer_value(v) < 0
        || json_integer_value(v) > 253402300799)
    {
        return -1;
    }

    *s_r = json_integer_value(v);

    return 0;
}


/* Writes a terminated string and returns the place of the terminator. */

static char *
chat_token_encode(const char *src, size_t len, char *dst)
{
    size_t  size;

    size = sodium_base64_encoded_len(len, CHAT_TOKEN_B64);

    (void) sodium_bin2base64(dst, size, (const uint8_t *) src, len,
                             CHAT_TOKEN_B64);

    return dst + size - 1;
}
