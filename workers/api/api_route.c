/*
 * api_route.c: routes a request and makes the checks common to all routes.
 *
 * Called from api_server.c when a request is whole; hands to the handler of
 * its row. Decides in this order: 404, 405, 401 of the headers, 413, 415, 400
 * of a body that is no JSON object, 503 without a database, 401 and 403 of the
 * account. Writes to chats have no handler here: the edge serves them.
 */

#include <stdio.h>
#include <string.h>

#include "api.h"
#include "chat_frame.h"
#include "chat_json.h"

static const api_route_t  api_routes[] = {
    { "POST",   "/auth/code",
      API_BODY, api_auth_code },
    { "POST",   "/auth/login",
      API_BODY, api_auth_login },
    { "POST",   "/auth/refresh",
      API_BODY|API_DB, api_auth_refresh },
    { "POST",   "/auth/logout",
      API_AUTH|API_DB, api_auth_logout },
    { "GET",    "/devices",
      API_AUTH|API_DB, api_devices_list },
    { "DELETE", "/devices/{}",
      API_AUTH|API_DB, api_devices_delete },
    { "GET",    "/users/me",
      API_AUTH|API_DB, api_users_me },
    { "PATCH",  "/users/me",
      API_AUTH|API_DB|API_BODY, api_users_me_patch },
    { "DELETE", "/users/me",
      API_AUTH|API_DB, api_users_me_delete },
    { "PUT",    "/users/me/status",
      API_AUTH|API_DB|API_BODY, api_users_me_status },
    { "PUT",    "/users/me/privacy",
      API_AUTH|API_DB|API_BODY, api_users_me_privacy },
    { "PUT",    "/users/me/pin",
      API_AUTH|API_DB|API_BODY, api_users_me_pin },
    { "GET",    "/users/{}",
      API_AUTH|API_DB, api_users_get },
    { "GET",    "/chats",
      API_AUTH|API_DB, api_chats_list },
    { "GET",    "/chats/{}",
      API_AUTH|API_DB, api_chats_get },
    { "GET",    "/chats/{}/members",
      API_AUTH|API_DB, api_members_list },
    { "GET",    "/chats/{}/messages",
      API_AUTH|API_DB, api_messages_list },
    { "GET",    "/chats/{}/messages/{}/receipts",
      API_AUTH|API_DB, api_messages_receipts },

    /* served by the edge; listed only for the Allow header */
    { "POST",   "/chats",
      API_EDGE, NULL },
    { "PATCH",  "/chats/{}",
      API_EDGE, NULL },
    { "DELETE", "/chats/{}",
      API_EDGE, NULL },
    { "POST",   "/chats/{}/members",
      API_EDGE, NULL },
    { "PATCH",  "/chats/{}/members/{}",
      API_EDGE, NULL },
    { "DELETE", "/chats/{}/members/{}",
      API_EDGE, NULL },
    { "POST",   "/chats/{}/messages",
      API_EDGE, NULL },
};

#define API_NROUTES  (sizeof(api_routes) / sizeof(api_routes[0]))

/* for the log of what matched no row */
static const api_route_t  api_route_none = { "-", "-", 0, NULL };
static const api_route_t  api_route_ready = { "GET", "/internal/ready", 0,
                                              api_ready };

static int api_route_find(api_req_t *req, const char *method,
    const char *path);
static int api_route_match(api_req_t *req, const char *pattern,
    const char *path);
static int api_route_allows(const api_route_t *route, const char *method);
static void api_route_allow(api_req_t *req, const char *method);
static int api_route_body(api_req_t *req);
static void api_route_run(api_req_t *req);


void
api_route(api_req_t *req, const char *method, const char *url)
{
    const char  *path;

    req->route = &api_route_none;

    if (strcmp(url, api_route_ready.pattern) == 0) {
        req->route = &api_route_ready;
        api_ready(req);
        return;
    }

    if (strncmp(url, API_BASE "/", sizeof(API_BASE)) != 0) {
        api_reply_error(req, CHAT_E_NOT_FOUND, NULL);
        return;
    }

    path = url + sizeof(API_BASE) - 1;

    if (api_route_find(req, method, path) != 0) {
        return;
    }

    if ((req->route->flags & API_AUTH) && api_identity_headers(req) != 0) {
        return;
    }

    if ((req->route->flags & API_BODY) && api_route_body(req) != 0) {
        return;
    }

    api_route_run(req);

    /* A GET has no effects: retry it once on a new connection, so that clients
     * do not notice a restart of PostgreSQL. */
    if (req->status == MHD_HTTP_SERVICE_UNAVAILABLE
        && strcmp(req->route->method, "GET") == 0
        && req->pg != NULL && req->pg->conn == NULL)
    {
        api_db_put(req);
        chat_buf_reset(&req->out);
        req->status = 0;
        req->retry_after = 0;
        api_route_run(req);
    }

    api_db_put(req);
}


