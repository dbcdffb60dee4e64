/*
 * ngx_chat_rest_path.c: parses the path of a REST write.
 *
 * Called from: rest. Hands to: nothing. A pure function: no I/O, no state.
 */

#include "ngx_chat_rest.h"


#define NGX_CHAT_REST_BASE  "/api/v1/chats"


/* 1 when the URI has one of the shapes in ngx_chat_rest.h; path->malformed is
 * set when an id is invalid. */

ngx_uint_t
ngx_chat_rest_path(ngx_str_t *uri, ngx_chat_rest_path_t *path)
{
    u_char      *p, *end, *slash;
    ngx_str_t    part[3];
    ngx_uint_t   n;

    ngx_memzero(path, sizeof(ngx_chat_rest_path_t));

    p = uri->data;
    end = p + uri->len;

    if (uri->len < sizeof(NGX_CHAT_REST_BASE) - 1
        || ngx_memcmp(p, NGX_CHAT_REST_BASE, sizeof(NGX_CHAT_REST_BASE) - 1)
           != 0)
    {
        return 0;
    }

    p += sizeof(NGX_CHAT_REST_BASE) - 1;
    ngx_memzero(part, sizeof(part));

    if (p == end) {
        path->shape = NGX_CHAT_REST_CHATS;
        return 1;
    }

    for (n = 0; p < end; n++) {

        if (*p != '/' || n == 3) {
            return 0;
        }

        p++;
        slash = ngx_strlchr(p, end, '/');
        part[n].data = p;
        part[n].len = (slash ? slash : end) - p;
        p += part[n].len;

        if (part[n].len == 0) {
            return 0;
        }
    }

    path->malformed = chat_id_parse((char *) part[0].data, part[0].len,
                                    path->chat) != 0;

    if (n == 1) {
        path->shape = NGX_CHAT_REST_CHAT;
        return 1;
    }

    if (n == 2 && part[1].len == 8
        && ngx_memcmp(part[1].data, "messages", 8) == 0)
    {
        path->shape = NGX_CHAT_REST_MESSAGES;
        return 1;
    }

    if (part[1].len != 7 || ngx_memcmp(part[1].data, "members", 7) != 0) {
        return 0;
    }

    if (n == 2) {
        path->shape = NGX_CHAT_REST_MEMBERS;
        return 1;
    }

    path->shape = NGX_CHAT_REST_MEMBER;

    if (chat_num_parse((char *) part[2].data, part[2].len, &path->user) != 0)
    {
        path->malformed = 1;
    }

    return 1;
}
