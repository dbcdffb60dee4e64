/*
 * ngx_chat_upgrade.c: the opening handshake (RFC 6455, section 4.2).
 *
 * Called from: nginx, as the content handler of /ws. Hands to: session, sync,
 * read. Every check comes before the 101; a refusal is problem+json. Then the
 * connection is taken over from HTTP: the request, its pool and its buffers are
 * freed. Only the connection and one session remain, so an idle client costs
 * little.
 */

#include "ngx_chat_upgrade.h"
#include "ngx_chat_redis.h"
#include "ngx_chat_session.h"
#include "ngx_chat_delivery.h"
#include "ngx_chat_http.h"

#include <ngx_sha1.h>


static ngx_int_t ngx_chat_upgrade_switch(ngx_http_request_t *r,
    ngx_chat_loc_conf_t *lcf, ngx_chat_upgrade_t *up, chat_token_t *token,
    ngx_uint_t subprotocol);
static void ngx_chat_upgrade_detach(ngx_event_t *ev);
static void ngx_chat_upgrade_cleanup(void *data);


ngx_int_t
ngx_chat_upgrade_handler(ngx_http_request_t *r)
{
    ngx_int_t             rc, offered, header;
    ngx_str_t             bearer, token;
    const char           *why;
    chat_token_t          claims;
    ngx_chat_upgrade_t    up;
    ngx_chat_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_chat_module);

    if (ngx_chat_edge == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    /* a subrequest (mirror, auth_request) has no connection to give */
    if (r != r->main) {
        return NGX_HTTP_NOT_FOUND;
    }

    if (r->method != NGX_HTTP_GET) {
        ngx_chat_edge->counters.refused++;
        return ngx_chat_problem(r, CHAT_E_METHOD_NOT_ALLOWED,
                                "A WebSocket is opened with GET.", 0);
    }

    why = NULL;
    rc = ngx_chat_handshake_headers(r, &up, &why);
    if (rc != NGX_OK) {
        return rc;
    }

    if (why != NULL) {
        goto bad_request;
    }

    if (ngx_chat_handshake_origin(r, lcf, &up) != NGX_OK) {
        ngx_chat_edge->counters.refused++;
        return ngx_chat_problem(r, CHAT_E_FORBIDDEN,
                                "This Origin may not connect: add it to "
                                "chat_allowed_origins.", 0);
    }

    ngx_str_null(&bearer);
    ngx_str_null(&token);

    offered = ngx_chat_handshake_protocols(&up.protocol, &bearer);
    if (offered != NGX_OK) {
        why = "Offer the subprotocol chat.v1 in Sec-WebSocket-Protocol.";
        goto bad_request;
    }

    header = ngx_chat_auth_bearer(r, &token);

    if (header == NGX_ERROR
        || (header == NGX_OK && bearer.len
            && (bearer.len != token.len
                || ngx_memcmp(bearer.data, token.data, token.len) != 0)))
    {
        ngx_chat_edge->counters.refused++;
        return ngx_chat_problem(r, CHAT_E_UNAUTHORIZED,
                                "Send one access token, in Authorization or "
                                "as the subprotocol bearer.<token>.", 0);
    }

    if (header != NGX_OK) {
        token = bearer;
    }

    if (token.len == 0) {
        ngx_chat_edge->counters.refused++;
        return ngx_chat_problem(r, CHAT_E_UNAUTHORIZED,
                                "Send the access token in Authorization or "
                                "as the subprotocol bearer.<token>.", 0);
    }

    rc = ngx_chat_auth_check(r, &token, &claims, &why);
    if (rc != CHAT_OK) {
        ngx_chat_edge->counters.refused++;
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "chat connect refused: %s", why);
        return ngx_chat_problem(r, rc, why, rc == CHAT_E_UNAVAILABLE ? 2 : 0);
    }

    /* Without Redis the device's route cannot be written. */
    if (!ngx_chat_redis_ready()) {
        ngx_chat_edge->counters.unavailable++;
        return ngx_chat_problem(r, CHAT_E_UNAVAILABLE,
                                "The server cannot take connections just "
                                "now: try again.", 2);
    }

    return ngx_chat_upgrade_switch(r, lcf, &up, &claims, 1);

