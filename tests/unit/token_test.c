/*
 * token_test.c: chat_token.c and chat_token_keys.c.
 *
 * The key and the signature are those of RFC 8037, appendix A. Tokens that
 * our own writer would never make are put together by hand.
 */

#include <stdio.h>

#include <sodium.h>

#include "chat_test.h"
#include "chat_token.h"

/* RFC 8037, A.1, with a name; and A.2 */
#define RFC_X       "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define RFC_D       "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
#define RFC_PUBLIC  "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" RFC_X "\""
#define RFC_SECRET  RFC_PUBLIC ",\"d\":\"" RFC_D "\""

#define NOW     1767323045
#define HEADER  "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"k1\"}"
#define CLAIMS  "{\"sub\":\"12\",\"did\":\"34\",\"iat\":1767323000,"         \
                "\"exp\":1767323900}"

static chat_token_keys_t  keys;
static char               err[200];


static int
load(const char *text, chat_token_keys_t *keys_r)
{
    err[0] = '\0';

    return chat_token_keys_load(text, strlen(text), keys_r, err, sizeof(err));
}


static int
load_rfc_key(void **state)
{
    assert_int_equal(load("{\"kid\":\"k1\"," RFC_SECRET "}", &keys), 0);

    return 0;
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


/* a token of any header and claims, rightly signed */

static size_t
make(char *dst, const char *header, const char *claims)
{
    size_t   n;
    uint8_t  signature[64];

    n = base64(dst, header, strlen(header));
    dst[n++] = '.';
    n += base64(dst + n, claims, strlen(claims));
    crypto_sign_detached(signature, NULL, (uint8_t *) dst, n,
                         keys.keys[0].secret_key);
    dst[n++] = '.';

    return n + base64(dst + n, signature, 64);
}


/* copied to memory of the exact size: a sanitizer detects an overread */

static chat_token_e
verify(const char *token, size_t len, chat_token_t *token_r)
{
    char          *copy;
    chat_token_e   rc;

    copy = malloc(len ? len : 1);
    memcpy(copy, token, len);
    rc = chat_token_verify(&keys, copy, len, NOW, token_r);
    free(copy);

    return rc;
}


static chat_token_e
verify_made(const char *header, const char *claims)
{
    char          token[4096];
    chat_token_t  t;

    return verify(token, make(token, header, claims), &t);
}


static void
signature_is_the_one_of_rfc_8037(void **state)
{
    size_t   n;
    char     token[200], expected[200];
    uint8_t  signature[64];

    /* A.4: {"alg":"EdDSA"} and "Example of Ed25519 signing" */

    n = base64(token, "{\"alg\":\"EdDSA\"}", 15);
    token[n++] = '.';
    n += base64(token + n, "Example of Ed25519 signing", 26);
    assert_string_equal(token, "eyJhbGciOiJFZERTQSJ9."
                        "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");

    crypto_sign_detached(signature, NULL, (uint8_t *) token, n,
                         keys.keys[0].secret_key);
    base64(expected, signature, 64);
    assert_string_equal(expected, "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR"
                        "6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");

    assert_int_equal(crypto_sign_verify_detached(signature, (uint8_t *) token,
                                                 n, keys.keys[0].public_key),
                     0);
}


static void
key_without_kid_has_the_thumbprint_of_rfc_8037(void **state)
{
    chat_token_keys_t  k;

    assert_int_equal(load("{" RFC_PUBLIC "}", &k), 0);
    assert_int_equal(k.n, 1);
    assert_false(k.keys[0].has_secret);
    assert_string_equal(k.keys[0].kid,
                        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}


static void
signed_token_is_verified(void **state)
{
    char          text[CHAT_TOKEN_MAX + 1];
    size_t        len;
    chat_token_t  t = { 12, INT64_MAX, NOW, NOW + 900 }, got;

    len = chat_token_sign(&keys.keys[0], &t, text);
    assert_true(len > 0);
    assert_int_equal(len, strlen(text));
    assert_true(len <= CHAT_TOKEN_MAX);

    assert_int_equal(verify(text, len, &got), CHAT_TOKEN_OK);
    assert_int_equal(got.user, 12);
    assert_true(got.device == INT64_MAX);
    assert_int_equal(got.issued, NOW);
    assert_int_equal(got.expires, NOW + 900);
}


static void
hand_made_token_is_verified(void **state)
{
    assert_int_equal(verify_made(HEADER, CLAIMS), CHAT_TOKEN_OK);
    assert_int_equal(verify_made("{\"kid\":\"k1\",\"alg\":\"EdDSA\"}", CLAIMS),
                     CHAT_TOKEN_OK);
}


static void
key_without_secret_signs_nothing(void **state)
{
    char               text[CHAT_TOKEN_MAX + 1];
    chat_token_t       t = { 1, 2, NOW, NOW + 900 };
    chat_token_keys_t  k;

    assert_int_equal(load("{" RFC_PUBLIC "}", &k), 0);
    assert_int_equal(chat_token_sign(&k.keys[0], &t, text), 0);
}


static void
expired_token_is_expired_from_its_second_on(void **state)
{
    char          text[CHAT_TOKEN_MAX + 1];
    size_t        len;
    chat_token_t  t = { 1, 2, NOW - 900, NOW }, got;

    len = chat_token_sign(&keys.keys[0], &t, text);
    assert_int_equal(verify(text, len, &got), CHAT_TOKEN_EXPIRED);

    t.expires = NOW + 1;
    len = chat_token_sign(&keys.keys[0], &t, text);
    assert_int_equal(verify(text, len, &got), CHAT_TOKEN_OK);
}


static void
expired_token_with_a_wrong_signature_is_not_called_expired(void **state)
{
    char          text[CHAT_TOKEN_MAX + 1];
    size_t        len;
    chat_token_t  t = { 1, 2, NOW - 900, NOW }, got;

    len = chat_token_sign(&keys.keys[0], &t, text);
    text[len - 10] ^= 1;
    assert_int_not_equal(verify(text, len, &got), CHAT_TOKEN_EXPIRED);
}


static void
token_cut_anywhere_is_refused(void **state)
{
    char          text[CHAT_TOKEN_MAX + 1];
    size_t        len, i;
    chat_token_t  t = { 1, 2, NOW, NOW + 900 }, got;

    len = chat_token_sign(&keys.keys[0], &t, text);

    for (i = 0; i < len; i++) {
        assert_int_equal(verify(text, i, &got), CHAT_TOKEN_MALFORMED);
    }
}


static void
token_changed_anywhere_is_refused(void **state)
{
    char          text[CHAT_TOKEN_MAX + 1], c;
    size_t        len, i;
    chat_token_t  t = { 1, 2, NOW, NOW + 900 }, got;

    len = chat_token_sign(&keys.keys[0], &t, text);

    for (i = 0; i < len; i++) {
        c = text[i];
        text[i] = c == 'A' ? 'B' : 'A';
        assert_int_not_equal(verify(text, len, &got), CHAT_TOKEN_OK);
        text[i] = '.';

        if (c != '.') {
            assert_int_not_equal(verify(text, len, &got), CHAT_TOKEN_OK);
        }

        text[i] = '=';
        assert_int_not_equal(verify(text, len, &got), CHAT_TOKEN_OK);
        text[i] = c;
    }
}


static void
padded_or_longer_token_is_malformed(void **state)
{
    char          text[2048];
    size_t        len, i;
    chat_token_t  t = { 1, 2, NOW, NOW + 900 }, got;

    static const char  *tails[] = { "=", "==", ".", ".x", "\n", " ", "A" };

    len = chat_token_sign(&keys.keys[0], &t, text);

    for (i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        strcpy(text + len, tails[i]);
        assert_int_equal(verify(text, strlen(text), &got),
                         CHAT_TOKEN_MALFORMED);
    }

    memset(text, 'A', sizeof(text));
    assert_int_equal(verify(text, CHAT_TOKEN_MAX + 1, &got),
                     CHAT_TOKEN_MALFORMED);
}


static void
last_character_has_one_form(void **state)
{
    char          text[CHAT_TOKEN_MAX + 1];
    size_t        len;
    chat_token_t  t = { 1, 2, NOW, NOW + 900 }, got;

    /* 64 bytes leave four bits of the last character, which must be 0: a
     * token has one text, so that it can be counted and refused by it */

    len = chat_token_sign(&keys.keys[0], &t, text);
    assert_true(strchr("AQgw", text[len - 1]) != NULL);
    text[len - 1]++;
    assert_int_equal(verify(text, len, &got), CHAT_TOKEN_MALFORMED);
}


static void
other_algorithms_are_refused_before_any_key(void **state)
{
    size_t             i;
    chat_token_t       got;
    chat_token_keys_t  none;
    char               token[1024], header[100];

    static const char  *algs[] = {
        "\"none\"", "\"None\"", "\"HS256\"", "\"RS256\"", "\"ES256\"",
        "\"eddsa\"", "\"EdDSA \"", "\"\"", "null", "1", "[\"EdDSA\"]"
    };

    memset(&none, 0, sizeof(none));

    for (i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
        snprintf(header, sizeof(header), "{\"alg\":%s,\"kid\":\"k1\"}",
                 algs[i]);
        assert_int_equal(verify_made(header, CLAIMS), CHAT_TOKEN_ALG);
        assert_int_equal(chat_token_verify(&none, token,
                                           make(token, header, CLAIMS), NOW,
                                           &got), CHAT_TOKEN_ALG);
    }

    assert_int_equal(verify_made("{\"kid\":\"k1\"}", CLAIMS), CHAT_TOKEN_ALG);
}


static void
alg_none_without_signature_is_refused(void **state)
{
    char          text[512];
    size_t        n;
    chat_token_t  got;

    static const char  header[] = "{\"alg\":\"none\",\"kid\":\"k1\"}";

    n = base64(text, header, sizeof(header) - 1);
    text[n++] = '.';
    n += base64(text + n, CLAIMS, sizeof(CLAIMS) - 1);
    text[n++] = '.';

    assert_int_equal(verify(text, n, &got), CHAT_TOKEN_ALG);
}


static void
hs256_with_the_public_key_is_refused(void **state)
{
    char          text[512];
    size_t        n;
    uint8_t       mac[crypto_auth_hmacsha256_BYTES];
    chat_token_t  got;

    crypto_auth_hmacsha256_state  st;

    static const char  header[] = "{\"alg\":\"HS256\",\"kid\":\"k1\"}";

    n = base64(text, header, sizeof(header) - 1);
    text[n++] = '.';
    n += base64(text + n, CLAIMS, sizeof(CLAIMS) - 1);

    crypto_auth_hmacsha256_init(&st, keys.keys[0].public_key, 32);
    crypto_auth_hmacsha256_update(&st, (uint8_t *) text, n);
    crypto_auth_hmacsha256_final(&st, mac);

    text[n++] = '.';
    n += base64(text + n, mac, sizeof(mac));

    assert_int_equal(verify(text, n, &got), CHAT_TOKEN_ALG);
}


static void
unknown_and_missing_kid_are_refused(void **state)
{
    assert_int_equal(verify_made("{\"alg\":\"EdDSA\",\"kid\":\"k2\"}",
                                 CLAIMS), CHAT_TOKEN_KID);
    assert_int_equal(verify_made("{\"alg\":\"EdDSA\",\"kid\":\"k\"}",
                                 CLAIMS), CHAT_TOKEN_KID);
    assert_int_equal(verify_made("{\"alg\":\"EdDSA\",\"kid\":\"k11\"}",
                                 CLAIMS), CHAT_TOKEN_KID);
    assert_int_equal(verify_made("{\"alg\":\"EdDSA\",\"kid\":1}",
                                 CLAIMS), CHAT_TOKEN_KID);
    assert_int_equal(verify_made("{\"alg\":\"EdDSA\"}", CLAIMS),
                     CHAT_TOKEN_KID);
}


static void
header_with_crit_or_another_typ_is_malformed(void **state)
{
    size_t  i;

    static const char  *headers[] = {
        "{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"crit\":[\"x\"],\"x\":1}",
        "{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"crit\":[]}",
        "{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"crit\":null}",
        "{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":\"x\"}",
        "{\"alg\":\"EdDSA\",\"kid\":\"k1\",\"typ\":1}",
        "{\"alg\":\"none\",\"alg\":\"EdDSA\",\"kid\":\"k1\"}",
        "[\"alg\",\"EdDSA\"]", "\"EdDSA\"", "{\"alg\"", "", "x",
    };

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        assert_int_equal(verify_made(headers[i], CLAIMS),
                         CHAT_TOKEN_MALFORMED);
    }
}


static void
token_of_another_key_is_a_wrong_signature(void **state)
{
    char               text[CHAT_TOKEN_MAX + 1], *jwk, *jwks;
    size_t             len;
    chat_token_t       t = { 1, 2, NOW, NOW + 900 }, got;
    chat_token_keys_t  other;

    assert_int_equal(chat_token_key_generate(&jwk, &jwks), 0);
    assert_int_equal(load(jwk, &other), 0);
    strcpy(other.keys[0].kid, "k1");

    len = chat_token_sign(&other.keys[0], &t, text);
    assert_int_equal(verify(text, len, &got), CHAT_TOKEN_SIGNATURE);

    free(jwk);
    free(jwks);
}


static void
swapped_payload_is_a_wrong_signature(void **state)
{
    char          one[1024], two[1024], text[1024];
    size_t        n;
    chat_token_t  t1 = { 1, 2, NOW, NOW + 900 }, t2 = t1, got;

    t2.user = 3;
    n = chat_token_sign(&keys.keys[0], &t1, one);
    assert_int_equal(chat_token_sign(&keys.keys[0], &t2, two), n);

    strcpy(text, two);
    strcpy(strrchr(text, '.'), strrchr(one, '.'));
    assert_int_equal(verify(text, n, &got), CHAT_TOKEN_SIGNATURE);
}


static void
wrong_claims_are_refused(void **state)
{
    size_t  i;

    static const char  *claims[] = {
        "{\"did\":\"34\",\"iat\":1767323000,\"exp\":1767323900}",
        "{\"sub\":\"12\",\"iat\":1767323000,\"exp\":1767323900}",
        "{\"sub\":\"12\",\"did\":\"34\",\"exp\":1767323900}",
        "{\"sub\":\"12\",\"did\":\"34\",\"iat\":1767323000}",
        "{\"sub\":12,\"did\":\"34\",\"iat\":1767323000,\"exp\":1767323900}",
        "{\"sub\":\"12\",\"did\":34,\"iat\":1767323000,\"exp\":1767323900}",
        "{\"sub\":\"0\",\"did\":\"34\",\"iat\":1767323000,\"exp\":1767323900}",
        "{\"sub\":\"x\",\"did\":\"34\",\"iat\":1767323000,\"exp\":1767323900}",
        "{\"sub\":\"12\",\"did\":\"034\",\"iat\":1767323000,"
            "\"exp\":1767323900}",
        "{\"sub\":\"12\",\"did\":\"34\",\"iat\":\"1767323000\","
            "\"exp\":1767323900}",
        "{\"sub\":\"12\",\"did\":\"34\",\"iat\":1767323000,"
            "\"exp\":\"1767323900\"}",
        "{\"sub\":\"12\",\"did\":\"34\",\"iat\":1767323000,"
            "\"exp\":1767323900.5}",
        "{\"sub\":\"12\",\"did\":\"34\",\"iat\":1767323000,"
            "\"exp\":9223372036854775807}",
        "{\"sub\":\"12\",\"did\":\"34\",\"iat\":-1,\"exp\":1767323900}",
        /* 61 s ahead */
        "{\"sub\":\"12\",\"did\":\"34\",\"iat\":1767323106,"
            "\"exp\":1767323900}",
        "{\"sub\":\"12\",\"did\":\"34\",\"iat\":1767323000,"
            "\"exp\":1767323900,\"aud\":\"x\"}",
        "{\"sub\":\"12\",\"did\":\"34\",\"iat\":1767323000,"
            "\"exp\":1767323900,\"nbf\":1767323106}",
        "{}",
    };

    for (i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        assert_int_equal(verify_made(HEADER, claims[i]), CHAT_TOKEN_CLAIMS);
    }

    assert_int_equal(verify_made(HEADER, "{\"sub\":\"12\",\"did\":\"34\","
                                 "\"iat\":1767323105,\"exp\":1767323900}"),
                     CHAT_TOKEN_OK);
}


static void
claims_that_are_not_an_object_are_malformed(void **state)
{
    size_t  i;

    static const char  *claims[] = {
        "", "x", "[]", "\"x\"", "{", "{\"sub\":\"1\",\"sub\":\"2\"}",
        "{\"sub\":\"1\\u0000\"}", "{\"sub\":\"\xff\"}"
    };

    for (i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        assert_int_equal(verify_made(HEADER, claims[i]),
                         CHAT_TOKEN_MALFORMED);
    }
}


static void
generated_key_signs_what_its_public_set_verifies(void **state)
{
    char               text[CHAT_TOKEN_MAX + 1], *jwk, *jwks;
    size_t             len;
    chat_token_t       t = { 1, 2, NOW, NOW + 900 }, got;
    chat_token_keys_t  secret, public;

    assert_int_equal(chat_token_key_generate(&jwk, &jwks), 0);
    assert_int_equal(load(jwk, &secret), 0);
    assert_int_equal(load(jwks, &public), 0);

    assert_true(secret.keys[0].has_secret);
    assert_false(public.keys[0].has_secret);
    assert_string_equal(secret.keys[0].kid, public.keys[0].kid);
    assert_null(strstr(jwks, "\"d\""));

    len = chat_token_sign(&secret.keys[0], &t, text);
    assert_int_equal(chat_token_verify(&public, text, len, NOW, &got),
                     CHAT_TOKEN_OK);

    free(jwk);
    free(jwks);
}


static void
set_is_read_and_other_keys_are_skipped(void **state)
{
    chat_token_keys_t  k;

    assert_int_equal(load("{\"keys\":["
        "{\"kty\":\"RSA\",\"n\":\"x\",\"e\":\"AQAB\"},"
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" RFC_X "\"},"
        "{\"use\":\"enc\"," RFC_PUBLIC "},"
        "{\"alg\":\"ES256\"," RFC_PUBLIC "},"
        "{\"kid\":\"a\",\"use\":\"sig\",\"alg\":\"EdDSA\"," RFC_PUBLIC "},"
        "{\"kid\":\"b\"," RFC_SECRET "}]}", &k), 0);

    assert_int_equal(k.n, 2);
    assert_string_equal(k.keys[0].kid, "a");
    assert_false(k.keys[0].has_secret);
    assert_string_equal(k.keys[1].kid, "b");
    assert_true(k.keys[1].has_secret);
}


static void
invalid_keys_are_refused_with_a_sentence(void **state)
{
    size_t             i;
    chat_token_keys_t  k;

    static const char  *texts[] = {
        "", "x", "[]", "{}", "{\"keys\":[]}", "{\"keys\":{}}",
        "{\"keys\":[1]}", "{\"keys\":[{\"kty\":\"RSA\"}]}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":1}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" RFC_X "=\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" RFC_X "AAAA\"}",
        "{" RFC_PUBLIC ",\"d\":\"" RFC_X "\"}",
        "{" RFC_PUBLIC ",\"d\":\"AAAA\"}",
        "{" RFC_PUBLIC ",\"kid\":\"\"}",
        "{" RFC_PUBLIC ",\"kid\":1}",
        "{" RFC_PUBLIC ",\"kid\":\"a b\"}",
        "{" RFC_PUBLIC ",\"kid\":\"1234567890123456789012345678901234567890"
            "1234567890123456789012345\"}",
        "{" RFC_PUBLIC ",\"kid\":\"a\",\"kid\":\"b\"}",
        "{\"keys\":[{" RFC_PUBLIC "},{" RFC_PUBLIC "}]}",
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(load(texts[i], &k), -1);
        assert_true(strlen(err) > 0);
        assert_int_equal(k.n, 0);
    }
}


