/*
 * ngx_chat_session.h: a WebSocket session, from open to close, its bytes in and
 * out.
 */

#ifndef NGX_CHAT_SESSION_H
#define NGX_CHAT_SESSION_H

#include "ngx_chat.h"


/* ngx_chat_session.c */

/* A new session of an upgraded request, in the connection's pool; NULL out of
 * memory. */
ngx_chat_session_t *ngx_chat_session_open(ngx_http_request_t *r,
    ngx_chat_loc_conf_t *conf, chat_token_t *token);

/* NULL when there is none. Across an asynchronous call carry the id: a session
 * that was closed is freed at the end of the event loop iteration. */
ngx_chat_session_t *ngx_chat_session_find(uint64_t id);

/* The sessions of a user, one after the other. Get the next one before this
 * one is destroyed. */
ngx_chat_session_t *ngx_chat_session_first(uint64_t user);
ngx_chat_session_t *ngx_chat_session_next(ngx_chat_session_t *s);

/* Bytes of the client have arrived: restarts its heartbeat timeout. */
void ngx_chat_session_touch(ngx_chat_session_t *s);

/* NGX_ERROR: out of memory, the session is destroyed. */
ngx_int_t ngx_chat_session_welcome(ngx_chat_session_t *s);

/* Closing handshake (RFC 6455, section 7) with a code and a reason of at most
 * 123 bytes; the session ends when the peer has answered, or after 2 s. */
void ngx_chat_session_close(ngx_chat_session_t *s, ngx_uint_t code,
    const char *reason);

/* Ends the session at once. reason is logged, NULL: it is not. */
void ngx_chat_session_destroy(ngx_chat_session_t *s, const char *reason);
void ngx_chat_session_free(ngx_chat_session_t *s);
void ngx_chat_session_tick(void);           /* every 100 ms                 */

/* Closes the sessions of a device with code; id not 0: that session alone. */
void ngx_chat_session_kick(uint64_t user, uint64_t device, uint64_t id,
    ngx_uint_t code);

/* ngx_chat_inflight.c: sends without an answer, by chat and messageId */
ngx_int_t ngx_chat_inflight_add(ngx_chat_session_t *s, uint64_t hash);
ngx_uint_t ngx_chat_inflight_pending(ngx_chat_session_t *s, uint64_t hash);
ngx_uint_t ngx_chat_inflight_answer(ngx_chat_session_t *s, uint64_t hash);
ngx_uint_t ngx_chat_inflight_answer_early(ngx_chat_session_t *s,
    uint64_t hash);
ngx_uint_t ngx_chat_inflight_acked(ngx_chat_session_t *s, uint64_t hash);
ngx_uint_t ngx_chat_inflight_count(ngx_chat_session_t *s);
uint64_t ngx_chat_inflight_hash(const u_char *chat, chat_str_t *message_id);

/* ngx_chat_hash.c: id and next are the offsets of an item's key and link */
void *ngx_chat_hash_find(ngx_chat_hash_t *h, uint64_t key, size_t id,
    size_t next);
ngx_int_t ngx_chat_hash_add(ngx_chat_hash_t *h, void *item, size_t id,
    size_t next);
void ngx_chat_hash_remove(ngx_chat_hash_t *h, void *item, size_t id,
    size_t next);

/* ngx_chat_read.c */
void ngx_chat_read_handler(ngx_event_t *rev);
void ngx_chat_read_bytes(ngx_chat_session_t *s, u_char *pos, u_char *end);

/* ngx_chat_dispatch.c: text is one whole message, borrowed */
void ngx_chat_dispatch(ngx_chat_session_t *s, u_char *text, size_t len);

/* ngx_chat_error.c: see there */
void ngx_chat_error_write(ngx_chat_session_t *s, chat_error_e code,
    const char *why, chat_str_t *message_id, chat_str_t *chat,
    ngx_uint_t retry_after);

/* ngx_chat_write.c: a new frame has one reference, the caller's */
ngx_chat_frame_t *ngx_chat_frame_new(ngx_uint_t op, size_t len,
    u_char **payload_r);
ngx_chat_frame_t *ngx_chat_frame_text(const u_char *data, size_t len);

/* The bytes as they are: a close frame with its head, or an HTTP response. */
ngx_chat_frame_t *ngx_chat_frame_raw(const u_char *data, size_t len);
void ngx_chat_frame_free(ngx_chat_frame_t *f);
ngx_chat_out_t *ngx_chat_out_new(ngx_chat_frame_t *f);
void ngx_chat_out_free(ngx_chat_out_t *out);

/* Three ways to write a frame that end the session when memory is short, also
 * when f, NULL, could not be allocated. NGX_OK while the session is open. */
ngx_int_t ngx_chat_write_shared(ngx_chat_session_t *s, ngx_chat_frame_t *f);
ngx_int_t ngx_chat_write_owned(ngx_chat_session_t *s, ngx_chat_frame_t *f);
ngx_int_t ngx_chat_write_text(ngx_chat_session_t *s, const u_char *data,
    size_t len);

void ngx_chat_write_flush(ngx_chat_session_t *s);
void ngx_chat_write_drop(ngx_chat_session_t *s);
void ngx_chat_write_handler(ngx_event_t *wev);
void ngx_chat_write_all(ngx_event_t *ev);

/* ngx_chat_drain.c */
ngx_msec_t ngx_chat_drain_spread(void);
void ngx_chat_drain_session(ngx_chat_session_t *s);
void ngx_chat_drain_handler(ngx_event_t *ev);

#endif
