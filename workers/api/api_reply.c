/*
 * api_reply.c: the answer to a request.
 *
 * Called from all api_*.c; hands to libmicrohttpd. JSON by jansson
 * or already written into req->out; errors as problem+json (RFC 9457);
 * Retry-After and the RateLimit fields of draft-ietf-httpapi-ratelimit-headers.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "chat_json.h"

static void api_reply_add(api_req_t *req, const char *name, json_t *value);
static int api_reply_write(const char *text, size_t len, void *data);
static void api_reply_header(struct MHD_Response *response, const char *name,
    const char *value);


void
api_reply_json(api_req_t *req, unsigned status, json_t *root)
{
    chat_buf_reset(&req->out);

    if (root == NULL
        || json_dump_callback(root, api_reply_write, &req->out,
                              JSON_COMPACT) != 0)
    {
        worker_die("out of memory");
    }

    json_decref(root);
    api_reply_out(req, status);
}


void
api_reply_out(api_req_t *req, unsigned status)
{
    if (req->out.failed) {
        worker_die("out of memory");
    }

    req->status = status;
    req->type = "application/json";
}


void
api_reply_empty(api_req_t *req)
{
    chat_buf_reset(&req->out);
    req->status = MHD_HTTP_NO_CONTENT;
    req->type = NULL;
}


void
api_reply_error(api_req_t *req, chat_error_e error, const char *detail)
{
    chat_buf_reset(&req->out);

    if ((error == CHAT_E_UNAVAILABLE || error == CHAT_E_RATE_LIMITED)
        && req->retry_after == 0)
    {
        req->retry_after = API_RETRY_AFTER;
    }

    if (chat_json_problem(&req->out, (int) error, detail, req->retry_after)
        != 0)
    {
        worker_die("out of memory");
    }

    req->status = (unsigned) chat_error_status(error);
    req->type = "application/problem+json";
}


void
api_reply_error_with(api_req_t *req, chat_error_e error, const char *detail,
    const char *name, json_t *value)
{
    api_reply_error(req, error, detail);
    api_reply_add(req, name, value);
}


void
api_reply_field(api_req_t *req, const char *field, const char *why)
{
    char  detail[160];

    snprintf(detail, sizeof(detail), "%s %s", field, why);

    api_reply_error_with(req, CHAT_E_BAD_FIELD, detail, "errors",
                         json_pack("[{s:s,s:s}]", "field", field,
                                   "message", why));
}


/* Maps a store result to an error of the contract. Callers handle
 * STORE_NOT_FOUND themselves when it means anything but 404. */

void
api_reply_store(api_req_t *req, store_e rc)
{
    switch (rc) {

    case STORE_UNAVAILABLE:
    case STORE_CONFLICT:
        api_reply_error(req, CHAT_E_UNAVAILABLE, "Try again.");
        return;

    case STORE_NOT_FOUND:
        api_reply_error(req, CHAT_E_NOT_FOUND, NULL);
        return;

    default:
        worker_log(WORKER_ERROR, "route=%s method=%s sqlstate=%s",
                   req->route->pattern, req->route->method,
                   req->pg ? store_pg_sqlstate(req->pg) : "");
        api_reply_error(req, CHAT_E_INTERNAL, NULL);
        return;
    }
}


enum MHD_Result
api_reply_send(api_req_t *req)
{
    char                  text[16];
    enum MHD_Result       rc;
    struct MHD_Response  *response;

    response = MHD_create_response_from_buffer(req->out.len, req->out.data,
                                               MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        return MHD_NO;
    }

    /* The response now owns the bytes. */
    req->out.data = NULL;
    req->out.len = 0;
    req->out.cap = 0;

    if (req->type != NULL) {
        api_reply_header(response, "Content-Type", req->type);
    }

    /* Answers hold tokens and messages: no shared cache may keep them. */
    api_reply_header(response, "Cache-Control", "no-store");

    if (req->status == MHD_HTTP_UNAUTHORIZED) {
        api_reply_header(response, "WWW-Authenticate", "Bearer");
    }

    if (req->retry_after > 0) {
        snprintf(text, sizeof(text), "%u", req->retry_after);
        api_reply_header(response, "Retry-After", text);
    }

    if (req->allow[0] != '\0') {
        api_reply_header(response, "Allow", req->allow);
    }

    if (req->policy[0] != '\0') {
        api_reply_header(response, "RateLimit-Policy", req->policy);
        api_reply_header(response, "RateLimit", req->limit);
    }

    if (atomic_load(&req->api->draining)) {
        api_reply_header(response, "Connection", "close");
    }

    rc = MHD_queue_response(req->conn, req->status, response);
    MHD_destroy_response(response);

    return rc;
}


/* Replaces the final '}' of the problem by one more member. */

static void
api_reply_add(api_req_t *req, const char *name, json_t *value)
{
    chat_buf_t  *out;

    out = &req->out;
    out->len--;

    chat_buf_add(out, ",", 1);
    chat_json_add_string(out, name, strlen(name));
    chat_buf_add(out, ":", 1);

    if (value == NULL
        || json_dump_callback(value, api_reply_write, out, JSON_COMPACT) != 0)
    {
        worker_die("out of memory");
    }

    chat_buf_add(out, "}", 1);
    json_decref(value);

    if (out->failed) {
        worker_die("out of memory");
    }
}


static int
api_reply_write(const char *text, size_t len, void *data)
{
    return chat_buf_add(data, text, len);
}


static void
api_reply_header(struct MHD_Response *response, const char *name,
    const char *value)
{
    if (MHD_add_response_header(response, name, value) != MHD_YES) {
        worker_log(WORKER_WARN, "header %s could not be added", name);
    }
}
