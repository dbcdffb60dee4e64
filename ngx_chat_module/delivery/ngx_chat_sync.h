/*
 * ngx_chat_sync.h: what the two files of catch-up share.
 */

#ifndef NGX_CHAT_SYNC_H
#define NGX_CHAT_SYNC_H

#include "ngx_chat.h"

#define NGX_CHAT_SYNC_FAILED  500       /* ms after the worker could not     */

/* One request to the sync worker; its number is s->sync.request. */
void ngx_chat_sync_request(ngx_chat_session_t *s, ngx_uint_t type, u_char *body,
    size_t len);
/* Repeats whose answer waits: their place may be known by now. */
void ngx_chat_sync_pending_acks(ngx_chat_session_t *s);

/* 1 when a page is under way, or the window is full and only the client's
 * marks can open it; 0 when there is nothing to fetch. */
ngx_uint_t ngx_chat_sync_request_page(ngx_chat_session_t *s);


/* Catch-up leaves half of the queue to what comes live. */

static ngx_inline ngx_uint_t
ngx_chat_sync_behind(ngx_chat_session_t *s, size_t len)
{
    return s->out != NULL && s->out_bytes + len > s->conf->send_buffer / 2;
}

#endif
