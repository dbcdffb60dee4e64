/*
 * api_code.c: creates, hashes and sends login codes.
 *
 * Called from api_auth.c and api_login.c, and at start from api_server.c;
 * hands to libcurl. A code is stored as a keyed hash bound to its number, so
 * that a reader of the table cannot try all million codes. Codes, numbers and
 * libcurl's messages, which quote the URL, are never logged.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <sodium.h>

#include "api.h"

#define API_CODE_SEND_MS  5000

static int api_code_is_loopback(const char *address, size_t len);
static size_t api_code_ignore(char *data, size_t size, size_t n, void *arg);
static CURLcode api_code_post(const worker_conf_t *conf, const char *body,
    struct curl_slist *headers, long *status_r);


int
api_code_check_sender(const worker_conf_t *conf)
{
    size_t       len;
    const char  *p;

    if (strcmp(conf->code_sender, "webhook") == 0) {

        if (conf->code_webhook_url == NULL || conf->code_webhook_url[0] == '\0'
            || conf->code_webhook_secret == NULL
            || conf->code_webhook_secret[0] == '\0')
        {
            fprintf(stderr, "chat-worker api: code_sender webhook needs "
                    "code_webhook_url and code_webhook_secret\n");
            return -1;
        }

        return 0;
    }

    if (conf->code_dev_force) {
        return 0;
    }

    for (p = conf->listen_hint ? conf->listen_hint : ""; *p != '\0'; p += len) {
        p += strspn(p, " ,;\t");
        len = strcspn(p, " ,;\t");

        if (len > 0 && !api_code_is_loopback(p, len)) {
            fprintf(stderr, "chat-worker api: code_sender dev hands login "
                    "codes to whoever asks, but listen_hint names \"%.*s\", "
                    "which is not a loopback address; use code_sender "
                    "webhook, or code_dev_force 1 in a closed network\n",
                    (int) len, p);
            return -1;
        }
    }

    return 0;
}


void
api_code_make(char code[7])
{
    snprintf(code, 7, "%06u", (unsigned) randombytes_uniform(1000000));
}


void
api_code_hash(const api_t *api, const char *number, const char *code,
    uint8_t hash_r[32])
{
    crypto_generichash_state  state;

    crypto_generichash_init(&state, api->code_key, sizeof(api->code_key), 32);
    crypto_generichash_update(&state, (const uint8_t *) number,
                              strlen(number) + 1);
    crypto_generichash_update(&state, (const uint8_t *) code,
                              strlen(code) + 1);
    crypto_generichash_final(&state, hash_r, 32);
}


int
api_code_send(const api_t *api, const char *number, const char *code)
{
    char                           body[160], hex[65], header[96];
    long                           status;
    uint8_t                        mac[32];
    CURLcode                       rc;
    struct curl_slist             *headers;
    crypto_auth_hmacsha256_state   state;

    if (api->dev_sender) {
        return 0;
    }

    /* Number and code are digits: nothing needs escaping. */
    snprintf(body, sizeof(body),
             "{\"phoneNumber\":\"%s\",\"code\":\"%s\",\"expiresIn\":%d}",
             number, code, API_CODE_LIFE);

    crypto_auth_hmacsha256_init(&state,
        (const uint8_t *) api->conf->code_webhook_secret,
        strlen(api->conf->code_webhook_secret));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *) body,
                                  strlen(body));
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_bin2hex(hex, sizeof(hex), mac, sizeof(mac));

    snprintf(header, sizeof(header), "X-Chat-Signature: %s", hex);
    headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, header);

    status = 0;
    rc = api_code_post(api->conf, body, headers, &status);

    curl_slist_free_all(headers);
    sodium_memzero(body, sizeof(body));

    if (rc != CURLE_OK || status < 200 || status > 299) {
        worker_log(WORKER_WARN, "code webhook failed curl=%d status=%ld",
                   (int) rc, status);
        return -1;
    }

    return 0;
}


static CURLcode
api_code_post(const worker_conf_t *conf, const char *body,
    struct curl_slist *headers, long *status_r)
{
    CURL      *curl;
    CURLcode   rc;

    curl = curl_easy_init();
    if (curl == NULL) {
        return CURLE_FAILED_INIT;
    }

    curl_easy_setopt(curl, CURLOPT_URL, conf->code_webhook_url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long) API_CODE_SEND_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) API_CODE_SEND_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, api_code_ignore);

    /* No redirects: only the configured URL may receive a code. */
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);

    /* libcurl's timeouts must not use SIGALRM in a threaded process. */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);

    rc = curl_easy_perform(curl);

    if (rc == CURLE_OK) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status_r);
    }

    curl_easy_cleanup(curl);

    return rc;
}


/* Of "127.0.0.1:8080", "[::1]:80", "localhost", "unix:/path". A bare port
 * or "*" means every address. */

static int
api_code_is_loopback(const char *address, size_t len)
{
    size_t  i;

    static const char *const  hosts[] = {
        "localhost", "[::1]", "::1", NULL
    };

    if (strncmp(address, "unix:", 5) == 0) {
        return 1;
    }

    if (len >= 4 && strncmp(address, "127.", 4) == 0) {
        /* Require an address: 127.example.org is a name. */
        i = strspn(address, "0123456789.");
        return i >= len || address[i] == ':';
    }

    for (i = 0; hosts[i] != NULL; i++) {
        if (len >= strlen(hosts[i])
            && strncasecmp(address, hosts[i], strlen(hosts[i])) == 0
            && (len == strlen(hosts[i]) || address[strlen(hosts[i])] == ':'))
        {
            return 1;
        }
    }

    return 0;
}


static size_t
api_code_ignore(char *data, size_t size, size_t n, void *arg)
{
    return size * n;
}
