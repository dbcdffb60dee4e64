/*
 * on.h: the event handlers, one event type a file.
 *
 * Called from message_try.c inside the batch's transaction. A handler checks
 * whether the event is allowed, writes through store_*, changes the cache in
 * message_chat.h the same way, and publishes through message_entry.h and
 * reply.h. It knows neither libpq nor Redis. The same event may be handled
 * more than once: after a rollback, and after an owner of the shard committed
 * it and died before the publish (item->redo).
 *
 * on_send_message.c  on_edit_message.c   on_delete_message.c  on_react.c
 * on_chat_create.c   on_chat_change.c    on_chat_leave.c
 * on_members_add.c   on_member_change.c  on_member_remove.c
 * on_receipts.c      on_typing.c
 *
 * What they share:
 *
 * request.h          membership, fields of a REST body, Idempotency-Key
 * message_entry.h    log entries
 * reply.h            answers, refusals, notices
 */

#ifndef ON_H
#define ON_H

#include "message.h"
#include "message_entry.h"
#include "reply.h"
#include "request.h"

/* A change of a chat. STORE_OK: the event is finished, also when it was
 * refused. STORE_STALE: the cached chat was stale, the batch is attempted
 * again. Other results: the transaction failed. */
typedef store_e (*on_change_pt)(message_t *m, message_item_t *it);

store_e on_chat_create(message_t *m, message_item_t *it);
store_e on_chat_change(message_t *m, message_item_t *it);
store_e on_chat_leave(message_t *m, message_item_t *it);
store_e on_members_add(message_t *m, message_item_t *it);
store_e on_member_change(message_t *m, message_item_t *it);
store_e on_member_remove(message_t *m, message_item_t *it);
store_e on_edit_message(message_t *m, message_item_t *it);
store_e on_delete_message(message_t *m, message_item_t *it);
store_e on_react(message_t *m, message_item_t *it);
store_e on_typing(message_t *m, message_item_t *it);

/* Checks one send. Many are appended by one statement: 1 when row_r is to be
 * part of it, 0 when the send was refused. */
int on_send_message(message_t *m, message_item_t *it, store_append_t *row_r);

/* One receipt of an event; an event carries many. */
typedef struct {
    message_item_t  *it;            /* the event                            */
    message_chat_t  *chat;
    chat_receipt_t   receipt;
} on_receipt_t;

/* All receipts of a batch, written by one statement. Reorders the array. */
store_e on_receipts(message_t *m, on_receipt_t *receipts, size_t n);

#endif
