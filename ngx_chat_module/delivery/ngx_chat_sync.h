/*
 * ngx_chat_sync.h: what the two files of catch-up share.
 */

#ifndef NGX_CHAT_SYNC_H
#define NGX_CHAT_SYNC_H

#include "ngx_chat.h"

#define NGX_CHAT_SYNC_FAILED  500       /* ms until a failed request is
                                           repeated                          */

/* Sends a request to the sync worker; its number is s->sync.request. */
void ngx_chat_sync_request(ngx_chat_session_t *s, ngx_uint_t type, u_char *body,
    size_t len);
/* Acks of duplicates that wait: their place may be known by now. */
void ngx_chat_sync_pending_acks(ngx_chat_session_t *s);

/* 1 when a page is requested, or the window is full until the client sends
 * receipts; 0 when there is nothing to fetch. */
ngx_uint_t ngx_chat_sync_request_page(ngx_chat_session_t *s);


/* Catch-up leaves half of the write queue to live entries. */

static ngx_inline ngx_uint_t
ngx_chat_sync_behind(ngx_chat_session_t *s, size_t len)
{
    return s->out != NULL && s->out_bytes + len > s->conf->send_buffer / 2;
}

#endif