static void
more_keys_than_fit_are_refused(void **state)
{
    int                n;
    char               text[4096], *p;
    chat_token_keys_t  k;

    p = text + sprintf(text, "{\"keys\":[");

    for (n = 0; n <= CHAT_TOKEN_KEYS_MAX; n++) {
        p += sprintf(p, "%s{\"kid\":\"%d\"," RFC_PUBLIC "}", n ? "," : "", n);

        if (n == CHAT_TOKEN_KEYS_MAX - 1) {
            strcpy(p, "]}");
            assert_int_equal(load(text, &k), 0);
            assert_int_equal(k.n, CHAT_TOKEN_KEYS_MAX);
        }
    }

    strcpy(p, "]}");
    assert_int_equal(load(text, &k), -1);
}


static void
every_result_has_its_own_sentence(void **state)
{
    int  a, b;

    for (a = CHAT_TOKEN_OK; a <= CHAT_TOKEN_EXPIRED; a++) {
        for (b = CHAT_TOKEN_OK; b < a; b++) {
            assert_string_not_equal(chat_token_why(a), chat_token_why(b));
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(signature_is_the_one_of_rfc_8037),
        cmocka_unit_test(key_without_kid_has_the_thumbprint_of_rfc_8037),
        cmocka_unit_test(signed_token_is_verified),
        cmocka_unit_test(hand_made_token_is_verified),
        cmocka_unit_test(key_without_secret_signs_nothing),
        cmocka_unit_test(expired_token_is_expired_from_its_second_on),
        cmocka_unit_test(
            expired_token_with_a_wrong_signature_is_not_called_expired),
        cmocka_unit_test(token_cut_anywhere_is_refused),
        cmocka_unit_test(token_changed_anywhere_is_refused),
        cmocka_unit_test(padded_or_longer_token_is_malformed),
        cmocka_unit_test(last_character_has_one_form),
        cmocka_unit_test(other_algorithms_are_refused_before_any_key),
        cmocka_unit_test(alg_none_without_signature_is_refused),
        cmocka_unit_test(hs256_with_the_public_key_is_refused),
        cmocka_unit_test(unknown_and_missing_kid_are_refused),
        cmocka_unit_test(header_with_crit_or_another_typ_is_malformed),
        cmocka_unit_test(token_of_another_key_is_a_wrong_signature),
        cmocka_unit_test(swapped_payload_is_a_wrong_signature),
        cmocka_unit_test(wrong_claims_are_refused),
        cmocka_unit_test(claims_that_are_not_an_object_are_malformed),
        cmocka_unit_test(generated_key_signs_what_its_public_set_verifies),
        cmocka_unit_test(set_is_read_and_other_keys_are_skipped),
        cmocka_unit_test(invalid_keys_are_refused_with_a_sentence),
        cmocka_unit_test(more_keys_than_fit_are_refused),
        cmocka_unit_test(every_result_has_its_own_sentence),
    };

    return cmocka_run_group_tests(tests, load_rfc_key, NULL);
}
