/*
 * api_auth.c: POST /auth/code and POST /auth/logout.
 *
 * Called from api_route.c; hands to api_code.c, api_revoke.c. The answer to a
 * request for a code is the same whether or not the number has an account.
 */

#include <string.h>

#include <sodium.h>

#include "api.h"

#define API_CODE_RETRY  10      /* s, after a failed webhook */

static void api_auth_void(api_req_t *req, const char *number,
    const uint8_t hash[32]);


void
api_auth_code(api_req_t *req)
{
    char         code[7], address[64];
    json_t      *root;
    store_e      rc;
    uint8_t      hash[32];
    chat_str_t   number;

    if (api_field_number(req, "phoneNumber", &number) != 0) {
        return;
    }

    api_limit_address(req, address);

    if (api_limit(req, "address", address, req->api->conf->code_limit_address)
        != 0
        || api_limit(req, "number", number.data,
                     req->api->conf->code_limit_number)
           != 0)
    {
        return;
    }

    api_code_make(code);
    api_code_hash(req->api, number.data, code, hash);

    if (api_db_get(req) != 0) {
        return;
    }

    rc = store_code_put(req->pg, number.data, hash, API_CODE_LIFE);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    /* Release the connection: the webhook may take five seconds. */
    api_db_put(req);

    if (api_code_send(req->api, number.data, code) != 0) {
        api_auth_void(req, number.data, hash);
        req->retry_after = API_CODE_RETRY;
        api_reply_error(req, CHAT_E_UNAVAILABLE,
                        "The code could not be sent.");
        sodium_memzero(code, sizeof(code));
        return;
    }

    root = json_pack("{s:i}", "expiresIn", API_CODE_LIFE);

    if (req->api->dev_sender) {
        api_set(root, "devCode", json_string(code));
    }

    sodium_memzero(code, sizeof(code));
    api_reply_json(req, MHD_HTTP_ACCEPTED, root);
}


void
api_auth_logout(api_req_t *req)
{
    store_e          rc;
    store_revoked_t  revoked;

    rc = store_device_revoke(req->pg, req->user, req->device);

    /* A concurrent request has revoked it: the result is the same. */
    if (rc != STORE_OK && rc != STORE_NOT_FOUND) {
        api_reply_store(req, rc);
        return;
    }

    revoked.user = req->user;
    revoked.device = req->device;
    revoked.at = worker_ms() / 1000 + 1;

    api_db_put(req);
    api_revoke_notify(req->api, &revoked, 1);
    api_reply_empty(req);
}


/* Deletes a code that was not delivered: it would stay guessable for five
 * minutes. */

static void
api_auth_void(api_req_t *req, const char *number, const uint8_t hash[32])
{
    store_pg_t  *pg;

    pg = api_db_acquire(req->api->db, API_WAIT_MS);

    if (pg == NULL || store_code_drop(pg, number, hash) != STORE_OK) {
        worker_log(WORKER_WARN, "a code that was not sent stays until it "
                   "expires");
    }

    if (pg != NULL) {
        api_db_release(req->api->db, pg);
    }
}