static void
api_route_run(api_req_t *req)
{
    if ((req->route->flags & API_DB) && api_db_get(req) != 0) {
        return;
    }

    if ((req->route->flags & API_AUTH) && api_identity_check(req) != 0) {
        return;
    }

    req->route->handler(req);
}


/* 0, or -1 with 404, 405 or the answer to OPTIONS made. */

static int
api_route_find(api_req_t *req, const char *method, const char *path)
{
    size_t              i;
    const api_route_t  *known;

    known = NULL;

    for (i = 0; i < API_NROUTES; i++) {
        if (!api_route_match(req, api_routes[i].pattern, path)) {
            continue;
        }

        /* "/users/me" also matches "/users/{}": the first matching pattern is
         * the resource, and Allow lists only its methods. */
        if (known != NULL
            && strcmp(known->pattern, api_routes[i].pattern) != 0)
        {
            continue;
        }

        known = &api_routes[i];

        if (!(known->flags & API_EDGE) && api_route_allows(known, method)) {
            req->route = known;
            return 0;
        }

        api_route_allow(req, known->method);
    }

    if (known == NULL) {
        api_reply_error(req, CHAT_E_NOT_FOUND, NULL);
        return -1;
    }

    api_route_allow(req, "OPTIONS");

    if (strcmp(method, "OPTIONS") == 0) {
        api_reply_empty(req);
    } else {
        api_reply_error(req, CHAT_E_METHOD_NOT_ALLOWED, NULL);
    }

    return -1;
}


/* Segment by segment; what stands for "{}" is not empty and goes to param. */

static int
api_route_match(api_req_t *req, const char *pattern, const char *path)
{
    unsigned    n;
    size_t      len;

    for (n = 0; *pattern != '\0'; ) {

        if (pattern[0] == '{') {
            len = strcspn(path, "/");
            if (len == 0) {
                return 0;
            }

            req->param[n].data = path;
            req->param[n].len = len;
            n++;

            path += len;
            pattern += 2;
            continue;
        }

        if (*pattern++ != *path++) {
            return 0;
        }
    }

    return *path == '\0';
}


/* HEAD is GET; libmicrohttpd leaves the body out. */

static int
api_route_allows(const api_route_t *route, const char *method)
{
    return strcmp(route->method, method) == 0
           || (strcmp(method, "HEAD") == 0
               && strcmp(route->method, "GET") == 0);
}


static void
api_route_allow(api_req_t *req, const char *method)
{
    size_t  len;

    len = strlen(req->allow);

    snprintf(req->allow + len, sizeof(req->allow) - len, "%s%s%s",
             len ? ", " : "", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
}


static int
api_route_body(api_req_t *req)
{
    char          why[128];
    size_t        len;
    const char   *type;
    chat_error_e  error;

    if (req->too_large) {
        api_reply_error(req, CHAT_E_TOO_LARGE, "The body is above 64 KiB.");
        return -1;
    }

    type = MHD_lookup_connection_value(req->conn, MHD_HEADER_KIND,
                                       "Content-Type");
    if (type != NULL && req->body.len > 0) {
        len = strcspn(type, "; \t");

        if (len != strlen("application/json")
            || strncasecmp(type, "application/json", len) != 0)
        {
            api_reply_error(req, CHAT_E_UNSUPPORTED_MEDIA_TYPE,
                            "The body is to be application/json.");
            return -1;
        }
    }

    why[0] = '\0';
    req->json = chat_json_load(req->body.len ? (char *) req->body.data : "",
                               req->body.len, &error, why);
    if (req->json == NULL) {
        api_reply_error(req, error, why);
        return -1;
    }

    if (!json_is_object(req->json)) {
        api_reply_error(req, CHAT_E_BAD_REQUEST,
                        "The body is not a JSON object.");
        return -1;
    }

    return 0;
}


/* GET /internal/ready: for a process supervisor; nginx does not expose it. */

void
api_ready(api_req_t *req)
{
    if (atomic_load(&req->api->draining)) {
        api_reply_error(req, CHAT_E_UNAVAILABLE, "It is draining.");
        return;
    }

    if (api_db_get(req) != 0) {
        return;
    }

    if (store_account_ping(req->pg) != STORE_OK) {
        api_reply_error(req, CHAT_E_UNAVAILABLE,
                        "The database is unavailable.");

    } else if (fanout_account_ping(&req->api->redis) != 0) {
        api_reply_error(req, CHAT_E_UNAVAILABLE, "Redis is unavailable.");

    } else {
        api_reply_json(req, MHD_HTTP_OK, json_pack("{s:s}", "status", "ok"));
    }

    api_db_put(req);
}
