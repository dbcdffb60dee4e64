/*
 * api_login.c: POST /auth/login: exchanges a code for a device.
 *
 * Called from api_route.c; hands to store_account.h. One transaction: the
 * code's row is locked first, so that a code works once and at most five
 * wrong tries are possible; then the user's row, so that concurrent logins
 * cannot exceed the limit of devices. Void, expired, unknown and wrong codes
 * all get the same answer.
 */

#include <string.h>

#include <sodium.h>

#include "api.h"
#include "chat_id.h"
#include "store_read.h"

typedef struct {
    chat_str_t    number;
    const char   *code;
    const char   *pin;          /* NULL when not sent                       */
    const char   *name;
    const char   *platform;
    uint64_t      revoke;       /* device to replace, 0: none               */
} api_login_t;

/* result of the login */
typedef struct {
    uint64_t      user;
    uint64_t      device;
    int           new_user;
    int           revoked;      /* login->revoke was revoked just now       */
    api_pair_t    pair;
} api_logged_in_t;

/* how the transaction ends */
typedef enum { API_LOGIN_COMMIT, API_LOGIN_ROLLBACK } api_login_e;

static int api_login_fields(api_req_t *req, api_login_t *login_r);
static api_login_e api_login_try(api_req_t *req, const api_login_t *login,
    api_logged_in_t *in_r);
static int api_login_code(api_req_t *req, const api_login_t *login,
    api_login_e *end_r);
static int api_login_user(api_req_t *req, const api_login_t *login,
    api_logged_in_t *in, api_login_e *end_r);
static int api_login_room(api_req_t *req, const api_login_t *login,
    api_logged_in_t *in);
static api_login_e api_login_wrong(api_req_t *req, const api_login_t *login,
    chat_error_e error);
static api_login_e api_login_store(api_req_t *req, store_e rc);
static void api_login_reply(api_req_t *req, const api_logged_in_t *in);


void
api_auth_login(api_req_t *req)
{
    char              address[64];
    store_e           rc;
    api_login_e       end;
    api_login_t       login;
    api_logged_in_t   in;
    store_revoked_t   revoked;

    if (api_login_fields(req, &login) != 0) {
        return;
    }

    api_limit_address(req, address);

    if (api_limit(req, "login", address, req->api->conf->login_limit_address)
        != 0
        || api_db_get(req) != 0)
    {
        return;
    }

    rc = store_account_begin(req->pg);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    memset(&in, 0, sizeof(in));
    end = api_login_try(req, &login, &in);

    if (end == API_LOGIN_ROLLBACK) {
        store_account_rollback(req->pg);
        return;
    }

    rc = store_account_commit(req->pg);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    api_db_put(req);

    if (in.revoked) {
        revoked.user = in.user;
        revoked.device = login.revoke;
        revoked.at = worker_ms() / 1000 + 1;
        api_revoke_notify(req->api, &revoked, 1);
    }

    if (in.device != 0) {
        api_login_reply(req, &in);
    }

    sodium_memzero(&in, sizeof(in));
}


static int
api_login_fields(api_req_t *req, api_login_t *login_r)
{
    json_t      *device;
    const char  *revoke;

    memset(login_r, 0, sizeof(*login_r));

    if (api_field_number(req, "phoneNumber", &login_r->number) != 0
        || api_field_text(req, req->json, "code", 1, 32, 1, &login_r->code)
           != 0
        || api_field_text(req, req->json, "pin", 0, 64, 0, &login_r->pin) != 0
        || api_field_text(req, req->json, "revokeDeviceId", 1, 20, 0, &revoke)
           != 0)
    {
        return -1;
    }

    if (revoke != NULL
        && chat_num_parse(revoke, strlen(revoke), &login_r->revoke) != 0)
    {
        api_reply_field(req, "revokeDeviceId", "is no device id");
        return -1;
    }

    device = json_object_get(req->json, "device");

    if (!json_is_object(device)) {
        api_reply_field(req, "device", device == NULL || json_is_null(device)
                        ? "is missing" : "is not an object");
        return -1;
    }

    if (api_field_text(req, device, "name", 1, 64, 1, &login_r->name) != 0
        || api_field_text(req, device, "platform", 1, 32, 1,
                          &login_r->platform) != 0)
    {
        return -1;
    }

    if (api_field_has_control(login_r->name, 0)
        || api_field_has_control(login_r->platform, 0))
    {
        api_reply_field(req, "device", "has control characters");
        return -1;
    }

    return 0;
}


/* In the transaction. The answer is made when it does not end in a device. */

static api_login_e
api_login_try(api_req_t *req, const api_login_t *login, api_logged_in_t *in_r)
{
    store_e      rc;
    uint64_t     device;
    api_login_e  end;

    if (api_login_code(req, login, &end) != 0
        || api_login_user(req, login, in_r, &end) != 0)
    {
        return end;
    }

    if (api_login_room(req, login, in_r) != 0) {
        return API_LOGIN_ROLLBACK;
    }

    rc = store_device_create(req->pg, in_r->user, login->name,
                             login->platform, &device);
    if (rc != STORE_OK) {
        return api_login_store(req, rc);
    }

    if (api_token_pair(req->api, in_r->user, device, &in_r->pair) != 0) {
        api_reply_error(req, CHAT_E_INTERNAL, NULL);
        return API_LOGIN_ROLLBACK;
    }

    rc = store_token_put(req->pg, in_r->pair.refresh_hash, device);
    if (rc != STORE_OK) {
        return api_login_store(req, rc);
    }

    rc = store_code_use(req->pg, login->number.data);
    if (rc != STORE_OK) {
        return api_login_store(req, rc);
    }

    /* This comes before the commit that creates the device: if setting its
     * cursors fails, no device exists that would receive all of history. */
    rc = store_receipts_start_at_now(req->reader, in_r->user, device);
    if (rc != STORE_OK) {
        return api_login_store(req, rc);
    }

    in_r->device = device;

    return API_LOGIN_COMMIT;
}


