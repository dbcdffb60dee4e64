/*
 * reply.h: what handlers send: answers, refusals and notices.
 *
 * Called from on_*.c, message_*.c and request*.c; hands to fanout.c, which
 * collects everything until the batch is committed. All JSON of a handler is
 * built in one buffer and leaves through the functions below, which end the
 * process when an allocation failed.
 *
 * reply.c       the buffer, REST answers, refusals, notices
 * reply_chat.c  a chat and a member as JSON, chat_added and chat_removed
 */

#ifndef REPLY_H
#define REPLY_H

#include "message.h"

/* ---------------------------------------------------------------- reply.c */

/* The session, or the waiting REST request, that sent the event. */
fanout_to_t reply_address(const message_item_t *it);

/* The JSON buffer, emptied. There is one a process: finish one answer before
 * the next is begun. Borrowed. */
chat_buf_t *reply_buf(message_t *m);

void reply_add(chat_buf_t *buf, const char *json);
void reply_add_num(chat_buf_t *buf, uint64_t n);
/* A user id: a number in quotes. */
void reply_add_id(chat_buf_t *buf, uint64_t id);
void reply_add_chat_id(chat_buf_t *buf, const uint8_t id[16]);
/* A string with escapes; absent: null. */
void reply_add_str(chat_buf_t *buf, const chat_str_t *s);

/* Answers a REST request; nothing is sent to a socket. */
void reply_http(message_t *m, message_item_t *it, unsigned status,
    const chat_buf_t *json);
void reply_no_content(message_t *m, message_item_t *it);

/* Refuses the event: problem+json (RFC 9457) for REST, else an error frame
 * that names the message id and the chat. */
void reply_refuse(message_t *m, message_item_t *it, chat_error_e error,
    const char *why);

/* A frame for all members of the chat except one user. */
void reply_notify_others(message_t *m, message_chat_t *chat, uint64_t except,
    const chat_buf_t *json);
/* A frame for all devices of n users except one device (0: none). */
void reply_notify_users(message_t *m, const uint64_t *users, size_t n,
    uint64_t except_device, const chat_buf_t *json);

/* ----------------------------------------------------------- reply_chat.c */

/* Adds the item's chat as its sender sees it: {"chatId":...,"type":...}.
 * STORE_STALE: the sender is not a member in the store. */
store_e reply_chat_json(message_t *m, message_item_t *it, chat_buf_t *buf);

/* Adds a member: {"userId":...,"role":...}. */
void reply_add_member(chat_buf_t *buf, const message_member_t *member);

/* chat_added: the users see the chat from this seq on. */
void reply_chat_added(message_t *m, message_item_t *it, const uint64_t *users,
    size_t n, uint64_t from_seq);
/* chat_removed: the user is no longer a member. */
void reply_chat_removed(message_t *m, message_item_t *it, uint64_t user);

#endif
