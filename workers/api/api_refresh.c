/*
 * api_refresh.c: POST /auth/refresh.
 *
 * Called from api_route.c; hands to store_account.h and api_token.c. Using a
 * refresh token replaces it (rotation, RFC 9700, section 4.14.2). A token that
 * was replaced within the last minute and whose successor is unused gets the
 * same pair again, for a client that lost the answer. Any other replaced token
 * is treated as stolen: the device is revoked. The token's row is locked, so
 * concurrent requests get the same pair.
 */

#include <string.h>

#include <sodium.h>

#include "api.h"

typedef enum {
    API_REFRESH_PAIR,           /* commit and answer with it            */
    API_REFRESH_REVOKED,        /* commit: the device was revoked       */
    API_REFRESH_REFUSED         /* roll back: the answer is made        */
} api_refresh_e;

static api_refresh_e api_refresh_try(api_req_t *req, const char *refresh,
    const uint8_t hash[32], store_token_t *token, api_pair_t *pair_r);
static api_refresh_e api_refresh_replace(api_req_t *req, const char *refresh,
    const uint8_t hash[32], const store_token_t *token, api_pair_t *pair_r);
static api_refresh_e api_refresh_again(api_req_t *req, const char *refresh,
    const store_token_t *token, api_pair_t *pair_r);
static api_refresh_e api_refresh_refuse(api_req_t *req, chat_error_e error);


void
api_auth_refresh(api_req_t *req)
{
    store_e           rc;
    uint8_t           hash[32];
    api_pair_t        pair;
    const char       *refresh;
    api_refresh_e     end;
    store_token_t     token;
    store_revoked_t   revoked;

    if (api_field_text(req, req->json, "refreshToken", 1, 256, 1, &refresh)
        != 0)
    {
        return;
    }

    if (api_token_hash(refresh, strlen(refresh), hash) != 0) {
        api_reply_error(req, CHAT_E_UNAUTHORIZED, NULL);
        return;
    }

    rc = store_account_begin(req->pg);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    end = api_refresh_try(req, refresh, hash, &token, &pair);

    if (end == API_REFRESH_REFUSED) {
        store_account_rollback(req->pg);
        return;
    }

    rc = store_account_commit(req->pg);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    api_db_put(req);

    if (end == API_REFRESH_REVOKED) {
        worker_log(WORKER_WARN, "refresh token reused user=%llu device=%llu "
                   "revoked", (unsigned long long) token.user,
                   (unsigned long long) token.device);

        revoked.user = token.user;
        revoked.device = token.device;
        revoked.at = worker_ms() / 1000 + 1;
        api_revoke_notify(req->api, &revoked, 1);
        api_reply_error(req, CHAT_E_REFRESH_REUSED, NULL);
        return;
    }

    api_reply_json(req, MHD_HTTP_OK, api_token_json(&pair));
    sodium_memzero(&pair, sizeof(pair));
}


static api_refresh_e
api_refresh_try(api_req_t *req, const char *refresh, const uint8_t hash[32],
    store_token_t *token, api_pair_t *pair_r)
{
    store_e  rc;

    rc = store_token_lock(req->pg, hash, token);

    if (rc == STORE_NOT_FOUND) {
        return api_refresh_refuse(req, CHAT_E_UNAUTHORIZED);
    }

    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return API_REFRESH_REFUSED;
    }

    if (token->revoked) {
        return api_refresh_refuse(req, CHAT_E_DEVICE_REVOKED);
    }

    if (token->suspended) {
        return api_refresh_refuse(req, CHAT_E_SUSPENDED);
    }

    return token->replaced
           ? api_refresh_again(req, refresh, token, pair_r)
           : api_refresh_replace(req, refresh, hash, token, pair_r);
}


static api_refresh_e
api_refresh_replace(api_req_t *req, const char *refresh,
    const uint8_t hash[32], const store_token_t *token, api_pair_t *pair_r)
{
    size_t   n;
    store_e  rc;
    uint8_t  sealed[API_SEALED_MAX];

    if (api_token_pair(req->api, token->user, token->device, pair_r) != 0) {
        return api_refresh_refuse(req, CHAT_E_INTERNAL);
    }

    n = api_token_seal(refresh, pair_r, sealed);

    rc = store_token_replace(req->pg, hash, pair_r->refresh_hash, sealed, n);

    if (rc == STORE_OK) {
        rc = store_token_put(req->pg, pair_r->refresh_hash, token->device);
    }

    if (rc == STORE_OK) {
        rc = store_device_seen(req->pg, token->device);
    }

    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return API_REFRESH_REFUSED;
    }

    return API_REFRESH_PAIR;
}


static api_refresh_e
api_refresh_again(api_req_t *req, const char *refresh,
    const store_token_t *token, api_pair_t *pair_r)
{
    int      used;
    store_e  rc;

    rc = store_token_is_used(req->pg, token->replaced_by, &used);

    if (rc == STORE_OK) {
        if (token->recent && !used
            && api_token_open(refresh, token->sealed, token->nsealed, pair_r)
               == 0)
        {
            return API_REFRESH_PAIR;
        }

        rc = store_device_revoke(req->pg, token->user, token->device);
    }

    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return API_REFRESH_REFUSED;
    }

    return API_REFRESH_REVOKED;
}


static api_refresh_e
api_refresh_refuse(api_req_t *req, chat_error_e error)
{
    api_reply_error(req, error, NULL);

    return API_REFRESH_REFUSED;
}
