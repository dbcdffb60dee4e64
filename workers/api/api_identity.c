/*
 * api_identity.c: identifies the caller and checks the account.
 *
 * Called from api_route.c. The edge has verified the access token; nginx
 * passes its user and device in X-Chat-User-Id and X-Chat-Device-Id, which
 * replace any the client sent. A token outlives a revocation, so device and
 * user are looked up in PostgreSQL too; a positive result is cached for a
 * second, so that a client paging through history causes one query.
 */

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "chat_id.h"

#define API_SEEN_MS     1000
#define API_SEEN_SLOTS  4096        /* a power of two; one device a slot */

typedef struct {
    uint64_t  user;
    uint64_t  device;
    int64_t   until;                /* monotonic ms */
} api_seen_slot_t;

struct api_seen_s {
    pthread_mutex_t  lock;
    api_seen_slot_t  slots[API_SEEN_SLOTS];
};

static int api_identity_seen(api_req_t *req);
static void api_identity_remember(api_req_t *req, int64_t asked);


api_seen_t *
api_identity_new(void)
{
    api_seen_t  *seen;

    seen = worker_calloc(1, sizeof(*seen));
    pthread_mutex_init(&seen->lock, NULL);

    return seen;
}


void
api_identity_free(api_seen_t **seen)
{
    pthread_mutex_destroy(&(*seen)->lock);
    free(*seen);
    *seen = NULL;
}


int
api_identity_headers(api_req_t *req)
{
    const char  *user, *device;

    user = MHD_lookup_connection_value(req->conn, MHD_HEADER_KIND,
                                       "X-Chat-User-Id");
    device = MHD_lookup_connection_value(req->conn, MHD_HEADER_KIND,
                                         "X-Chat-Device-Id");

    if (user == NULL || device == NULL
        || chat_num_parse(user, strlen(user), &req->user) != 0
        || chat_num_parse(device, strlen(device), &req->device) != 0)
    {
        api_reply_error(req, CHAT_E_UNAUTHORIZED, NULL);
        return -1;
    }

    return 0;
}


int
api_identity_check(api_req_t *req)
{
    int64_t           asked;
    store_e           rc;
    store_standing_t  standing;

    if (api_identity_seen(req)) {
        return 0;
    }

    asked = worker_mono_ms();
    rc = store_device_standing(req->pg, req->user, req->device, &standing);

    if (rc == STORE_NOT_FOUND) {
        /* A valid token of an unknown device: the database was restored to a
         * time before the login. The client must log in again. */
        api_reply_error(req, CHAT_E_UNAUTHORIZED, NULL);
        return -1;
    }

    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return -1;
    }

    if (standing.revoked || standing.erased) {
        api_reply_error(req, CHAT_E_DEVICE_REVOKED, NULL);
        return -1;
    }

    if (standing.suspended) {
        api_reply_error(req, CHAT_E_SUSPENDED, NULL);
        return -1;
    }

    api_identity_remember(req, asked);

    return 0;
}


void
api_identity_evict(api_t *api, uint64_t device)
{
    api_seen_slot_t  *slot;

    slot = &api->seen->slots[device % API_SEEN_SLOTS];

    /* Keep `until` as a barrier: the result of a query that started before the
     * revocation must not be cached. */
    pthread_mutex_lock(&api->seen->lock);
    slot->user = 0;
    slot->device = 0;
    slot->until = worker_mono_ms() + 1;
    pthread_mutex_unlock(&api->seen->lock);
}


static int
api_identity_seen(api_req_t *req)
{
    int               good;
    api_seen_slot_t  *slot;

    slot = &req->api->seen->slots[req->device % API_SEEN_SLOTS];

    pthread_mutex_lock(&req->api->seen->lock);
    good = slot->device == req->device && slot->user == req->user
           && slot->until > worker_mono_ms();
    pthread_mutex_unlock(&req->api->seen->lock);

    return good;
}


static void
api_identity_remember(api_req_t *req, int64_t asked)
{
    api_seen_slot_t  *slot;

    slot = &req->api->seen->slots[req->device % API_SEEN_SLOTS];

    pthread_mutex_lock(&req->api->seen->lock);

    if (slot->device != 0 || slot->until <= asked) {
        slot->user = req->user;
        slot->device = req->device;
        slot->until = asked + API_SEEN_MS;
    }

    pthread_mutex_unlock(&req->api->seen->lock);
}
