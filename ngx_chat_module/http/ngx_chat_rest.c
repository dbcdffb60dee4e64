/*
 * ngx_chat_rest.c: REST calls that write to a chat.
 *
 * Called from: nginx's precontent phase where chat_enqueue is on, batch (the
 * answer). Hands to: enqueue. A chat has one writer, so these calls become
 * events like the frames of a socket, and are answered when the worker's HTTP
 * record arrives. All other requests are declined and go to the location's
 * proxy_pass. Only the chat's id is read from a body: the worker checks
 * membership before it validates the rest.
 */

#include "ngx_chat_rest.h"
#include "ngx_chat_session.h"
#include "ngx_chat_delivery.h"
#include "ngx_chat_http.h"


#define BY_ID  offsetof(ngx_chat_rest_t, id), offsetof(ngx_chat_rest_t, next)


typedef struct {
    ngx_uint_t   method;
    ngx_uint_t   shape;         /* what follows the base */
    ngx_uint_t   event;
} ngx_chat_rest_route_t;

static ngx_chat_rest_route_t  ngx_chat_rest_routes[] = {
    { NGX_HTTP_POST,   NGX_CHAT_REST_CHATS,    CHAT_EV_CHAT_CREATE },
    { NGX_HTTP_PATCH,  NGX_CHAT_REST_CHAT,     CHAT_EV_CHAT_CHANGE },
    { NGX_HTTP_DELETE, NGX_CHAT_REST_CHAT,     CHAT_EV_CHAT_LEAVE },
    { NGX_HTTP_POST,   NGX_CHAT_REST_MESSAGES, CHAT_EV_SEND },
    { NGX_HTTP_POST,   NGX_CHAT_REST_MEMBERS,  CHAT_EV_MEMBERS_ADD },
    { NGX_HTTP_PATCH,  NGX_CHAT_REST_MEMBER,   CHAT_EV_MEMBER_CHANGE },
    { NGX_HTTP_DELETE, NGX_CHAT_REST_MEMBER,   CHAT_EV_MEMBER_REMOVE },
};


/* an event of a REST write on its way; the request may end before */
typedef struct {
    ngx_chat_enqueue_t  enqueue;        /* must be first                    */
    uint64_t            id;             /* of the ngx_chat_rest_t           */
} ngx_chat_rest_event_t;


static void ngx_chat_rest_body(ngx_http_request_t *r);
static ngx_int_t ngx_chat_rest_enqueue(ngx_http_request_t *r,
    ngx_chat_ctx_t *ctx, ngx_str_t *body);
static void ngx_chat_rest_enqueued(ngx_chat_enqueue_t *enqueue, ngx_int_t rc);
static void ngx_chat_rest_timeout(ngx_event_t *ev);
static void ngx_chat_rest_cleanup(void *data);
static void ngx_chat_rest_finish(ngx_chat_rest_t *rest, ngx_int_t rc);


