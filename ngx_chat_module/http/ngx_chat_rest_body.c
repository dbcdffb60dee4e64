/*
 * ngx_chat_rest_body.c: the parts of a REST write that the edge reads.
 *
 * Called from: rest. Hands to: nothing. The content type, the body, the
 * Idempotency-Key, and from the body of a new chat its id.
 */

#include "ngx_chat_rest.h"


ngx_uint_t
ngx_chat_rest_is_json(ngx_http_request_t *r)
{
    u_char      c;
    ngx_str_t  *type;

    if (r->headers_in.content_type == NULL) {
        return 0;
    }

    type = &r->headers_in.content_type->value;

    if (ngx_strncasecmp(type->data, (u_char *) "application/json",
                        sizeof("application/json") - 1)
        != 0)
    {
        return 0;
    }

    /* header values are zero-terminated */
    c = type->data[sizeof("application/json") - 1];

    return c == '\0' || c == ';' || c == ' ' || c == '\t';
}


ngx_int_t
ngx_chat_rest_collect(ngx_http_request_t *r, ngx_str_t *body)
{
    off_t         size;
    u_char       *p;
    ssize_t       n;
    ngx_chain_t  *cl;

    size = 0;

    if (r->request_body == NULL) {
        ngx_str_null(body);
        return NGX_OK;
    }

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    if (size > CHAT_FRAME_MAX) {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(r->pool, size + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;
    body->len = size;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {

        if (cl->buf->in_file && !ngx_buf_in_memory(cl->buf)) {
            n = ngx_read_file(cl->buf->file, p,
                              cl->buf->file_last - cl->buf->file_pos,
                              cl->buf->file_pos);

            if (n != cl->buf->file_last - cl->buf->file_pos) {
                return NGX_ERROR;
            }

            p += n;
            continue;
        }

        p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
    }

    return NGX_OK;
}


/* The request's Idempotency-Key, if any. A malformed key is an error: the
 * client relies on the request being executed once. */

ngx_int_t
ngx_chat_rest_key(ngx_http_request_t *r, chat_str_t *key)
{
    size_t            k;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    key->data = NULL;
    key->len = 0;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NGX_OK;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len != sizeof("Idempotency-Key") - 1
            || ngx_strncasecmp(h[i].key.data, (u_char *) "Idempotency-Key",
                               h[i].key.len)
               != 0)
        {
            continue;
        }

        if (key->data != NULL || h[i].value.len == 0
            || h[i].value.len > CHAT_IDEMPOTENCY_KEY_MAX)
        {
            return NGX_ERROR;
        }

        for (k = 0; k < h[i].value.len; k++) {
            if (h[i].value.data[k] < '!' || h[i].value.data[k] > '~') {
                return NGX_ERROR;
            }
        }

        key->data = (char *) h[i].value.data;
        key->len = h[i].value.len;
    }
}


/* The id of a new chat determines its shard. When the body is malformed any id
 * is good enough: the worker refuses the request. */

ngx_int_t
ngx_chat_rest_new_chat(ngx_chat_ctx_t *ctx, ngx_str_t *body, u_char *chat)
{
    char           why[128];
    size_t         i;
    json_t        *root, *members, *member;
    uint64_t       user, peer;
    uint8_t        random[10];
    ngx_time_t    *tp;
    const char    *type;
    chat_error_e   error;

    tp = ngx_timeofday();
    randombytes_buf(random, sizeof(random));
    chat_id_v7((int64_t) tp->sec * 1000 + tp->msec, random, chat);

    root = chat_json_load((char *) body->data, body->len, &error, why);
    if (root == NULL) {
        return NGX_OK;
    }

    type = json_string_value(json_object_get(root, "type"));
    members = json_object_get(root, "memberIds");
    peer = 0;

    if (type != NULL && ngx_strcmp(type, "direct") == 0
        && json_array_size(members) <= 2)
    {
        json_array_foreach(members, i, member) {
            if (json_is_string(member)
                && chat_num_parse(json_string_value(member),
                                  json_string_length(member), &user) == 0
                && user != ctx->token.user)
            {
                peer = user;
            }
        }
    }

    if (peer) {
        chat_id_direct(ngx_chat_edge->conf->id_key, ctx->token.user, peer,
                       chat);
    }

    json_decref(root);

    return NGX_OK;
}
