/*
 * ngx_chat_handshake.c: checks a WebSocket handshake.
 *
 * Called from: upgrade, before the 101. Hands to: nothing. Checks the headers
 * (RFC 6455, section 4.2.1), the Origin (section 10.2) and the offered
 * subprotocols (section 11.3.4). Sends no response and does not check the
 * token.
 */

#include "ngx_chat_upgrade.h"


static ngx_int_t ngx_chat_upgrade_collect(ngx_http_request_t *r,
    ngx_chat_upgrade_t *up);


/* Checks the request as RFC 6455, section 4.2.1, requires, and fills *up.
 * NGX_OK with *why set when it is a bad request. Any other value is the result
 * to return to nginx. */

ngx_int_t
ngx_chat_handshake_headers(ngx_http_request_t *r, ngx_chat_upgrade_t *up,
    const char **why)
{
    ngx_int_t         rc;
    ngx_table_elt_t  *h;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(up, sizeof(ngx_chat_upgrade_t));

    if (ngx_chat_upgrade_collect(r, up) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->http_version < NGX_HTTP_VERSION_11
#if (NGX_HTTP_V2)
        || r->stream
#endif
       )
    {
        *why = "A WebSocket needs HTTP/1.1.";
        return NGX_OK;
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        *why = "An upgrade request has no body.";
        return NGX_OK;
    }

    h = r->headers_in.upgrade;
    if (h == NULL
        || ngx_strlcasestrn(h->value.data, h->value.data + h->value.len,
                            (u_char *) "websocket", sizeof("websocket") - 2)
           == NULL)
    {
        *why = "This is a WebSocket: send 'Upgrade: websocket'.";
        return NGX_OK;
    }

    if (!up->connection) {
        *why = "The header 'Connection: Upgrade' is missing.";
        return NGX_OK;
    }

    if (up->version.len != 2
        || ngx_memcmp(up->version.data, "13", 2) != 0)
    {
        h = ngx_list_push(&r->headers_out.headers);
        if (h == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        /* RFC 6455, section 4.4 */
        h->hash = 1;
        ngx_str_set(&h->key, "Sec-WebSocket-Version");
        ngx_str_set(&h->value, "13");

        *why = "Sec-WebSocket-Version must be 13.";
        return NGX_OK;
    }

    if (up->nkey != 1
        || ws_key_check((char *) up->key.data, up->key.len) != 0)
    {
        *why = "Sec-WebSocket-Key must be one value of 16 bytes in base64.";
        return NGX_OK;
    }

    return NGX_OK;
}


/* Collects the handshake headers, most of which nginx does not parse. */

static ngx_int_t
ngx_chat_upgrade_collect(ngx_http_request_t *r, ngx_chat_upgrade_t *up)
{
    u_char           *p;
    ngx_str_t         joined;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

#define is(name)                                                              \
        (h[i].key.len == sizeof(name) - 1                                     \
         && ngx_strncasecmp(h[i].key.data, (u_char *) name,                   \
                            sizeof(name) - 1) == 0)

        if (is("Sec-WebSocket-Key")) {
            up->key = h[i].value;
            up->nkey++;

        } else if (is("Sec-WebSocket-Version")) {
            up->version = h[i].value;

        } else if (is("Connection")) {
            up->connection |= ngx_strlcasestrn(h[i].value.data,
                                               h[i].value.data
                                               + h[i].value.len,
                                               (u_char *) "upgrade",
                                               sizeof("upgrade") - 2)
                              != NULL;

        } else if (is("Origin")) {
            up->origin = h[i].value;
            up->norigin++;

        } else if (is("Sec-WebSocket-Protocol")) {

            /* RFC 6455, section 11.3.4: may be split over several headers */
            joined.len = up->protocol.len + 1 + h[i].value.len;
            joined.data = ngx_pnalloc(r->pool, joined.len);
            if (joined.data == NULL) {
                return NGX_ERROR;
            }

            p = ngx_cpymem(joined.data, up->protocol.data, up->protocol.len);
            *p++ = ',';
            ngx_memcpy(p, h[i].value.data, h[i].value.len);
            up->protocol = joined;
        }

#undef is
    }

    return NGX_OK;
}


/* RFC 6455, section 10.2. Allowed are no Origin (not a browser), the server's
 * own host, and what chat_allowed_origins lists. NGX_ERROR otherwise. */

ngx_int_t
ngx_chat_handshake_origin(ngx_http_request_t *r, ngx_chat_loc_conf_t *lcf,
    ngx_chat_upgrade_t *up)
{
    u_char      *host;
    ngx_str_t   *allowed, own;
    ngx_uint_t   i;

    if (up->norigin == 0) {
        return NGX_OK;
    }

    if (up->norigin > 1) {
        return NGX_ERROR;
    }

    if (lcf->origins != NULL) {
        allowed = lcf->origins->elts;

        for (i = 0; i < lcf->origins->nelts; i++) {
            if ((allowed[i].len == 3
                 && ngx_strncmp(allowed[i].data, "any", 3) == 0)
                || (allowed[i].len == up->origin.len
                    && ngx_strncasecmp(allowed[i].data, up->origin.data,
                                       up->origin.len)
                       == 0))
            {
                return NGX_OK;
            }
        }
    }

    /* Compare with the Host header, port included: browsers omit the default
     * port in both. */
    if (r->headers_in.host == NULL) {
        return NGX_ERROR;
    }

    own = r->headers_in.host->value;
    host = NULL;

    if (up->origin.len > 8
        && ngx_strncasecmp(up->origin.data, (u_char *) "https://", 8) == 0)
    {
        host = up->origin.data + 8;

    } else if (up->origin.len > 7
               && ngx_strncasecmp(up->origin.data, (u_char *) "http://", 7)
                  == 0)
    {
        host = up->origin.data + 7;
    }

    if (host == NULL
        || (size_t) (up->origin.data + up->origin.len - host) != own.len
        || ngx_strncasecmp(host, own.data, own.len) != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* NGX_OK when chat.v1 is offered, else NGX_DECLINED. *bearer is set to the
 * token when a subprotocol carries one. */

ngx_int_t
ngx_chat_handshake_protocols(ngx_str_t *offered, ngx_str_t *bearer)
{
    u_char     *p, *end, *start;
    size_t      len;
    ngx_int_t   rc;

    rc = NGX_DECLINED;
    p = offered->data;
    end = p + offered->len;

    while (p < end) {

        while (p < end && (*p == ',' || *p == ' ' || *p == '\t')) {
            p++;
        }

        start = p;

        while (p < end && *p != ',' && *p != ' ' && *p != '\t') {
            p++;
        }

        len = p - start;

        if (len == sizeof(CHAT_SUBPROTOCOL) - 1
            && ngx_memcmp(start, CHAT_SUBPROTOCOL, len) == 0)
        {
            rc = NGX_OK;

        } else if (len > sizeof(CHAT_SUBPROTOCOL_BEARER) - 1
                   && ngx_memcmp(start, CHAT_SUBPROTOCOL_BEARER,
                                 sizeof(CHAT_SUBPROTOCOL_BEARER) - 1)
                      == 0)
        {
            bearer->data = start + sizeof(CHAT_SUBPROTOCOL_BEARER) - 1;
            bearer->len = len - (sizeof(CHAT_SUBPROTOCOL_BEARER) - 1);
        }
    }

    return rc;
}
