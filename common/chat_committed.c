/*
 * chat_committed.c: records of the feed, as bytes.
 *
 * Called from message_feed.c (writes) and workers/feed/ (reads). Hands to
 * chat_buf.c. A record, little-endian:
 *
 *     u16 length of what follows
 *     u8 kind, u8 flags, u8 chat type, u8 0
 *     chat (16 bytes)
 *     u64 seq, sender, sender device; i64 timestamp
 *     u64 target, subject, members_version
 *     u32 members
 *     u16 length of the content type, 0xffff when absent
 *     u16 number of mentions
 *     the content type, then u64 for each mention
 */

#include "chat_bytes.h"
#include "chat_committed.h"
#include "chat_proto.h"

#define CHAT_COMMITTED_HEAD    (4 + 16 + 7 * 8 + 4 + 2 + 2)
#define CHAT_COMMITTED_ABSENT  0xffff


int
chat_committed_add(chat_buf_t *buf, const chat_committed_t *rec)
{
    size_t    ntype, size;
    uint8_t  *p, *start;

    ntype = rec->content_type.data != NULL ? rec->content_type.len : 0;

    if (ntype > CHAT_CONTENT_TYPE_MAX
        || rec->nmentions > CHAT_COMMITTED_MENTIONS_MAX)
    {
        return -1;
    }

    size = CHAT_COMMITTED_HEAD + ntype + 8 * rec->nmentions;

    start = chat_buf_reserve(buf, 1 + 2 + size);
    if (start == NULL) {
        return -1;
    }

    p = start;

    if (buf->len == 0) {
        *p++ = CHAT_COMMITTED_VERSION;
    }

    p = chat_put_u16(p, (uint16_t) size);
    *p++ = rec->kind;
    *p++ = rec->flags;
    *p++ = rec->chat_type;
    *p++ = 0;
    p = chat_put_bytes(p, rec->chat, 16);
    p = chat_put_u64(p, rec->seq);
    p = chat_put_u64(p, rec->sender);
    p = chat_put_u64(p, rec->sender_device);
    p = chat_put_u64(p, (uint64_t) rec->timestamp);
    p = chat_put_u64(p, rec->target);
    p = chat_put_u64(p, rec->subject);
    p = chat_put_u64(p, rec->members_version);
    p = chat_put_u32(p, rec->members);
    p = chat_put_u16(p, rec->content_type.data != NULL
                        ? (uint16_t) ntype : CHAT_COMMITTED_ABSENT);
    p = chat_put_u16(p, (uint16_t) rec->nmentions);
    p = chat_put_bytes(p, rec->content_type.data, ntype);
    p = chat_put_bytes(p, rec->mentions, 8 * rec->nmentions);

    buf->len += (size_t) (p - start);

    return 0;
}


int
chat_committed_open(const uint8_t *data, size_t len, size_t *pos_r)
{
    if (len == 0 || data[0] != CHAT_COMMITTED_VERSION) {
        return -1;
    }

    *pos_r = 1;

    return 0;
}


int
chat_committed_next(const uint8_t *data, size_t len, size_t *pos,
    chat_committed_t *rec_r)
{
    size_t          size, ntype;
    const uint8_t  *p;

    if (*pos == len) {
        return 0;
    }

    if (len - *pos < 2) {
        return -1;
    }

    size = chat_get_u16(data + *pos);
    p = data + *pos + 2;

    if (size < CHAT_COMMITTED_HEAD || size > len - *pos - 2) {
        return -1;
    }

    rec_r->kind = p[0];
    rec_r->flags = p[1];
    rec_r->chat_type = p[2];
    memcpy(rec_r->chat, p + 4, 16);
    rec_r->seq = chat_get_u64(p + 20);
    rec_r->sender = chat_get_u64(p + 28);
    rec_r->sender_device = chat_get_u64(p + 36);
    rec_r->timestamp = (int64_t) chat_get_u64(p + 44);
    rec_r->target = chat_get_u64(p + 52);
    rec_r->subject = chat_get_u64(p + 60);
    rec_r->members_version = chat_get_u64(p + 68);
    rec_r->members = chat_get_u32(p + 76);
    ntype = chat_get_u16(p + 80);
    rec_r->nmentions = chat_get_u16(p + 82);

    rec_r->content_type.data = NULL;
    rec_r->content_type.len = 0;

    if (ntype == CHAT_COMMITTED_ABSENT) {
        ntype = 0;

    } else {
        rec_r->content_type.data = (const char *) p + CHAT_COMMITTED_HEAD;
        rec_r->content_type.len = ntype;
    }

    /* the rest, if any, are fields of a later version */
    if (ntype > CHAT_CONTENT_TYPE_MAX
        || rec_r->nmentions > CHAT_COMMITTED_MENTIONS_MAX
        || CHAT_COMMITTED_HEAD + ntype + 8 * rec_r->nmentions > size)
    {
        return -1;
    }

    rec_r->mentions = p + CHAT_COMMITTED_HEAD + ntype;
    *pos += 2 + size;

    return 1;
}


uint64_t
chat_committed_mention(const chat_committed_t *rec, size_t i)
{
    return chat_get_u64(rec->mentions + 8 * i);
}