/* 0 when the code is right. */

static int
api_login_code(api_req_t *req, const api_login_t *login, api_login_e *end_r)
{
    store_e       rc;
    uint8_t       hash[32];
    store_code_t  code;

    api_code_hash(req->api, login->number.data, login->code, hash);

    rc = store_code_lock(req->pg, login->number.data, &code);

    if (rc == STORE_NOT_FOUND
        || (rc == STORE_OK
            && (code.expired || code.attempts >= API_CODE_TRIES)))
    {
        api_reply_error(req, CHAT_E_WRONG_CODE, NULL);
        *end_r = API_LOGIN_ROLLBACK;
        return -1;
    }

    if (rc != STORE_OK) {
        *end_r = api_login_store(req, rc);
        return -1;
    }

    if (sodium_memcmp(hash, code.hash, sizeof(hash)) != 0) {
        *end_r = api_login_wrong(req, login, CHAT_E_WRONG_CODE);
        return -1;
    }

    return 0;
}


/* Finds or creates the user; 0 when the login is allowed. A wrong PIN counts as
 * a wrong code: the thief of a number has five tries per code. */

static int
api_login_user(api_req_t *req, const api_login_t *login, api_logged_in_t *in,
    api_login_e *end_r)
{
    store_e        rc;
    store_login_t  user;

    *end_r = API_LOGIN_ROLLBACK;

    rc = store_login_user(req->pg, login->number.data, &user);

    if (rc == STORE_NOT_FOUND) {
        rc = store_login_create(req->pg, login->number.data, &in->user);
        if (rc != STORE_OK) {
            *end_r = api_login_store(req, rc);
            return -1;
        }

        in->new_user = 1;
        return 0;
    }

    if (rc != STORE_OK) {
        *end_r = api_login_store(req, rc);
        return -1;
    }

    in->user = user.id;

    if (user.suspended) {
        api_reply_error(req, CHAT_E_SUSPENDED, NULL);
        return -1;
    }

    if (user.pin_hash[0] == '\0') {
        return 0;
    }

    if (login->pin == NULL) {
        api_reply_error(req, CHAT_E_PIN_REQUIRED, "A PIN is set.");
        return -1;
    }

    if (!api_pin_verify(user.pin_hash, login->pin)) {
        *end_r = api_login_wrong(req, login, CHAT_E_PIN_REQUIRED);
        return -1;
    }

    return 0;
}


/* Revokes the named device and counts; 0 when one more is allowed. */

static int
api_login_room(api_req_t *req, const api_login_t *login, api_logged_in_t *in)
{
    size_t           i;
    json_t          *list;
    store_e          rc;
    store_devices_t  devices;

    if (in->new_user) {
        return 0;
    }

    if (login->revoke != 0) {
        rc = store_device_revoke(req->pg, in->user, login->revoke);
        if (rc != STORE_OK && rc != STORE_NOT_FOUND) {
            api_reply_store(req, rc);
            return -1;
        }
        in->revoked = rc == STORE_OK;
    }

    rc = store_device_list(req->pg, in->user, &devices);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return -1;
    }

    if (devices.n < CHAT_DEVICES_MAX) {
        store_devices_free(&devices);
        return 0;
    }

    list = json_array();

    for (i = 0; i < devices.n; i++) {
        json_array_append_new(list, api_device_json(&devices.items[i], 0));
    }

    store_devices_free(&devices);
    api_reply_error_with(req, CHAT_E_TOO_MANY_DEVICES,
                         "Name one in revokeDeviceId.", "devices", list);

    return -1;
}


static api_login_e
api_login_wrong(api_req_t *req, const api_login_t *login, chat_error_e error)
{
    store_e  rc;

    rc = store_code_wrong(req->pg, login->number.data);
    if (rc != STORE_OK) {
        return api_login_store(req, rc);
    }

    api_reply_error(req, error, NULL);

    return API_LOGIN_COMMIT;
}


static api_login_e
api_login_store(api_req_t *req, store_e rc)
{
    api_reply_store(req, rc);

    return API_LOGIN_ROLLBACK;
}


static void
api_login_reply(api_req_t *req, const api_logged_in_t *in)
{
    json_t  *root;

    worker_log(WORKER_INFO, "login user=%llu device=%llu new=%d",
               (unsigned long long) in->user,
               (unsigned long long) in->device, in->new_user);

    root = api_token_json(&in->pair);
    api_set(root, "userId", api_json_num(in->user));
    api_set(root, "deviceId", api_json_num(in->device));
    api_set(root, "newUser", json_boolean(in->new_user));
    api_reply_json(req, MHD_HTTP_OK, root);
}
