/*
 * ngx_chat_problem.c: HTTP responses with a body of our own.
 *
 * Called from: every HTTP handler of the edge. Hands to: nginx's output
 * filters. Errors are problem+json (RFC 9457) with the member `code`, and with
 * `Retry-After` where a retry may succeed (RFC 9110, section 10.2.3).
 */

#include "ngx_chat_http.h"


static ngx_int_t
ngx_chat_header(ngx_http_request_t *r, const char *name, const char *value,
    size_t len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    ngx_str_set(&h->key, "");
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = len;

    return NGX_OK;
}


/* Sends a complete response. The body must live as long as the request. Returns
 * a value for ngx_http_finalize_request(). */

ngx_int_t
ngx_chat_answer(ngx_http_request_t *r, ngx_uint_t status, const char *type,
    ngx_str_t *body)
{
    ngx_int_t    rc;
    ngx_buf_t   *b;
    ngx_chain_t  out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = body->len;
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    if (status == NGX_HTTP_NO_CONTENT) {
        r->header_only = 1;
        ngx_http_clear_content_length(r);
        r->headers_out.content_type.len = 0;
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        r->keepalive = 0;
    }

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = body->len ? 1 : 0;
    b->sync = body->len ? 0 : 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/* Sends an error. detail must not need JSON escaping. retry_after: seconds, 0
 * for none. Returns a value for ngx_http_finalize_request(). */

ngx_int_t
ngx_chat_problem(ngx_http_request_t *r, chat_error_e code,
    const char *detail, ngx_uint_t retry_after)
{
    u_char     *p, *end;
    size_t      size;
    ngx_str_t   body;
    u_char     *seconds;

    size = sizeof("{\"type\":\"urn:chat:problem:\",\"title\":\"\",\"status\":,"
                  "\"detail\":\"\",\"code\":\"\",\"retryAfter\":}")
           + ngx_strlen(chat_error_title(code)) + ngx_strlen(detail)
           + 2 * ngx_strlen(chat_error_word(code)) + 2 * NGX_INT_T_LEN;

    body.data = ngx_pnalloc(r->pool, size);
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    end = body.data + size;

    p = ngx_slprintf(body.data, end,
                     "{\"type\":\"urn:chat:problem:%s\",\"title\":\"%s\","
                     "\"status\":%d,\"detail\":\"%s\",\"code\":\"%s\"",
                     chat_error_word(code), chat_error_title(code),
                     chat_error_status(code), detail, chat_error_word(code));

    if (retry_after) {
        p = ngx_slprintf(p, end, ",\"retryAfter\":%ui", retry_after);

        seconds = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (seconds == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (ngx_chat_header(r, "Retry-After", (char *) seconds,
                            ngx_sprintf(seconds, "%ui", retry_after)
                            - seconds)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    *p++ = '}';
    body.len = p - body.data;

    /* RFC 9110, section 11.6.1: a 401 names the scheme */
    if (chat_error_status(code) == NGX_HTTP_UNAUTHORIZED
        && ngx_chat_header(r, "WWW-Authenticate", "Bearer",
                           sizeof("Bearer") - 1)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* RFC 9110, section 15.5.6: a 405 lists the allowed methods. Every page
     * that answers 405 here allows GET. */
    if (code == CHAT_E_METHOD_NOT_ALLOWED
        && ngx_chat_header(r, "Allow", "GET", sizeof("GET") - 1) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_chat_answer(r, chat_error_status(code),
                           "application/problem+json", &body);
}
