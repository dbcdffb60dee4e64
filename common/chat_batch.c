/*
 * chat_batch.c: what workers publish to an edge, as bytes.
 *
 * Called from the workers' fan-out (write) and the edge's delivery (read);
 * hands to chat_buf.c. The layout, little-endian: a version byte, then
 * records
 *
 *     u32 length of what follows, u8 type, u8 flags
 *     the fields of the type, in the order of the CHAT_F_* bits below
 *     items up to the record's end
 *
 * A record carries the fields of its type and no others; a string is a u32
 * length, CHAT_STR_ABSENT for an absent one, and bytes. Records of types
 * without items may get more fields in a later version: bytes behind the known
 * fields are ignored.
 */

#include "chat_batch.h"
#include "chat_bytes.h"

#define CHAT_F_CHAT        0x001
#define CHAT_F_SEQ         0x002
#define CHAT_F_EPOCH       0x004
#define CHAT_F_TIMESTAMP   0x008
#define CHAT_F_SESSION     0x010
#define CHAT_F_USER        0x020
#define CHAT_F_DEVICE      0x040
#define CHAT_F_STATUS      0x080
#define CHAT_F_EXPIRES     0x100
#define CHAT_F_MESSAGE_ID  0x200
#define CHAT_F_FRAME       0x400

/* upper bound of a record without its strings and items */
#define CHAT_REC_HEAD_MAX  (4 + 2 + 16 + 7 * 8 + 2 + 2 * 4)

typedef struct {
    uint16_t  fields;           /* CHAT_F_* */
    uint8_t   item;             /* bytes of an item, 0 when it has none */
} chat_rec_form_t;

static const chat_rec_form_t  chat_rec_forms[] = {
    [CHAT_REC_ENTRY] = {
        CHAT_F_CHAT | CHAT_F_SEQ | CHAT_F_EPOCH | CHAT_F_TIMESTAMP
        | CHAT_F_SESSION | CHAT_F_DEVICE | CHAT_F_MESSAGE_ID | CHAT_F_FRAME,
        CHAT_TARGET_SIZE
    },
    [CHAT_REC_ACK] = {
        CHAT_F_CHAT | CHAT_F_SEQ | CHAT_F_TIMESTAMP | CHAT_F_SESSION
        | CHAT_F_MESSAGE_ID, 0
    },
    [CHAT_REC_FRAME] = {
        CHAT_F_CHAT | CHAT_F_SESSION | CHAT_F_MESSAGE_ID | CHAT_F_FRAME, 0
    },
    [CHAT_REC_HTTP] = {
        CHAT_F_SESSION | CHAT_F_STATUS | CHAT_F_FRAME, 0
    },
    [CHAT_REC_NOTICE] = {
        CHAT_F_DEVICE | CHAT_F_FRAME, CHAT_TARGET_SIZE
    },
    [CHAT_REC_KICK] = {
        CHAT_F_SESSION | CHAT_F_USER | CHAT_F_DEVICE | CHAT_F_STATUS, 0
    },
    [CHAT_REC_REVOKE] = {
        CHAT_F_USER | CHAT_F_DEVICE | CHAT_F_EXPIRES, 0
    },
    [CHAT_REC_SYNC_LIST] = {
        CHAT_F_SEQ | CHAT_F_SESSION, CHAT_LIST_ITEM_SIZE
    },
    [CHAT_REC_SYNC_PAGE] = {
        CHAT_F_SEQ | CHAT_F_SESSION, 1
    },
    [CHAT_REC_PRESENCE] = {
        CHAT_F_TIMESTAMP | CHAT_F_SESSION, CHAT_PRESENCE_SIZE
    },
};

#define CHAT_REC_FORMS  (sizeof(chat_rec_forms) / sizeof(chat_rec_forms[0]))

static const chat_rec_form_t *chat_rec_form(uint8_t type);
static uint8_t *chat_rec_put_string(uint8_t *dst, const chat_str_t *s);
static int chat_rec_read(const uint8_t *p, const uint8_t *end,
    const chat_rec_form_t *form, chat_rec_t *rec_r);
static const uint8_t *chat_rec_get_u64(const uint8_t *p, const uint8_t *end,
    uint64_t *n_r);
static const uint8_t *chat_rec_get_string(const uint8_t *p,
    const uint8_t *end, chat_str_t *s_r);


int
chat_batch_begin(chat_buf_t *buf)
{
    uint8_t  version;

    version = CHAT_BATCH_VERSION;

    return chat_buf_add(buf, &version, 1);
}


