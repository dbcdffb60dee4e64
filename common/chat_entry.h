/*
 * chat_entry.h: an entry of a chat's log and its JSON form.
 *
 * The live frame, the catch-up frame and the history item are all written by
 * chat_entry_json(), so that they cannot differ.
 */

#ifndef CHAT_ENTRY_H
#define CHAT_ENTRY_H

#include "chat_buf.h"
#include "chat_event.h"
#include "chat_proto.h"

typedef enum {
    CHAT_KIND_NONE = 0,
#define X(name, word)  CHAT_KIND_ ## name,
    CHAT_KINDS(X)
#undef X
    CHAT_KIND_COUNT
} chat_kind_e;                  /* stored as smallint: append, never reorder */

typedef struct {
    uint8_t      chat[16];
    uint64_t     seq;
    uint8_t      kind;          /* chat_kind_e                              */
    uint8_t      deleted;       /* the message was deleted                  */
    uint64_t     sender;        /* user                                     */
    uint64_t     sender_device; /* 0: made by the server                    */
    int64_t      timestamp;     /* ms since 1970                            */
    int64_t      edited;        /* ms since 1970, 0 when never              */
    uint64_t     reply_to;      /* seq, 0 when none                         */
    uint64_t     target;        /* seq: EDIT DELETE REACTION                */
    uint64_t     subject;       /* user: MEMBER_*, ROLE_CHANGED             */
    uint64_t     expires_in;    /* seconds, 0 when it never expires         */
    chat_str_t   message_id;    /* absent when a REST member call made it   */
    chat_str_t   content;       /* EDIT: new content; REACTION: emoji;
                                   CHAT_CHANGED: the title                  */
    chat_str_t   content_type;
    chat_str_t   media_id;
    chat_str_t   role;          /* ROLE_CHANGED, MEMBER_ADDED               */
} chat_entry_t;

/* Appends {"type":"new_message",...} when as_frame, else the same object
 * without "type" (the REST item). HIDDEN gives chatId, seq and kind alone.
 * 0, or -1 out of memory. */
int chat_entry_json(chat_buf_t *buf, const chat_entry_t *e, int as_frame);

const char *chat_kind_word(unsigned kind);

/* 64-bit digest that tells a duplicate from a reused messageId with other
 * fields: unkeyed BLAKE2b over kind, target, content, content_type, reply_to,
 * media_id, expires_in, each with its length. Never 0. */
uint64_t chat_entry_digest(const chat_entry_t *e);

#endif
