/*
 * ngx_chat_upstream_filter.c: a kept connection to the API worker wakes nobody in vain.
 *
 * Called for every response's header. nginx asks epoll for both directions of
 * a connection upstream. A unix socket reports that it may be written to each
 * time its other end has read something, so every request would wake the
 * process once more, for nothing. Writing is asked for no more once the first
 * response comes; nginx itself asks again when a write finds the socket full.
 */

#include "ngx_chat.h"


static ngx_int_t ngx_chat_upstream_write_filter(ngx_http_request_t *r);


static ngx_http_output_header_filter_pt  ngx_chat_upstream_filter_next;


void
ngx_chat_upstream_filter_init(void)
{
    ngx_chat_upstream_filter_next = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_chat_upstream_write_filter;
}


static ngx_int_t
ngx_chat_upstream_write_filter(ngx_http_request_t *r)
{
    ngx_event_t       *wev;
    ngx_connection_t  *c;

    if (r->upstream == NULL || r->upstream->peer.connection == NULL
        || r->upstream->peer.sockaddr == NULL
        || r->upstream->peer.sockaddr->sa_family != AF_UNIX
        || !(ngx_event_flags & NGX_USE_EPOLL_EVENT))
    {
        return ngx_chat_upstream_filter_next(r);
    }

    c = r->upstream->peer.connection;
    wev = c->write;

    /* not ready: the rest of a request waits to be written */
    if (wev->active && wev->ready && c->read->active
        && ngx_del_event(wev, NGX_WRITE_EVENT, NGX_CLEAR_EVENT) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_chat_upstream_filter_next(r);
}
