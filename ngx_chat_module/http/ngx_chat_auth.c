/*
 * ngx_chat_auth.c: verifies access tokens and keeps the revoked devices.
 *
 * Called from: nginx's access phase (REST), upgrade, link and batch
 * (revocations). Hands to: the request's context, from which $chat_user_id and
 * $chat_device_id are read. Revoked devices are kept in memory: the set is
 * loaded from Redis when the edge subscribes and grows by REVOKE records, so a
 * token stops working at once and no request waits for Redis.
 */

#include "ngx_chat_redis.h"
#include "ngx_chat_http.h"


#define NGX_CHAT_AUTH_WAIT  10          /* ms between two checks */


static ngx_int_t ngx_chat_auth_wait(ngx_http_request_t *r);
static void ngx_chat_auth_resume(ngx_event_t *ev);
static void ngx_chat_auth_cleanup(void *data);
static ngx_chat_cached_t *ngx_chat_auth_cached(const u_char digest[16]);
static ngx_int_t ngx_chat_auth_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_chat_variables[] = {

    { ngx_string("chat_user_id"), NULL, ngx_chat_auth_variable, 0, 0, 0 },

    { ngx_string("chat_device_id"), NULL, ngx_chat_auth_variable, 1, 0, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_chat_auth_access(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_str_t             token;
    const char           *why;
    ngx_chat_ctx_t       *ctx;
    ngx_chat_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_chat_module);

    if ((lcf->auth || lcf->websocket)
        && (rc = ngx_chat_auth_wait(r)) != NGX_OK)
    {
        return rc;
    }

    if (!lcf->auth) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_chat_module);
    if (ctx != NULL && ctx->verified) {
        return NGX_OK;
    }

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_chat_ctx_t));
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ngx_chat_auth_bearer(r, &token) != NGX_OK) {
        rc = ngx_chat_problem(r, CHAT_E_UNAUTHORIZED,
                              "Send the access token as "
                              "'Authorization: Bearer ...'.", 0);
        ngx_http_finalize_request(r, rc);
        return NGX_DONE;
    }

    rc = ngx_chat_auth_check(r, &token, &ctx->token, &why);

    if (rc != CHAT_OK) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "chat token refused: %s", why);
        rc = ngx_chat_problem(r, rc, why, rc == CHAT_E_UNAVAILABLE ? 2 : 0);
        ngx_http_finalize_request(r, rc);
        return NGX_DONE;
    }

    ctx->verified = 1;
    ngx_http_set_ctx(r, ctx, ngx_http_chat_module);

    return NGX_OK;
}


/* A process that has just started, for example after a reload, has loaded the
 * revoked devices within milliseconds: requests wait for that instead of being
 * refused. NGX_AGAIN when r waits. */

static ngx_int_t
ngx_chat_auth_wait(ngx_http_request_t *r)
{
    ngx_event_t         *ev;
    ngx_chat_ctx_t      *ctx;
    ngx_pool_cleanup_t  *cln;

    if (ngx_chat_edge == NULL || ngx_chat_redis_ready() || r != r->main
        || ngx_current_msec - ngx_chat_edge->started > NGX_CHAT_START)
    {
        return NGX_OK;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_chat_module);

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_chat_ctx_t));
        ev = ngx_pcalloc(r->pool, sizeof(ngx_event_t));
        cln = ngx_pool_cleanup_add(r->pool, 0);

        if (ctx == NULL || ev == NULL || cln == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ev->handler = ngx_chat_auth_resume;
        ev->data = r;
        ev->log = r->connection->log;

        cln->handler = ngx_chat_auth_cleanup;
        cln->data = ev;

        ctx->wait = ev;
        ngx_http_set_ctx(r, ctx, ngx_http_chat_module);
    }

    if (ctx->wait == NULL) {
        return NGX_OK;
    }

    ngx_add_timer(ctx->wait, NGX_CHAT_AUTH_WAIT);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_AGAIN;
}


static void
ngx_chat_auth_resume(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ev->data;
    c = r->connection;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


static void
ngx_chat_auth_cleanup(void *data)
{
    ngx_event_t  *ev = data;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }
}


ngx_int_t
ngx_chat_auth_bearer(ngx_http_request_t *r, ngx_str_t *token_r)
{
    ngx_str_t  value;

    if (r->headers_in.authorization == NULL) {
        return NGX_DECLINED;
    }

    value = r->headers_in.authorization->value;

    if (value.len < 8
        || ngx_strncasecmp(value.data, (u_char *) "Bearer ", 7) != 0)
    {
        return NGX_ERROR;
    }

    value.data += 7;
    value.len -= 7;

    while (value.len && *value.data == ' ') {
        value.data++;
        value.len--;
    }

    *token_r = value;

    return value.len ? NGX_OK : NGX_ERROR;
}


/* Verified tokens are cached by digest: to verify a signature takes 45 us. */

