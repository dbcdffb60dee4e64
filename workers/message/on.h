/*
 * on.h: one event type a file.
 *
 * Called from message_try.c inside the batch's transaction. A handler checks
 * whether the event may be, writes through store_*, changes the cache in
 * message_chat.h the same way, and gathers with fanout_* who is told what. It
 * knows neither libpq nor hiredis. It may be called again for the same event:
 * after a rollback, or because a dead owner had done it already (item->redo).
 *
 * on_send_message.c     on_edit_message.c   on_delete_message.c   on_react.c
 * on_chat_create.c      on_chat_change.c    on_chat_leave.c
 * on_members_add.c      on_member_change.c  on_member_remove.c
 * on_receipts.c            on_typing.c
 * on_answer.c           refusals, REST answers, notices, shared checks
 * on_target.c           the message that an edit, delete or reaction is about
 * on_body.c             fields of REST bodies      on_key.c  Idempotency-Key
 */

#ifndef ON_H
#define ON_H

#include <jansson.h>

#include "message.h"

/* ---------------------------------------------------------------- handlers */

/* A change: everything is done on STORE_OK, also when it was refused.
 * STORE_STALE: the cache was stale, the batch is retried. */
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

/* Sends are written many at a time: 1 when row_r is to be appended, 0 when it
 * was refused; after the statement, what became of it. */
int on_send_message(message_t *m, message_item_t *it, store_append_t *row_r);
store_e on_appended(message_t *m, message_item_t *it, store_append_t *row);

/* Marks of a whole batch are written at once. */
typedef struct {
    message_item_t  *it;
    message_chat_t  *chat;
    chat_receipt_t   receipt;
} on_receipt_t;

store_e on_receipts(message_t *m, on_receipt_t *marks, size_t n);

/* ------------------------------------------------------------ on_answer.c */

fanout_to_t on_from(const message_item_t *it);

/* The caller as a member, or NULL after refusing: not_found when never one,
 * not_member when no longer. */
message_member_t *on_member(message_t *m, message_item_t *it);

/* An error frame or problem+json, whichever the event came as. */
void on_refuse(message_t *m, message_item_t *it, chat_error_e error,
    const char *why);

/* The buffer for a handler's JSON, empty. */
chat_buf_t *on_text(message_t *m);
void on_add(chat_buf_t *buf, const char *text);
void on_add_chat(chat_buf_t *buf, const uint8_t id[16]);
void on_add_id(chat_buf_t *buf, uint64_t id);
void on_add_num(chat_buf_t *buf, uint64_t n);
void on_add_str(chat_buf_t *buf, const chat_str_t *s);

void on_http(message_t *m, message_item_t *it, unsigned status,
    const chat_buf_t *json);

/* The chat as the caller sees it, {chatId, type, ...}, into the handler's
 * buffer. */
store_e on_chat_json(message_t *m, message_item_t *it, chat_buf_t *buf);

/* {"type":"chat_added"...} with fromSeq, or "chat_removed" when it is 0. */
void on_notify_chat(message_t *m, message_item_t *it, const uint64_t *users,
    size_t n, uint64_t from_seq);

/* An entry that a change makes: no message id. `subject` 0: none. */
void on_entry(const message_item_t *it, chat_kind_e kind, uint64_t subject,
    int role, store_append_t *row_r);

/* Appends and publishes entries of the item's chat, in order. */
store_e on_append(message_t *m, message_item_t *it, store_append_t *rows,
    size_t n);
void on_publish(message_t *m, message_item_t *it, const chat_entry_t *e,
    uint64_t back);

/* A change that was done by an owner who died before telling: an entry again
 * makes every edge that missed one ask for it. The chat's last one, or, of a
 * departure, the last that who departed may see. */
store_e on_republish(message_t *m, message_item_t *it, uint64_t seq);

/* -------------------------------------------------------------- on_body.c */

/* The REST body as an object, new, or NULL after refusing. */
json_t *on_body(message_t *m, message_item_t *it);

/* Ids of an array, as a sorted set without repeats, new in *users_r; 0, or -1
 * after refusing with bad_field. */
int on_users(message_t *m, message_item_t *it, json_t *root,
    const char *field, uint64_t also, uint64_t **users_r, size_t *n_r);

/* A title of 1 .. CHAT_TITLE_MAX bytes; absent when it may be. */
int on_title(message_t *m, message_item_t *it, json_t *root, int required,
    chat_str_t *title_r);

/* ------------------------------------------------------------ on_target.c */

/* The target of an edit, delete or reaction. OK with *go_r 0: it was refused;
 * a repeat passes, for it was allowed the first time. */
store_e on_target(message_t *m, message_item_t *it, message_member_t *member,
    store_target_t *target_r, int *go_r);
/* Appends the entry about it and tells what became of it; *fresh_r: it is no
 * repeat, so the target is to be changed. */
store_e on_target_entry(message_t *m, message_item_t *it, chat_kind_e kind,
    int *fresh_r);

/* -------------------------------------------------------- on_chat_leave.c */

/* A member goes, by MEMBER_LEFT or MEMBER_REMOVED. */
store_e on_depart(message_t *m, message_item_t *it, message_member_t *member,
    chat_kind_e kind);
void on_no_content(message_t *m, message_item_t *it);

/* --------------------------------------------------------------- on_key.c */

/* Idempotency-Key of a POST. OK: go on; NONE: it was answered already. */
store_e on_key_take(message_t *m, message_item_t *it, const char *route);
store_e on_key_fill(message_t *m, message_item_t *it, const char *route,
    unsigned status, const chat_buf_t *json);

#endif