ngx_int_t
ngx_chat_rest_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_uint_t             i, n;
    chat_str_t             key;
    ngx_chat_ctx_t        *ctx;
    ngx_chat_rest_t       *rest;
    ngx_chat_loc_conf_t   *lcf;
    ngx_pool_cleanup_t    *cln;
    ngx_chat_rest_path_t   path;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_chat_module);

    if (!lcf->enqueue || r != r->main
        || !(r->method & (NGX_HTTP_POST|NGX_HTTP_PATCH|NGX_HTTP_DELETE))
        || !ngx_chat_rest_path(&r->uri, &path))
    {
        return NGX_DECLINED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_chat_module);

    if (ctx == NULL || !ctx->verified) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->rest != NULL) {
        return NGX_DONE;
    }

    n = sizeof(ngx_chat_rest_routes) / sizeof(ngx_chat_rest_routes[0]);

    for (i = 0; i < n; i++) {
        if (ngx_chat_rest_routes[i].method == r->method
            && ngx_chat_rest_routes[i].shape == path.shape)
        {
            break;
        }
    }

    if (i == n) {
        return NGX_DECLINED;        /* the API worker answers 405 */
    }

    if (path.malformed) {
        rc = ngx_chat_problem(r, CHAT_E_NOT_FOUND,
                              "There is no such chat, or it is not yours.",
                              0);
        goto answered;
    }

    if (r->headers_in.content_length_n > CHAT_FRAME_MAX) {
        rc = ngx_chat_problem(r, CHAT_E_TOO_LARGE,
                              "The body is larger than 64 KiB.", 0);
        goto answered;
    }

    if (r->method != NGX_HTTP_DELETE && !ngx_chat_rest_is_json(r)) {
        rc = ngx_chat_problem(r, CHAT_E_UNSUPPORTED_MEDIA_TYPE,
                              "Send JSON as Content-Type: application/json.",
                              0);
        goto answered;
    }

    if (ngx_chat_rest_key(r, &key) != NGX_OK) {
        rc = ngx_chat_problem(r, CHAT_E_BAD_FIELD,
                              "Idempotency-Key wants 1 to 128 characters from "
                              "'!' to '~', once.", 0);
        goto answered;
    }

    if (ngx_chat_edge->rest.n >= NGX_CHAT_REST_MAX) {
        rc = ngx_chat_problem(r, CHAT_E_UNAVAILABLE,
                              "Too many requests wait for the database: try "
                              "again.", 2);
        goto answered;
    }

    rest = ngx_pcalloc(r->pool, sizeof(ngx_chat_rest_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (rest == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_chat_rest_cleanup;
    cln->data = rest;

    rest->request = r;
    rest->event = ngx_chat_rest_routes[i].event;
    rest->user = path.user;
    ngx_memcpy(rest->chat, path.chat, 16);

    ctx->rest = rest;

    rc = ngx_http_read_client_request_body(r, ngx_chat_rest_body);
    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);
    return NGX_DONE;

answered:

    ngx_http_finalize_request(r, rc);
    return NGX_DONE;
}


static void
ngx_chat_rest_body(ngx_http_request_t *r)
{
    ngx_int_t        rc;
    ngx_str_t        body;
    ngx_chat_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_chat_module);

    rc = ngx_chat_rest_collect(r, &body);

    if (rc == NGX_DECLINED) {
        ngx_http_finalize_request(r,
            ngx_chat_problem(r, CHAT_E_TOO_LARGE,
                             "The body is larger than 64 KiB.", 0));
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    rc = ngx_chat_rest_enqueue(r, ctx, &body);

    if (rc != NGX_OK) {
        ngx_chat_edge->counters.unavailable++;
        ngx_http_finalize_request(r,
            ngx_chat_problem(r, CHAT_E_UNAVAILABLE,
                             "The request could not be taken just now: send "
                             "it again.", 2));
        return;
    }

    /* nginx logs 499 when the client disconnects meanwhile */
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    /* Bytes that have arrived already, or the end of the connection, cause no
     * further event. */
    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


static ngx_int_t
ngx_chat_rest_enqueue(ngx_http_request_t *r, ngx_chat_ctx_t *ctx,
    ngx_str_t *body)
{
    chat_event_t            ev;
    ngx_chat_rest_t        *rest;
    ngx_chat_rest_event_t  *pending;

    rest = ctx->rest;

    ngx_memzero(&ev, sizeof(chat_event_t));

    ev.type = rest->event;
    ev.flags = CHAT_EV_F_REST;
    ev.user = ctx->token.user;
    ev.device = ctx->token.device;
    ev.seq = rest->user;

    if (body->len) {
        ev.body.data = (char *) body->data;
        ev.body.len = body->len;
    }

    if (rest->event == CHAT_EV_CHAT_CREATE
        && ngx_chat_rest_new_chat(ctx, body, rest->chat) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(ev.chat, rest->chat, 16);

    (void) ngx_chat_rest_key(r, &ev.idempotency_key);

    if (!ngx_chat_enqueue_ready(rest->chat)) {
        return NGX_ERROR;
    }

    rest->id = ++ngx_chat_edge->last_id;
    ev.session = rest->id;

    if (ngx_chat_hash_add(&ngx_chat_edge->rest, rest, BY_ID) != NGX_OK) {
        return NGX_ERROR;
    }

    rest->waiting = 1;

    rest->timeout.handler = ngx_chat_rest_timeout;
    rest->timeout.data = rest;
    rest->timeout.log = r->connection->log;
    ngx_add_timer(&rest->timeout, NGX_CHAT_REST_WAIT);

    pending = ngx_chat_alloc(sizeof(ngx_chat_rest_event_t));

    if (pending != NULL) {
        pending->enqueue.done = ngx_chat_rest_enqueued;
        pending->id = rest->id;

        if (ngx_chat_enqueue_event(&ev, chat_id_shard(rest->chat),
                                   &pending->enqueue)
            == NGX_OK)
        {
            return NGX_OK;
        }

        ngx_free(pending);
    }

    ngx_chat_rest_cleanup(rest);

    return NGX_ERROR;
}


/* NGX_ERROR: Redis refused the event, or was lost with it under way. */

static void
ngx_chat_rest_enqueued(ngx_chat_enqueue_t *enqueue, ngx_int_t rc)
{
    uint64_t          id;
    ngx_chat_rest_t  *rest;

    id = ((ngx_chat_rest_event_t *) enqueue)->id;
    ngx_free(enqueue);

    if (rc == NGX_OK) {
        return;
    }

    rest = ngx_chat_hash_find(&ngx_chat_edge->rest, id, BY_ID);

    if (rest != NULL) {
        ngx_chat_rest_finish(rest,
            ngx_chat_problem(rest->request, CHAT_E_UNAVAILABLE,
                             "The request could not be taken just now: send "
                             "it again.", 2));
    }
}


/* The HTTP record of a worker: answers the request that waits for it. */

void
ngx_chat_rest_answer(chat_rec_t *rec)
{
    u_char              *p, *end;
    ngx_str_t            body;
    ngx_uint_t           status, retry;
    ngx_table_elt_t     *h;
    ngx_chat_rest_t     *rest;
    ngx_http_request_t  *r;

    rest = ngx_chat_hash_find(&ngx_chat_edge->rest, rec->session, BY_ID);

    if (rest == NULL || rec->status < 200 || rec->status > 599) {
        return;
    }

    r = rest->request;
    status = rec->status;

    body.len = rec->frame.len;
    body.data = ngx_pnalloc(r->pool, body.len + 1);

    if (body.data == NULL) {
        ngx_chat_rest_finish(rest, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_memcpy(body.data, rec->frame.data, body.len);

    /* "retryAfter" of a refusal is repeated as the Retry-After header */
    if (status == 429 || status == 503) {
        end = body.data + body.len;
        p = ngx_strnstr(body.data, "\"retryAfter\":", body.len);
        retry = 0;

        if (p != NULL) {
            for (p += sizeof("\"retryAfter\":") - 1;
                 p < end && *p >= '0' && *p <= '9' && retry < 100000;
                 p++)
            {
                retry = retry * 10 + (*p - '0');
            }
        }

        h = retry ? ngx_list_push(&r->headers_out.headers) : NULL;

        if (h != NULL) {
            h->hash = 1;
            ngx_str_set(&h->key, "Retry-After");
            h->value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);

            if (h->value.data == NULL) {
                h->hash = 0;
            } else {
                h->value.len = ngx_sprintf(h->value.data, "%ui", retry)
                               - h->value.data;
            }
        }
    }

    ngx_chat_rest_finish(rest,
        ngx_chat_answer(r, status, status >= 400 ? "application/problem+json"
                                                 : "application/json",
                        &body));
}


static void
ngx_chat_rest_timeout(ngx_event_t *ev)
{
    ngx_chat_rest_t  *rest;

    rest = ev->data;
    ngx_chat_edge->counters.unavailable++;

    ngx_chat_rest_finish(rest,
        ngx_chat_problem(rest->request, CHAT_E_UNAVAILABLE,
                         "The request got no answer within 10 s; it may still "
                         "happen: repeat it with the same messageId or "
                         "Idempotency-Key.", 5));
}


static void
ngx_chat_rest_finish(ngx_chat_rest_t *rest, ngx_int_t rc)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = rest->request;
    c = r->connection;

    ngx_chat_rest_cleanup(rest);
    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/* Also the request's pool cleanup: the client may disconnect first. */

static void
ngx_chat_rest_cleanup(void *data)
{
    ngx_chat_rest_t  *rest = data;

    if (!rest->waiting) {
        return;
    }

    rest->waiting = 0;
    ngx_chat_hash_remove(&ngx_chat_edge->rest, rest, BY_ID);

    if (rest->timeout.timer_set) {
        ngx_del_timer(&rest->timeout);
    }
}