bad_request:

    ngx_chat_edge->counters.refused++;
    return ngx_chat_problem(r, CHAT_E_BAD_REQUEST, why, 0);
}


#ifdef CHAT_TEST_BUILD

/* The same handshake, reader and writer without a token: conformance suites
 * need a server that echoes. */

ngx_int_t
ngx_chat_upgrade_echo_handler(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    const char           *why;
    chat_token_t          claims;
    ngx_chat_upgrade_t    up;
    ngx_chat_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_chat_module);

    why = NULL;
    rc = ngx_chat_handshake_headers(r, &up, &why);

    if (rc != NGX_OK || why != NULL) {
        return rc != NGX_OK ? rc
                            : ngx_chat_problem(r, CHAT_E_BAD_REQUEST, why, 0);
    }

    ngx_memzero(&claims, sizeof(chat_token_t));

    return ngx_chat_upgrade_switch(r, lcf, &up, &claims, 0);
}

#endif


/* All checks have passed: creates the session, queues the 101 as its first
 * bytes, and takes the connection over once HTTP has released the request. */

static ngx_int_t
ngx_chat_upgrade_switch(ngx_http_request_t *r, ngx_chat_loc_conf_t *lcf,
    ngx_chat_upgrade_t *up, chat_token_t *token, ngx_uint_t subprotocol)
{
    u_char              *p, sha1[20], text[256];
    char                 accept[WS_ACCEPT_LEN];
    ngx_event_t         *ev;
    ngx_sha1_t           ctx;
    ngx_chat_session_t  *s;
    ngx_pool_cleanup_t  *cln;

    ngx_sha1_init(&ctx);
    ngx_sha1_update(&ctx, up->key.data, up->key.len);
    ngx_sha1_update(&ctx, WS_GUID, sizeof(WS_GUID) - 1);
    ngx_sha1_final(sha1, &ctx);
    ws_accept(sha1, accept);

    s = ngx_chat_session_open(r, lcf, token);
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

#define NGX_CHAT_101  "HTTP/1.1 101 Switching Protocols" CRLF                 \
                      "Upgrade: websocket" CRLF                               \
                      "Connection: Upgrade" CRLF                              \
                      "Sec-WebSocket-Accept: "
#define NGX_CHAT_PROTOCOL  "Sec-WebSocket-Protocol: " CHAT_SUBPROTOCOL CRLF

    p = ngx_cpymem(text, NGX_CHAT_101, sizeof(NGX_CHAT_101) - 1);
    p = ngx_cpymem(p, accept, WS_ACCEPT_LEN);
    p = ngx_cpymem(p, CRLF, 2);

    if (subprotocol) {
        p = ngx_cpymem(p, NGX_CHAT_PROTOCOL, sizeof(NGX_CHAT_PROTOCOL) - 1);
    }

    p = ngx_cpymem(p, CRLF, 2);

    if (ngx_chat_write_owned(s, ngx_chat_frame_raw(text, p - text)) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* HTTP finalizes the request after this handler returns; the posted event
     * runs when this reference is the last one. */
    ev = ngx_pcalloc(r->pool, sizeof(ngx_event_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (ev == NULL || cln == NULL) {
        ngx_chat_session_destroy(s, "out of memory");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ev->handler = ngx_chat_upgrade_detach;
    ev->data = r;
    ev->log = r->connection->log;

    cln->handler = ngx_chat_upgrade_cleanup;
    cln->data = ev;

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    r->keepalive = 0;
    r->main->count++;

    ngx_post_event(ev, &ngx_posted_events);

    return NGX_DONE;
}


static void
ngx_chat_upgrade_detach(ngx_event_t *ev)
{
    ngx_buf_t              *b;
    ngx_chain_t            *cl;
    ngx_chat_ctx_t         *ctx;
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_chat_session_t     *s;
    ngx_http_connection_t  *hc;

    r = ev->data;
    c = r->connection;
    hc = r->http_connection;
    b = r->header_in;

    ctx = ngx_http_get_module_ctx(r, ngx_http_chat_module);
    s = ngx_chat_session_find(ctx->session);

    /* The client may have sent frames right after its handshake. */
    if (s != NULL && b->pos < b->last) {
        s->preread.len = b->last - b->pos;
        s->preread.data = ngx_pnalloc(c->pool, s->preread.len);

        if (s->preread.data == NULL) {
            ngx_chat_session_destroy(s, "out of memory");
            s = NULL;

        } else {
            ngx_memcpy(s->preread.data, b->pos, s->preread.len);
        }
    }

    if (s != NULL && (r->count != 1 || r->blocked)) {
        /* For example, the subrequest of a mirror still uses the request. */
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "chat: /ws cannot be taken over, %d hold its request: "
                      "no mirror or subrequest may be there", r->count);
        ngx_chat_session_destroy(s, NULL);
        r->headers_out.status = 0;
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        ngx_http_run_posted_requests(c);
        return;
    }

    if (s == NULL) {
        /* Closed meanwhile: the device was revoked or has reconnected. */
        ngx_http_finalize_request(r, NGX_HTTP_CLOSE);
        ngx_http_run_posted_requests(c);
        return;
    }

    c->sent = s->out->frame->len;       /* for the access log */
    ngx_http_free_request(r, 0);

    /* Free the header buffers, as nginx does for a keep-alive connection. */
    ngx_pfree(c->pool, c->buffer->start);

    for (cl = hc->free; cl; cl = cl->next) {
        ngx_pfree(c->pool, cl->buf->start);
    }

    for (cl = hc->busy; cl; cl = cl->next) {
        ngx_pfree(c->pool, cl->buf->start);
    }

    hc->free = NULL;
    hc->busy = NULL;
    hc->nbusy = 0;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_ssl_free_buffer(c);

        /* A write that did not fit is retried from another buffer
         * (ngx_chat_write_gather), which OpenSSL refuses by default. Partial
         * writes return after each record, so that written frames leave the
         * queue. */
        SSL_set_mode(c->ssl->connection, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                                         |SSL_MODE_ENABLE_PARTIAL_WRITE);
    }
#endif

    s->detached = 1;
    c->destroyed = 0;
    c->data = s;
    c->idle = 1;            /* so that a reload calls our read handler */
    c->log->action = "serving a chat session";

    c->read->handler = ngx_chat_read_handler;
    c->write->handler = ngx_chat_write_handler;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    (void) ngx_tcp_nodelay(c);

    if (!s->echo) {
        if (ngx_chat_session_welcome(s) != NGX_OK) {
            return;
        }

        ngx_chat_sync_start(s);
    }

    if (ngx_exiting) {
        ngx_chat_drain_session(s);
    }

    ngx_chat_write_flush(s);

    if (s->preread.len) {
        ngx_chat_read_bytes(s, s->preread.data,
                            s->preread.data + s->preread.len);
    }

    if (s->state != NGX_CHAT_CLOSED) {
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


/* The request ends before its connection is taken over: the worker is shut
 * down in the same iteration of the event loop. */

static void
ngx_chat_upgrade_cleanup(void *data)
{
    ngx_event_t         *ev = data;
    ngx_chat_ctx_t      *ctx;
    ngx_chat_session_t  *s;

    if (!ev->posted) {
        return;
    }

    ngx_delete_posted_event(ev);

    ctx = ngx_http_get_module_ctx((ngx_http_request_t *) ev->data,
                                  ngx_http_chat_module);
    s = ngx_chat_session_find(ctx->session);

    if (s != NULL) {
        ngx_chat_session_destroy(s, NULL);
    }
}
