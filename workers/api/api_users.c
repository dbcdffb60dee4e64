/*
 * api_users.c: /users/me and what is below it, GET /users/{userId}.
 *
 * Called from api_route.c; hands to store_account.h, api_pin.c, api_revoke.c.
 *
 * Fields: username 1 to 64 characters, about up to 256, profilePictureUrl an
 * http or https URL up to 1024; null empties each. status: available, away,
 * busy or invisible; others see an invisible user as offline. privacy
 * lastSeen: everyone, contacts or nobody. PIN: 6 to 12 digits.
 *
 * Erasing an account deletes all personal data. Hiding its messages in the
 * chats is the task of the message workers.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "api.h"

/* PIN tries per user and hour: protects the PIN from a stolen access token */
#define API_PIN_TRIES  10

static void api_users_answer(api_req_t *req);
static int api_users_change(api_req_t *req, store_profile_change_t *change_r);
static int api_users_is_url(const char *text);
static int api_users_word(api_req_t *req, const char *name,
    const char *const *words, const char **word_r);
static int api_users_pin_fields(api_req_t *req, const char **pin_r,
    const char **current_r);
static int api_users_pin_prove(api_req_t *req, const char *hash,
    const char *current);


void
api_users_me(api_req_t *req)
{
    api_users_answer(req);
}


void
api_users_me_patch(api_req_t *req)
{
    store_e                  rc;
    store_profile_change_t   change;

    if (api_users_change(req, &change) != 0) {
        return;
    }

    rc = store_profile_change(req->pg, req->user, &change);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    api_users_answer(req);
}


void
api_users_me_status(api_req_t *req)
{
    store_e      rc;
    const char  *status;

    static const char *const  words[] = {
        "available", "away", "busy", "invisible", NULL
    };

    if (api_users_word(req, "status", words, &status) != 0) {
        return;
    }

    rc = store_profile_status(req->pg, req->user, status);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    (void) fanout_account_refresh(&req->api->redis, req->user);
    api_users_answer(req);
}


void
api_users_me_privacy(api_req_t *req)
{
    store_e      rc;
    const char  *last_seen;

    static const char *const  words[] = {
        "everyone", "contacts", "nobody", NULL
    };

    if (api_users_word(req, "lastSeen", words, &last_seen) != 0) {
        return;
    }

    rc = store_profile_privacy(req->pg, req->user, last_seen);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    (void) fanout_account_refresh(&req->api->redis, req->user);
    api_users_answer(req);
}


void
api_users_me_pin(api_req_t *req)
{
    char              before[STORE_PIN_MAX], hash[STORE_PIN_MAX];
    store_e           rc;
    const char       *pin, *current;
    store_profile_t   profile;

    if (api_users_pin_fields(req, &pin, &current) != 0) {
        return;
    }

    rc = store_profile_get(req->pg, req->user, &profile);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    snprintf(before, sizeof(before), "%.*s", (int) profile.pin_hash.len,
             profile.pin_hash.data ? profile.pin_hash.data : "");
    store_profile_free(&profile);

    /* Hashing takes long: release the connection meanwhile. */
    api_db_put(req);

    if (before[0] != '\0' && api_users_pin_prove(req, before, current) != 0) {
        return;
    }

    if (pin != NULL && api_pin_hash(pin, hash) != 0) {
        api_reply_error(req, CHAT_E_UNAVAILABLE, "Try again.");
        return;
    }

    if (api_db_get(req) != 0) {
        return;
    }

    rc = store_profile_pin(req->pg, req->user, before[0] ? before : NULL,
                           pin != NULL ? hash : NULL);

    if (rc == STORE_NOT_FOUND) {
        api_reply_error(req, CHAT_E_PIN_REQUIRED,
                        "The PIN was changed at the same time.");
    } else if (rc != STORE_OK) {
        api_reply_store(req, rc);
    } else {
        api_reply_empty(req);
    }
}


void
api_users_me_delete(api_req_t *req)
{
    size_t            n;
    store_e           rc;
    store_revoked_t  *list;

    rc = store_account_begin(req->pg);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    list = NULL;
    rc = store_account_erase(req->pg, req->user, &list, &n);

    if (rc == STORE_OK) {
        rc = store_account_commit(req->pg);
    } else {
        store_account_rollback(req->pg);
    }

    if (rc != STORE_OK) {
        free(list);
        api_reply_store(req, rc);
        return;
    }

    worker_log(WORKER_INFO, "account erased user=%llu devices=%zu",
               (unsigned long long) req->user, n);

    api_db_put(req);
    api_revoke_notify(req->api, list, n);
    free(list);
    api_reply_empty(req);
}


/* Never contains the phone number: only contacts may know it. */

void
api_users_get(api_req_t *req)
{
    json_t           *root;
    store_e           rc;
    uint64_t          user;
    store_profile_t   profile;

    if (api_param_num(req, 0, &user) != 0) {
        return;
    }

    rc = store_profile_get(req->pg, user, &profile);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    root = json_object();
    api_set(root, "userId", api_json_num(profile.id));
    api_set(root, "username", api_json_str(profile.name));
    api_set(root, "about", api_json_str(profile.about));
    api_set(root, "profilePictureUrl", api_json_str(profile.picture));
    api_set(root, "status",
            profile.status.len == strlen("invisible")
            && memcmp(profile.status.data, "invisible", profile.status.len)
               == 0
            ? json_string("offline") : api_json_str(profile.status));

    store_profile_free(&profile);
    api_reply_json(req, MHD_HTTP_OK, root);
}


