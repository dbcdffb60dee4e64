/*
 * chat_committed.h: what the feed says about committed entries, as bytes.
 *
 * The value of one stream entry of message.committed:{shard}: a version byte,
 * then one record for each committed entry, `u16 length` and fields,
 * little-endian. A later version of the program may append fields to a record:
 * a reader skips what it does not know. The version byte changes only when a
 * reader would misunderstand.
 *
 * A record names an entry and never holds its content, which a consumer reads
 * from the store by (chat, seq). Nor does it list the members: its size does
 * not depend on the size of the chat.
 *
 * The message worker writes, workers/feed/ reads. Reading allocates nothing and
 * borrows from the input.
 */

#ifndef CHAT_COMMITTED_H
#define CHAT_COMMITTED_H

#include <stddef.h>
#include <stdint.h>

#include "chat_buf.h"
#include "chat_event.h"

#define CHAT_COMMITTED_VERSION       1
#define CHAT_COMMITTED_MENTIONS_MAX  256

/* The entry may have been written to the feed before. */
#define CHAT_COMMITTED_F_REDO     0x01
/* A message whose content is gone: it was deleted before this record was
 * written. */
#define CHAT_COMMITTED_F_DELETED  0x02
/* The entry expires; when, is in the store. */
#define CHAT_COMMITTED_F_EXPIRES  0x04
/* The entry refers to a media object, whose id is in the store. */
#define CHAT_COMMITTED_F_MEDIA    0x08

typedef struct {
    uint8_t         chat[16];
    uint64_t        seq;
    uint8_t         kind;           /* chat_kind_e                          */
    uint8_t         flags;          /* CHAT_COMMITTED_F_*                   */
    uint8_t         chat_type;      /* 1 direct, 2 group, as in `chats`     */
    uint64_t        sender;         /* user                                 */
    uint64_t        sender_device;  /* 0: made by the server                */
    int64_t         timestamp;      /* ms since 1970, that of the entry     */
    uint64_t        target;         /* seq: EDIT DELETE REACTION, else 0    */
    uint64_t        subject;        /* user: MEMBER_*, ROLE_CHANGED, else 0 */
    uint64_t        members_version;    /* of the chat when the record was
                                       written: a list of members that was
                                       read at this version is still right  */
    uint32_t        members;        /* who have not left, at that version   */
    chat_str_t      content_type;   /* absent: text; CHAT_CONTENT_TYPE_MAX  */
    const uint8_t  *mentions;       /* packed users, nmentions of them      */
    size_t          nmentions;      /* CHAT_COMMITTED_MENTIONS_MAX at most  */
} chat_committed_t;

/* Appends a record, after the version byte when the buffer is empty. `mentions`
 * is borrowed. 0, or -1 out of memory, or when a field is above its limit; in
 * the latter case the buffer is as before. */
int chat_committed_add(chat_buf_t *buf, const chat_committed_t *rec);

/* 0 and the position of the first record, or -1 when the version is not
 * known. */
int chat_committed_open(const uint8_t *data, size_t len, size_t *pos_r);

/* 1 with a record, 0 at the end, -1 when the bytes are no record. */
int chat_committed_next(const uint8_t *data, size_t len, size_t *pos,
    chat_committed_t *rec_r);

/* The i-th mentioned user, i < nmentions. */
uint64_t chat_committed_mention(const chat_committed_t *rec, size_t i);

#endif
