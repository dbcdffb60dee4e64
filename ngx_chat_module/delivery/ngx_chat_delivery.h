/*
 * ngx_chat_delivery.h: between the sessions and the workers: events to the
 * streams, entries from the batches, catch-up, routes.
 */

#ifndef NGX_CHAT_DELIVERY_H
#define NGX_CHAT_DELIVERY_H

#include "ngx_chat.h"


/* ngx_chat_enqueue.c */

typedef struct ngx_chat_enqueue_s  ngx_chat_enqueue_t;

/* An event without a reply of Redis: the first member of the caller's own
 * record of it, so that each event costs one allocation. done is called once,
 * with NGX_OK when the event is in its stream, and may free the record. */
struct ngx_chat_enqueue_s {
    void              (*done)(ngx_chat_enqueue_t *enqueue, ngx_int_t rc);
};

/* 1 when an event for this chat can be accepted now. */
ngx_uint_t ngx_chat_enqueue_ready(const u_char *chat);

/* Appends ev to its shard's stream. NGX_OK: enqueue->done will be called,
 * enqueue is taken; NULL: nobody waits. NGX_ERROR: nothing was sent, enqueue
 * is still the caller's. */
ngx_int_t ngx_chat_enqueue_event(chat_event_t *ev, ngx_uint_t shard,
    ngx_chat_enqueue_t *enqueue);

/* Appends a request to the sync worker. Its loss is not reported: the session
 * repeats it. The stream is capped, requests older than seconds are
 * worthless. */
ngx_int_t ngx_chat_enqueue_sync(chat_event_t *ev);

/* ngx_chat_receipt.c: receipts of the client, coalesced for 200 ms; flush when
 * the session ends */
void ngx_chat_receipt_set(ngx_chat_session_t *s, const u_char *chat,
    uint64_t seq, ngx_uint_t read);
void ngx_chat_receipt_flush(ngx_chat_session_t *s);
void ngx_chat_receipt_tick(void);

/* ngx_chat_batch.c: data is a message of the subscription, borrowed */
void ngx_chat_batch(u_char *data, size_t len);

/* ngx_chat_deliver.c: write and ack return NGX_OK while the session is open */
void ngx_chat_deliver_entry(chat_rec_t *rec);
ngx_int_t ngx_chat_deliver_write(ngx_chat_session_t *s, chat_rec_t *rec,
    ngx_chat_frame_t **frame, ngx_uint_t hidden);
ngx_int_t ngx_chat_deliver_ack(ngx_chat_session_t *s, chat_rec_t *rec);

/* ngx_chat_duplicate.c: acks of sends that are duplicates; all: nothing is left
 * to fetch */
void ngx_chat_duplicate(chat_rec_t *rec);
void ngx_chat_duplicate_retry(ngx_chat_session_t *s, ngx_uint_t all);
void ngx_chat_duplicate_free(ngx_chat_session_t *s);

/* ngx_chat_sync.c, ngx_chat_sync_page.c */

/* A session has opened: writes its route, then requests its list. */
void ngx_chat_sync_start(ngx_chat_session_t *s);

/* The device has a valid marker: as a list without chats. */
void ngx_chat_sync_up_to_date(ngx_chat_session_t *s);

/* Entries may have been lost: all sessions, or one after wait ms, refresh the
 * list. */
void ngx_chat_sync_resync_all(void);
void ngx_chat_sync_restart(ngx_chat_session_t *s, ngx_msec_t wait);

/* Sends the next request, if one is due and allowed. */
void ngx_chat_sync_more(ngx_chat_session_t *s);

/* Records of the sync worker. */
void ngx_chat_sync_list(ngx_chat_session_t *s, chat_rec_t *rec);
void ngx_chat_sync_page(ngx_chat_session_t *s, chat_rec_t *rec);

/* delivered: a receipt of the client opens the window. cursor: finds or adds,
 * NULL when memory or the table is full. repair: the chat has a gap. */
void ngx_chat_sync_delivered(ngx_chat_session_t *s, ngx_chat_cursor_t *k,
    uint64_t seq);
ngx_chat_cursor_t *ngx_chat_sync_cursor(ngx_chat_session_t *s,
    const u_char *chat);
void ngx_chat_sync_repair(ngx_chat_session_t *s, ngx_chat_cursor_t *k);
void ngx_chat_sync_tick(void);
void ngx_chat_sync_end(ngx_chat_session_t *s);

/* ngx_chat_table.c: the chat cursors of a session. A pointer to a cursor is
 * valid until the next add or compact. */
ngx_chat_cursor_t *ngx_chat_table_find(ngx_chat_table_t *t,
    const u_char *chat);
ngx_chat_cursor_t *ngx_chat_table_add(ngx_chat_table_t *t, ngx_log_t *log,
    const u_char *chat);
void ngx_chat_table_compact(ngx_chat_table_t *t);
void ngx_chat_table_free(ngx_chat_table_t *t);

/* ngx_chat_route.c: set returns NGX_ERROR while Redis is unavailable; all
 * writes the routes of all sessions again */
ngx_int_t ngx_chat_route_set(ngx_chat_session_t *s);
void ngx_chat_route_clear(ngx_chat_session_t *s);
void ngx_chat_route_renew_all(void);

/* ngx_chat_leave.c */
ngx_uint_t ngx_chat_leave_clean(ngx_chat_session_t *s);
void ngx_chat_leave_missed(uint64_t user);
void ngx_chat_leave_passed(ngx_uint_t ticket);
void ngx_chat_leave_lost(void);

#endif
