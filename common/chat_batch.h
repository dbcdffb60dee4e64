/*
 * chat_batch.h: what workers publish to an edge.
 *
 * A batch is the payload of one PUBLISH on edge.<id> (one edge) or edge.all
 * (every edge): a version byte and a sequence of records, each
 * `u32 length, u8 type, fields`, little-endian. Unknown types are skipped.
 * The edge delivers the records in their order.
 *
 * Writing is done by workers into a chat_buf_t (and by an edge for KICK);
 * reading allocates nothing and borrows from the input.
 */

#ifndef CHAT_BATCH_H
#define CHAT_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "chat_buf.h"
#include "chat_event.h"

#define CHAT_BATCH_VERSION  1

typedef enum {
    CHAT_REC_ENTRY = 1,     /* one committed entry, for users on this edge  */
    CHAT_REC_ACK,           /* answer to a duplicate: message_ack again     */
    CHAT_REC_FRAME,         /* one frame for one session (an error)         */
    CHAT_REC_HTTP,          /* the answer to a REST request                 */
    CHAT_REC_NOTICE,        /* a frame without a seq, for users: receipt,
                               typing, presence, chat_added                 */
    CHAT_REC_KICK,          /* close sessions of a device                   */
    CHAT_REC_REVOKE,        /* a device is revoked: close its sessions and
                               refuse its tokens                            */
    CHAT_REC_SYNC_LIST,     /* answer to CHAT_EV_SYNC_LIST                  */
    CHAT_REC_SYNC_PAGE,     /* answer to CHAT_EV_SYNC_PAGE                  */
    CHAT_REC_PRESENCE       /* answer to CHAT_EV_WATCH; with session 0 an
                               update for every session that follows        */
} chat_rec_e;

/* flags of a record */
#define CHAT_REC_F_REDO     0x01    /* ENTRY: may have been published before */
#define CHAT_REC_F_MORE     0x02    /* SYNC_LIST: the list is not complete   */
#define CHAT_REC_F_REQUESTED    0x04    /* SYNC_LIST: the request named chats;
                                       PRESENCE: the client requested it     */
#define CHAT_REC_F_FAILED   0x08    /* SYNC_*: not readable now, retry later */

/* flags of a target */
#define CHAT_TARGET_HIDDEN  0x01    /* this user gets kind "hidden"          */
#define CHAT_TARGET_CHECK   0x02    /* request the chat's cursors first: the
                                       member has joined again               */

#define CHAT_TARGET_SIZE    9       /* u64 user, u8 flags                    */
#define CHAT_LIST_ITEM_SIZE 32      /* chat, u64 delivered, u64 last         */
#define CHAT_PRESENCE_SIZE  17      /* u64 user, u8 flags, i64 last seen     */

/* flags of a presence */
#define CHAT_PRESENCE_ONLINE  0x01
#define CHAT_PRESENCE_VISIBLE   0x02  /* in an answer: this session receives
                                       changes too; without the flag the
                                       user stays offline to this session    */

typedef struct {
    uint8_t      type;          /* chat_rec_e                               */
    uint8_t      flags;         /* CHAT_REC_F_*                             */
    uint8_t      chat[16];      /* ENTRY ACK; FRAME: the chat of the refused
                                   message, zero when there is none         */
    uint64_t     seq;           /* ENTRY ACK; SYNC_*: the request's number  */
    uint64_t     epoch;         /* ENTRY: epoch of the shard's owner; an edge
                                   that has seen a higher one drops the
                                   record (fencing)                         */
    int64_t      timestamp;     /* ENTRY ACK: time of the commit, ms since
                                   1970; PRESENCE: time of the state by
                                   Redis' clock, us since 1970              */
    uint64_t     session;       /* ENTRY: the sender's or 0; ACK FRAME SYNC_*
                                   PRESENCE: the receiver; HTTP: id of the
                                   request; KICK: 0 for every session of the
                                   device                                   */
    uint64_t     user;          /* KICK REVOKE                              */
    uint64_t     device;        /* ENTRY: the sender's; NOTICE: the one that
                                   does not receive it, or 0; KICK REVOKE:
                                   the device to close                      */
    uint16_t     status;        /* HTTP: status; KICK: close code           */
    int64_t      expires;       /* REVOKE: s since 1970, the last moment one
                                   of its tokens could be valid             */
    chat_str_t   message_id;    /* ENTRY ACK FRAME: of the client's message */
    chat_str_t   frame;         /* ENTRY FRAME NOTICE: JSON text, no WebSocket
                                   head; HTTP: the body                     */
    const uint8_t *items;       /* ENTRY NOTICE: targets; SYNC_LIST: list
                                   items; SYNC_PAGE: inner ENTRY records;
                                   PRESENCE: presences                      */
    size_t       nitems;        /* count; for SYNC_PAGE bytes               */
} chat_rec_t;

typedef struct {
    uint64_t     user;
    uint8_t      flags;         /* CHAT_TARGET_* */
} chat_target_t;

typedef struct {
    uint8_t      chat[16];
    uint64_t     delivered;     /* the device's receipt cursor */
    uint64_t     last;          /* last seq this user may see */
} chat_list_item_t;

typedef struct {
    uint64_t     user;
    uint8_t      flags;         /* CHAT_PRESENCE_* */
    int64_t      last_seen;     /* ms since 1970; 0: online, or hidden */
} chat_presence_t;

/* Writing. All return 0, or -1 when out of memory; the buffer must then not be
 * published. chat_batch_begin() comes first, on an empty buffer. Every record
 * is opened by chat_batch_rec() and closed by chat_batch_end(), which takes the
 * value of *start_r, the offset of the record. Items come with the record, or
 * items is NULL, nitems 0, and chat_batch_target(), _item() or _presence()
 * append them before chat_batch_end(). Inner records of a SYNC_PAGE
 * are written by chat_batch_rec()/chat_batch_end() pairs inside the page's
 * own pair. */
int chat_batch_begin(chat_buf_t *buf);
int chat_batch_rec(chat_buf_t *buf, const chat_rec_t *rec, size_t *start_r);
int chat_batch_target(chat_buf_t *buf, uint64_t user, uint8_t flags);
int chat_batch_item(chat_buf_t *buf, const chat_list_item_t *item);
int chat_batch_presence(chat_buf_t *buf, const chat_presence_t *presence);
int chat_batch_end(chat_buf_t *buf, size_t start);

/* Reading. chat_batch_open(): 0, or -1 when the version is unknown; *pos_r is
 * then given to chat_batch_next(), which returns 1 with a record, 0 at the
 * end, -1 when the bytes are broken. The inner ENTRY records of a SYNC_PAGE
 * are walked by chat_batch_next() over (items, nitems) from position 0. */
int chat_batch_open(const uint8_t *data, size_t len, size_t *pos_r);
int chat_batch_next(const uint8_t *data, size_t len, size_t *pos,
    chat_rec_t *rec_r);
const uint8_t *chat_batch_read_target(const uint8_t *src,
    chat_target_t *target_r);
const uint8_t *chat_batch_read_item(const uint8_t *src,
    chat_list_item_t *item_r);
const uint8_t *chat_batch_read_presence(const uint8_t *src,
    chat_presence_t *presence_r);

#endif
