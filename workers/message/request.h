/*
 * request.h: checks and fields of an event that handlers share.
 *
 * Called from on_*.c and message_target.c. A function that finds the request
 * wrong refuses it with reply_refuse(); its caller then returns STORE_OK, for
 * a refused event is finished.
 *
 * request.c      membership, and the fields of a REST body
 * request_key.c  Idempotency-Key
 */

#ifndef REQUEST_H
#define REQUEST_H

#include <jansson.h>

#include "message.h"

/* -------------------------------------------------------------- request.c */

/* The sender as a member of the item's chat, borrowed from the cache, or NULL
 * after refusing: not_found for one who never was a member, not_member for a
 * former member. */
message_member_t *request_member(message_t *m, message_item_t *it);

/* As above, and the chat is a group of which the sender is the owner or an
 * admin; otherwise forbidden, with this text. */
message_member_t *request_admin(message_t *m, message_item_t *it,
    const char *why);

/* The REST body, which must be a JSON object; new, or NULL after refusing. */
json_t *request_body(message_t *m, message_item_t *it);

/* The user ids of the array `field`, and `extra` when it is not 0, as a sorted
 * set: *users_r is new, freed by the caller. 0, or -1 after refusing with
 * bad_field. */
int request_users(message_t *m, message_item_t *it, json_t *root,
    const char *field, uint64_t extra, uint64_t **users_r, size_t *n_r);

/* The title, 1 .. CHAT_TITLE_MAX bytes, borrowed from `root`; data is NULL
 * when it is absent and not required. 0, or -1 after refusing. */
int request_title(message_t *m, message_item_t *it, json_t *root,
    int required, chat_str_t *title_r);

/* ---------------------------------------------------------- request_key.c */

/* Reserves the request's Idempotency-Key, if there is one, for the user and
 * route. *answered_r: the key was used before, and the stored answer, or a
 * refusal when the body differs, was sent. */
store_e request_key_take(message_t *m, message_item_t *it, const char *route,
    int *answered_r);

/* Sends the answer and stores it under the key. */
store_e request_key_answer(message_t *m, message_item_t *it,
    const char *route, unsigned status, const chat_buf_t *json);

#endif
