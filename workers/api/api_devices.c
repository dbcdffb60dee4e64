/*
 * api_devices.c: GET /devices, DELETE /devices/{deviceId}.
 *
 * Called from api_route.c; hands to store_account.h, api_revoke.c.
 */

#include <string.h>

#include "api.h"


void
api_devices_list(api_req_t *req)
{
    int              given;
    size_t           i;
    json_t          *root, *items;
    store_e          rc;
    unsigned         limit, n;
    uint64_t         after;
    store_devices_t  devices;

    after = 0;

    if (api_arg_limit(req, API_LIMIT_DEFAULT, &limit) != 0
        || api_arg_cursor(req, &after, sizeof(after), &given) != 0)
    {
        return;
    }

    rc = store_device_list(req->pg, req->user, &devices);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    items = json_array();

    for (n = 0, i = 0; i < devices.n && n < limit; i++) {
        if (devices.items[i].id > after) {
            json_array_append_new(items, api_device_json(&devices.items[i],
                                                         req->device));
            n++;
        }
    }

    root = json_object();
    api_set(root, "items", items);
    api_set(root, "nextCursor", i < devices.n && n > 0
            ? api_json_cursor(&devices.items[i - 1].id, sizeof(uint64_t))
            : json_null());

    store_devices_free(&devices);
    api_reply_json(req, MHD_HTTP_OK, root);
}


void
api_devices_delete(api_req_t *req)
{
    store_e          rc;
    uint64_t         device;
    store_revoked_t  revoked;

    if (api_param_num(req, 0, &device) != 0) {
        return;
    }

    rc = store_device_revoke(req->pg, req->user, device);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    revoked.user = req->user;
    revoked.device = device;
    revoked.at = worker_ms() / 1000 + 1;

    api_db_put(req);
    api_revoke_notify(req->api, &revoked, 1);
    api_reply_empty(req);
}


json_t *
api_device_json(const store_device_t *device, uint64_t current)
{
    json_t  *root;

    root = json_object();
    api_set(root, "deviceId", api_json_num(device->id));
    api_set(root, "name", api_json_str(device->name));
    api_set(root, "platform", api_json_str(device->platform));
    api_set(root, "createdAt", api_json_time(device->created));
    api_set(root, "lastSeen", api_json_time(device->last_seen));
    api_set(root, "current", json_boolean(device->id == current));

    return root;
}