ngx_int_t
ngx_chat_auth_check(ngx_http_request_t *r, ngx_str_t *token,
    chat_token_t *token_r, const char **why_r)
{
    u_char              digest[16];
    chat_token_e        rc;
    ngx_chat_cached_t  *cached;

    if (ngx_chat_edge == NULL || token->len > CHAT_TOKEN_MAX) {
        *why_r = "The access token is not valid.";
        return CHAT_E_UNAUTHORIZED;
    }

    crypto_generichash(digest, sizeof(digest), token->data, token->len,
                       NULL, 0);

    cached = ngx_chat_auth_cached(digest);

    if (cached->token.user
        && sodium_memcmp(cached->digest, digest, sizeof(digest)) == 0)
    {
        *token_r = cached->token;
        rc = cached->token.expires <= ngx_time() ? CHAT_TOKEN_EXPIRED
                                                 : CHAT_TOKEN_OK;

    } else {
        rc = chat_token_verify(ngx_chat_edge->conf->token_keys,
                               (char *) token->data, token->len, ngx_time(),
                               token_r);

        if (rc == CHAT_TOKEN_OK) {
            cached->token = *token_r;
            ngx_memcpy(cached->digest, digest, sizeof(digest));
        }
    }

    if (rc == CHAT_TOKEN_EXPIRED) {
        *why_r = "The access token has expired: refresh it.";
        return CHAT_E_TOKEN_EXPIRED;
    }

    if (rc != CHAT_TOKEN_OK) {
        *why_r = chat_token_why(rc);
        return CHAT_E_UNAUTHORIZED;
    }

    if (ngx_chat_auth_revoked(token_r->user, token_r->device)) {
        *why_r = "This device was logged out: log in again.";
        return CHAT_E_DEVICE_REVOKED;
    }

    if (!ngx_chat_edge->revoked_known) {
        *why_r = "The server does not know yet which devices were logged "
                 "out: try again.";
        return CHAT_E_UNAVAILABLE;
    }

    return CHAT_OK;
}


/* The cache entry of this digest, or the one to replace. The cache is
 * set-associative: with one entry for each set, two clients with colliding
 * digests would pay for a signature with every request. */

static ngx_chat_cached_t *
ngx_chat_auth_cached(const u_char digest[16])
{
    ngx_uint_t          i, set;
    ngx_chat_cached_t  *cached, *empty;

    set = (digest[0] | digest[1] << 8)
          % (NGX_CHAT_TOKEN_CACHE / NGX_CHAT_TOKEN_WAYS);
    cached = &ngx_chat_edge->tokens[set * NGX_CHAT_TOKEN_WAYS];
    empty = NULL;

    for (i = 0; i < NGX_CHAT_TOKEN_WAYS; i++) {

        if (cached[i].token.user == 0) {
            empty = &cached[i];

        } else if (sodium_memcmp(cached[i].digest, digest, 16) == 0) {
            return &cached[i];
        }
    }

    return empty ? empty : &cached[digest[2] % NGX_CHAT_TOKEN_WAYS];
}


ngx_uint_t
ngx_chat_auth_revoked(uint64_t user, uint64_t device)
{
    ngx_uint_t           i;
    ngx_chat_revoked_t  *rv;

    rv = ngx_chat_edge->revoked;

    /* a linear search: only devices revoked in the last 15 minutes */
    for (i = 0; i < ngx_chat_edge->nrevoked; i++) {
        if (rv[i].device == device && rv[i].user == user) {
            return 1;
        }
    }

    return 0;
}


void
ngx_chat_auth_revoke(uint64_t user, uint64_t device, int64_t expires)
{
    ngx_uint_t           cap;
    ngx_chat_edge_t     *edge;
    ngx_chat_revoked_t  *rv;

    edge = ngx_chat_edge;

    if (expires <= ngx_time() || ngx_chat_auth_revoked(user, device)) {
        return;
    }

    if (edge->nrevoked == edge->revoked_cap) {
        cap = edge->revoked_cap ? edge->revoked_cap * 2 : 64;

        rv = ngx_alloc(cap * sizeof(ngx_chat_revoked_t), edge->log);
        if (rv == NULL) {
            return;
        }

        if (edge->nrevoked) {
            ngx_memcpy(rv, edge->revoked,
                       edge->nrevoked * sizeof(ngx_chat_revoked_t));
            ngx_free(edge->revoked);
        }

        edge->revoked = rv;
        edge->revoked_cap = cap;
    }

    rv = &edge->revoked[edge->nrevoked++];
    rv->user = user;
    rv->device = device;
    rv->expires = expires;
}


void
ngx_chat_auth_expire(void)
{
    ngx_uint_t        i;
    ngx_chat_edge_t  *edge;

    edge = ngx_chat_edge;

    for (i = 0; i < edge->nrevoked; /* void */) {

        /* one minute of tolerance for clock differences */
        if (edge->revoked[i].expires + 60 < ngx_time()) {
            edge->revoked[i] = edge->revoked[--edge->nrevoked];
            continue;
        }

        i++;
    }
}


ngx_int_t
ngx_chat_auth_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_chat_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


/* Empty without a verified token, so that nginx does not send a header with
 * this value, and a header forged by the client is overwritten. */

static ngx_int_t
ngx_chat_auth_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char          *p;
    ngx_chat_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_chat_module);

    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;
    v->len = 0;
    v->data = (u_char *) "";

    if (ctx == NULL || !ctx->verified) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ngx_sprintf(p, "%uL", data ? ctx->token.device
                                        : ctx->token.user)
             - p;

    return NGX_OK;
}