int
chat_batch_rec(chat_buf_t *buf, const chat_rec_t *rec, size_t *start_r)
{
    size_t                  size, items;
    uint8_t                *p;
    const chat_rec_form_t  *form;

    *start_r = buf->len;

    form = chat_rec_form(rec->type);

    if (form == NULL
        || rec->message_id.len >= CHAT_STR_ABSENT
        || rec->frame.len >= CHAT_STR_ABSENT
        || (form->item && rec->nitems > CHAT_STR_ABSENT / form->item))
    {
        /* No reader could decode it: this is a bug of the caller. */
        buf->failed = 1;
        return -1;
    }

    items = rec->items != NULL ? rec->nitems * form->item : 0;
    size = CHAT_REC_HEAD_MAX + rec->message_id.len + rec->frame.len + items;

    p = chat_buf_reserve(buf, size);

    if (p == NULL) {
        return -1;
    }

    p = chat_put_u32(p, 0);
    *p++ = rec->type;
    *p++ = rec->flags;

    if (form->fields & CHAT_F_CHAT) {
        p = chat_put_bytes(p, rec->chat, 16);
    }

    if (form->fields & CHAT_F_SEQ) {
        p = chat_put_u64(p, rec->seq);
    }

    if (form->fields & CHAT_F_EPOCH) {
        p = chat_put_u64(p, rec->epoch);
    }

    if (form->fields & CHAT_F_TIMESTAMP) {
        p = chat_put_u64(p, (uint64_t) rec->timestamp);
    }

    if (form->fields & CHAT_F_SESSION) {
        p = chat_put_u64(p, rec->session);
    }

    if (form->fields & CHAT_F_USER) {
        p = chat_put_u64(p, rec->user);
    }

    if (form->fields & CHAT_F_DEVICE) {
        p = chat_put_u64(p, rec->device);
    }

    if (form->fields & CHAT_F_STATUS) {
        p = chat_put_u16(p, rec->status);
    }

    if (form->fields & CHAT_F_EXPIRES) {
        p = chat_put_u64(p, (uint64_t) rec->expires);
    }

    if (form->fields & CHAT_F_MESSAGE_ID) {
        p = chat_rec_put_string(p, &rec->message_id);
    }

    if (form->fields & CHAT_F_FRAME) {
        p = chat_rec_put_string(p, &rec->frame);
    }

    p = chat_put_bytes(p, rec->items, items);

    buf->len = (size_t) (p - buf->data);

    return 0;
}


int
chat_batch_target(chat_buf_t *buf, uint64_t user, uint8_t flags)
{
    uint8_t  *p;

    p = chat_buf_reserve(buf, CHAT_TARGET_SIZE);

    if (p == NULL) {
        return -1;
    }

    p = chat_put_u64(p, user);
    *p = flags;

    buf->len += CHAT_TARGET_SIZE;

    return 0;
}


int
chat_batch_item(chat_buf_t *buf, const chat_list_item_t *item)
{
    uint8_t  *p;

    p = chat_buf_reserve(buf, CHAT_LIST_ITEM_SIZE);

    if (p == NULL) {
        return -1;
    }

    p = chat_put_bytes(p, item->chat, 16);
    p = chat_put_u64(p, item->delivered);
    (void) chat_put_u64(p, item->last);

    buf->len += CHAT_LIST_ITEM_SIZE;

    return 0;
}


int
chat_batch_presence(chat_buf_t *buf, const chat_presence_t *presence)
{
    uint8_t  *p;

    p = chat_buf_reserve(buf, CHAT_PRESENCE_SIZE);

    if (p == NULL) {
        return -1;
    }

    p = chat_put_u64(p, presence->user);
    *p++ = presence->flags;
    (void) chat_put_u64(p, (uint64_t) presence->last_seen);

    buf->len += CHAT_PRESENCE_SIZE;

    return 0;
}


int
chat_batch_end(chat_buf_t *buf, size_t start)
{
    size_t  len;

    if (buf->failed) {
        return -1;
    }

    len = buf->len - start - 4;

    if (len > UINT32_MAX) {
        buf->failed = 1;
        return -1;
    }

    (void) chat_put_u32(buf->data + start, (uint32_t) len);

    return 0;
}


int
chat_batch_open(const uint8_t *data, size_t len, size_t *pos_r)
{
    if (len == 0 || data[0] != CHAT_BATCH_VERSION) {
        return -1;
    }

    *pos_r = 1;

    return 0;
}


int
chat_batch_next(const uint8_t *data, size_t len, size_t *pos,
    chat_rec_t *rec_r)
{
    uint32_t                n;
    const uint8_t          *p;
    const chat_rec_form_t  *form;

    while (*pos < len) {

        if (len - *pos < 4 + 2) {
            return -1;
        }

        p = data + *pos;
        n = chat_get_u32(p);
        p += 4;

        if (n < 2 || n > len - *pos - 4) {
            return -1;
        }

        *pos += 4 + (size_t) n;

        form = chat_rec_form(p[0]);

        if (form == NULL) {
            continue;
        }

        if (chat_rec_read(p, p + n, form, rec_r) != 0) {
            return -1;
        }

        return 1;
    }

    return 0;
}


