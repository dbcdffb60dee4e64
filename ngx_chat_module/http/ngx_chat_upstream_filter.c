/*
 * ngx_chat_upstream_filter.c: the upstream write filter.
 *
 * Called from: nginx, for the header of every response. Hands to: the next
 * header filter. nginx registers an upstream connection with epoll for both
 * directions. A unix socket becomes writable each time its peer has read, so
 * every request to the API worker would cause one needless wakeup. The filter
 * removes the write event when the first response arrives; nginx adds it again
 * when a write finds the socket full.
 */

#include "ngx_chat_http.h"


static ngx_int_t ngx_chat_upstream_write_filter(ngx_http_request_t *r);


static ngx_http_output_header_filter_pt  ngx_chat_upstream_filter_next;


/* Inserts the filter. Called once, while the configuration is read. */

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

    /* Not ready: the remainder of a request still has to be written. */
    if (wev->active && wev->ready && c->read->active
        && ngx_del_event(wev, NGX_WRITE_EVENT, NGX_CLEAR_EVENT) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_chat_upstream_filter_next(r);
}
