/*
 * chat_event.h: an event that an edge appends to a Redis stream for a worker.
 *
 * One stream entry carries one field, "e", whose value is one event: a fixed
 * little-endian header followed by the strings. Events are written by the
 * edge (any version) and read by workers (the same version or one newer), so
 * the first byte is a version and unknown trailing bytes are ignored.
 *
 * Pure: no allocation, no clock. Decoded strings are borrowed from the input.
 */

#ifndef CHAT_EVENT_H
#define CHAT_EVENT_H

#include <stddef.h>
#include <stdint.h>

#define CHAT_EVENT_VERSION  1
#define CHAT_EVENT_FIELD    "e"

typedef struct {
    const char  *data;          /* not terminated; NULL when absent */
    size_t       len;
} chat_str_t;

typedef enum {
    /* to message.sent:{shard} */
    CHAT_EV_SEND = 1,           /* send_message, POST .../messages          */
    CHAT_EV_EDIT,               /* edit_message                             */
    CHAT_EV_DELETE,             /* delete_message                           */
    CHAT_EV_REACT,              /* react; content is the emoji              */
    CHAT_EV_RECEIPTS,           /* delivered, read: body is chat_receipt_t[] */
    CHAT_EV_TYPING,             /* seq is 1 when active                     */
    CHAT_EV_CHAT_CREATE,        /* POST /chats; body is the request         */
    CHAT_EV_CHAT_CHANGE,        /* PATCH /chats/{id}                        */
    CHAT_EV_CHAT_LEAVE,         /* DELETE /chats/{id}                       */
    CHAT_EV_MEMBERS_ADD,        /* POST /chats/{id}/members                 */
    CHAT_EV_MEMBER_CHANGE,      /* PATCH .../members/{seq}: seq is the user */
    CHAT_EV_MEMBER_REMOVE,      /* DELETE .../members/{seq}                 */
    /* to session.sync:{n} */
    CHAT_EV_SYNC_LIST = 32,     /* body is chat_page_req_t[]: empty requests
                                   all chats with undelivered entries, else
                                   the named chats in any state             */
    CHAT_EV_SYNC_PAGE,          /* body is chat_page_req_t[]; in both, seq is
                                   the request's number, repeated in the
                                   answer                                   */
    /* to user.presence; body is users, CHAT_USER_SIZE bytes each */
    CHAT_EV_ONLINE = 48,        /* the users have one more session here     */
    CHAT_EV_OFFLINE,            /* the users have one session less here     */
    CHAT_EV_WATCH,              /* `user` follows the users on `session`:
                                   answer their presence, and send changes
                                   to this edge                             */
    CHAT_EV_UNWATCH,            /* no session on this edge follows them     */
    CHAT_EV_REFRESH             /* status or privacy has changed: notify the
                                   watching edges; edge is 0                */
} chat_event_e;

#define CHAT_EV_F_REST  0x01    /* answered by CHAT_REC_HTTP; `session` is the
                                   request's id and `body` the raw JSON, which
                                   the worker parses after it has checked
                                   membership                               */
#define CHAT_EV_F_REQUESTED 0x02    /* WATCH: the client waits for the answer;
                                   without it this is the edge's refresh    */

typedef struct {
    uint8_t      type;          /* chat_event_e                             */
    uint8_t      flags;         /* CHAT_EV_F_*                              */
    uint64_t     edge;          /* the edge to answer: channel edge.<hex>   */
    uint64_t     session;       /* on that edge; the request's id for REST  */
    uint64_t     user;          /* sender, from the verified token          */
    uint64_t     device;
    int64_t      received;      /* ms since 1970, the edge's clock          */
    uint8_t      chat[16];      /* the chat's id; for CHAT_CREATE the id the
                                   edge chose: chat_id_direct() of the two
                                   users, or a new version 7 id             */
    uint64_t     seq;           /* target, page number, user: by type       */
    uint64_t     reply_to;      /* seq, 0 when absent                       */
    uint64_t     expires_in;    /* seconds, 0 when absent                   */
    chat_str_t   message_id;
    chat_str_t   content;
    chat_str_t   content_type;  /* absent means "text"                      */
    chat_str_t   media_id;
    chat_str_t   idempotency_key;
    chat_str_t   body;          /* REST: JSON; else packed records          */
} chat_event_t;

/* a device's receipt cursors in one chat, coalesced by the edge */
typedef struct {
    uint64_t     session;
    uint64_t     user;
    uint64_t     device;
    uint8_t      chat[16];
    uint64_t     delivered;     /* 0: unchanged                             */
    uint64_t     read;
} chat_receipt_t;

#define CHAT_RECEIPT_SIZE  56       /* packed: 3 * 8 + 16 + 2 * 8           */

/* a request for the entries of `chat` with after < seq <= to */
typedef struct {
    uint8_t      chat[16];
    uint64_t     after;
    uint64_t     to;
} chat_page_req_t;

#define CHAT_PAGE_REQ_SIZE  32      /* packed                               */

#define CHAT_USER_SIZE      8       /* packed                               */

/* Exact number of bytes chat_event_encode() writes. */
size_t chat_event_size(const chat_event_t *ev);

/* Writes the event to dst, which holds chat_event_size() bytes; returns the
 * end. Strings longer than 2^32-1 are not accepted (assert). */
uint8_t *chat_event_encode(const chat_event_t *ev, uint8_t *dst);

/* 0, or -1 when the bytes are not an event of a known version. Strings in
 * *ev_r are borrowed from data. */
int chat_event_decode(const uint8_t *data, size_t len, chat_event_t *ev_r);

/* Packed items of `body`: encode and decode one and return the end. The caller
 * has checked the lengths. */
uint8_t *chat_receipt_encode(const chat_receipt_t *receipt, uint8_t *dst);
const uint8_t *chat_receipt_decode(const uint8_t *src,
    chat_receipt_t *receipt_r);
uint8_t *chat_page_req_encode(const chat_page_req_t *request, uint8_t *dst);
const uint8_t *chat_page_req_decode(const uint8_t *src,
    chat_page_req_t *request_r);
uint8_t *chat_user_encode(uint64_t user, uint8_t *dst);
const uint8_t *chat_user_decode(const uint8_t *src, uint64_t *user_r);

#endif