const uint8_t *
chat_batch_read_target(const uint8_t *src, chat_target_t *target_r)
{
    target_r->user = chat_get_u64(src);
    target_r->flags = src[8];

    return src + CHAT_TARGET_SIZE;
}


const uint8_t *
chat_batch_read_item(const uint8_t *src, chat_list_item_t *item_r)
{
    memcpy(item_r->chat, src, 16);
    item_r->delivered = chat_get_u64(src + 16);
    item_r->last = chat_get_u64(src + 24);

    return src + CHAT_LIST_ITEM_SIZE;
}


const uint8_t *
chat_batch_read_presence(const uint8_t *src, chat_presence_t *presence_r)
{
    presence_r->user = chat_get_u64(src);
    presence_r->flags = src[8];
    presence_r->last_seen = (int64_t) chat_get_u64(src + 9);

    return src + CHAT_PRESENCE_SIZE;
}


static const chat_rec_form_t *
chat_rec_form(uint8_t type)
{
    if (type == 0 || type >= CHAT_REC_FORMS) {
        return NULL;
    }

    return &chat_rec_forms[type];
}


static uint8_t *
chat_rec_put_string(uint8_t *dst, const chat_str_t *s)
{
    if (s->data == NULL) {
        return chat_put_u32(dst, CHAT_STR_ABSENT);
    }

    dst = chat_put_u32(dst, (uint32_t) s->len);

    return chat_put_bytes(dst, s->data, s->len);
}


static int
chat_rec_read(const uint8_t *p, const uint8_t *end,
    const chat_rec_form_t *form, chat_rec_t *rec_r)
{
    size_t    i, remainder;
    uint64_t  timestamp, expires;

    const struct {
        uint16_t   field;
        uint64_t  *n;
    } before[] = {
        { CHAT_F_SEQ,       &rec_r->seq },
        { CHAT_F_EPOCH,     &rec_r->epoch },
        { CHAT_F_TIMESTAMP, &timestamp },
        { CHAT_F_SESSION,   &rec_r->session },
        { CHAT_F_USER,      &rec_r->user },
        { CHAT_F_DEVICE,    &rec_r->device },
    };

    memset(rec_r, 0, sizeof(*rec_r));
    timestamp = 0;
    expires = 0;

    rec_r->type = *p++;
    rec_r->flags = *p++;

    if (form->fields & CHAT_F_CHAT) {

        if (end - p < 16) {
            return -1;
        }

        memcpy(rec_r->chat, p, 16);
        p += 16;
    }

    for (i = 0; i < sizeof(before) / sizeof(before[0]); i++) {

        if (form->fields & before[i].field) {
            p = chat_rec_get_u64(p, end, before[i].n);
        }
    }

    if (p != NULL && form->fields & CHAT_F_STATUS) {

        if (end - p < 2) {
            return -1;
        }

        rec_r->status = chat_get_u16(p);
        p += 2;
    }

    if (form->fields & CHAT_F_EXPIRES) {
        p = chat_rec_get_u64(p, end, &expires);
    }

    if (form->fields & CHAT_F_MESSAGE_ID) {
        p = chat_rec_get_string(p, end, &rec_r->message_id);
    }

    if (form->fields & CHAT_F_FRAME) {
        p = chat_rec_get_string(p, end, &rec_r->frame);
    }

    if (p == NULL) {
        return -1;
    }

    rec_r->timestamp = (int64_t) timestamp;
    rec_r->expires = (int64_t) expires;

    if (form->item == 0) {
        return 0;
    }

    remainder = (size_t) (end - p);

    if (remainder % form->item != 0) {
        return -1;
    }

    rec_r->items = p;
    rec_r->nitems = remainder / form->item;

    return 0;
}


/* The two readers below return NULL when given NULL, so that a record is read
 * field by field with one check for truncation at the end. */

static const uint8_t *
chat_rec_get_u64(const uint8_t *p, const uint8_t *end, uint64_t *n_r)
{
    if (p == NULL || end - p < 8) {
        return NULL;
    }

    *n_r = chat_get_u64(p);

    return p + 8;
}


static const uint8_t *
chat_rec_get_string(const uint8_t *p, const uint8_t *end, chat_str_t *s_r)
{
    uint32_t  n;

    if (p == NULL || end - p < 4) {
        return NULL;
    }

    n = chat_get_u32(p);
    p += 4;

    if (n == CHAT_STR_ABSENT) {
        return p;
    }

    if (n > (size_t) (end - p)) {
        return NULL;
    }

    s_r->data = (const char *) p;
    s_r->len = n;

    return p + n;
}