/* The caller's own profile as it is now. */

static void
api_users_answer(api_req_t *req)
{
    json_t           *root, *privacy;
    store_e           rc;
    store_profile_t   profile;

    rc = store_profile_get(req->pg, req->user, &profile);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    privacy = json_object();
    api_set(privacy, "lastSeen", profile.last_seen_privacy.data
            ? api_json_str(profile.last_seen_privacy)
            : json_string("everyone"));

    root = json_object();
    api_set(root, "userId", api_json_num(profile.id));
    api_set(root, "phoneNumber", api_json_str(profile.number));
    api_set(root, "username", api_json_str(profile.name));
    api_set(root, "about", api_json_str(profile.about));
    api_set(root, "profilePictureUrl", api_json_str(profile.picture));
    api_set(root, "status", api_json_str(profile.status));
    api_set(root, "privacy", privacy);
    api_set(root, "pinSet", json_boolean(profile.pin_hash.data != NULL));
    api_set(root, "createdAt", api_json_time(profile.created));

    store_profile_free(&profile);
    api_reply_json(req, MHD_HTTP_OK, root);
}


static int
api_users_change(api_req_t *req, store_profile_change_t *change_r)
{
    memset(change_r, 0, sizeof(*change_r));

    change_r->set_name = json_object_get(req->json, "username") != NULL;
    change_r->set_about = json_object_get(req->json, "about") != NULL;
    change_r->set_picture =
        json_object_get(req->json, "profilePictureUrl") != NULL;

    if (api_field_text(req, req->json, "username", 1, 64, 0, &change_r->name)
        != 0
        || api_field_text(req, req->json, "about", 0, 256, 0,
                          &change_r->about) != 0
        || api_field_text(req, req->json, "profilePictureUrl", 1, 1024, 0,
                          &change_r->picture) != 0)
    {
        return -1;
    }

    if (change_r->name != NULL && api_field_has_control(change_r->name, 0)) {
        api_reply_field(req, "username", "has control characters");
        return -1;
    }

    if (change_r->about != NULL && api_field_has_control(change_r->about, 1)) {
        api_reply_field(req, "about", "has control characters");
        return -1;
    }

    if (change_r->picture != NULL && !api_users_is_url(change_r->picture)) {
        api_reply_field(req, "profilePictureUrl",
                        "is not an http or https URL");
        return -1;
    }

    return 0;
}


/* Enough that no other scheme and nothing that ends an attribute gets into a
 * client's page: scheme, host, and printable ASCII without quotes. */

static int
api_users_is_url(const char *text)
{
    const char  *p;

    if (strncmp(text, "https://", 8) == 0) {
        p = text + 8;
    } else if (strncmp(text, "http://", 7) == 0) {
        p = text + 7;
    } else {
        return 0;
    }

    if (*p == '\0' || *p == '/' || *p == '?' || *p == '#') {
        return 0;
    }

    for ( ; *p != '\0'; p++) {
        if (*p < '!' || *p > '~' || strchr("\"'<>\\^`{|}", *p) != NULL) {
            return 0;
        }
    }

    return 1;
}


static int
api_users_word(api_req_t *req, const char *name, const char *const *words,
    const char **word_r)
{
    int  i;

    if (api_field_text(req, req->json, name, 1, 32, 1, word_r) != 0) {
        return -1;
    }

    for (i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], *word_r) == 0) {
            return 0;
        }
    }

    api_reply_field(req, name, "is not one of its words");

    return -1;
}


static int
api_users_pin_fields(api_req_t *req, const char **pin_r,
    const char **current_r)
{
    if (json_object_get(req->json, "pin") == NULL) {
        api_reply_field(req, "pin", "is missing");
        return -1;
    }

    if (api_field_text(req, req->json, "pin", 0, 64, 0, pin_r) != 0
        || api_field_text(req, req->json, "currentPin", 0, 64, 0, current_r)
           != 0)
    {
        return -1;
    }

    if (*pin_r != NULL && !api_pin_is_valid(*pin_r)) {
        api_reply_field(req, "pin", "is not 6 to 12 digits");
        return -1;
    }

    return 0;
}


static int
api_users_pin_prove(api_req_t *req, const char *hash, const char *current)
{
    char  subject[24];

    if (current == NULL) {
        api_reply_error(req, CHAT_E_PIN_REQUIRED, "A PIN is set.");
        return -1;
    }

    snprintf(subject, sizeof(subject), "%llu", (unsigned long long) req->user);

    if (api_limit_always(req, "pin", subject, API_PIN_TRIES) != 0) {
        return -1;
    }

    if (!api_pin_verify(hash, current)) {
        api_reply_error(req, CHAT_E_PIN_REQUIRED, "The PIN is wrong.");
        return -1;
    }

    return 0;
}
