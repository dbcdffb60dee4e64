/*
 * chat_entry.c: the JSON form of an entry, and its digest.
 *
 * Called from the message, sync and API workers; hands to chat_json.c and,
 * for the digest, to libsodium. Fields by kind:
 *
 *     message                      content contentType [replyTo mediaId
 *                                  expiresIn editedAt], or deleted
 *     edit                         target content contentType
 *     delete                       target
 *     reaction                     target emoji
 *     member_* role_changed        userId [role]
 *     chat_changed                 title
 *     hidden                       none: chatId, seq and kind alone
 */

#include <string.h>

#include <sodium.h>

#include "chat_bytes.h"
#include "chat_entry.h"
#include "chat_id.h"
#include "chat_json.h"
#include "chat_proto.h"

#define CHAT_ENTRY_TEXT  "text"     /* contentType when there is none */

static const char  *chat_kind_words[CHAT_KIND_COUNT] = {
    "unknown",
#define X(name, word)  word,
    CHAT_KINDS(X)
#undef X
};

static uint8_t *chat_entry_body(uint8_t *p, const chat_entry_t *e);
static uint8_t *chat_entry_content(uint8_t *p, const chat_entry_t *e);
static void chat_entry_hash(crypto_generichash_state *st, const char *data,
    size_t len);

/* upper bound without the strings: all keys, eight numbers, two times */
#define CHAT_ENTRY_FIXED  768

/* A literal's length is known at compile time: a page of history appends
 * thousands of them. */
#define chat_entry_put(p, s)                                                 \
    ((uint8_t *) memcpy(p, s, sizeof(s) - 1) + sizeof(s) - 1)

#define chat_entry_number(p, key, n)                                         \
    chat_json_u64(chat_entry_put(p, key), n)

/* A string, because a JSON number loses bits above 2^53; 0 means none. */
#define chat_entry_id(p, key, id)                                            \
    ((id) == 0 ? (p)                                                         \
     : chat_entry_put(chat_entry_number(p, key "\"", id), "\""))

#define chat_entry_text(p, key, value)                                       \
    ((value).data == NULL ? (p)                                              \
     : chat_json_string(chat_entry_put(p, key), (value).data, (value).len))

#define chat_entry_time(p, key, ms)                                          \
    chat_entry_put(chat_json_time(chat_entry_put(p, key "\""), ms), "\"")


int
chat_entry_json(chat_buf_t *buf, const chat_entry_t *e, int as_frame)
{
    size_t       len;
    uint8_t     *p;
    const char  *word;

    /* All strings are in memory, so the sum cannot overflow. */
    len = CHAT_ENTRY_FIXED + chat_json_string_max(e->message_id.len)
          + chat_json_string_max(e->content.len)
          + chat_json_string_max(e->content_type.len)
          + chat_json_string_max(e->media_id.len)
          + chat_json_string_max(e->role.len);

    p = chat_buf_reserve(buf, len);
    if (p == NULL) {
        return -1;
    }

    p = chat_entry_put(p, "{");

    if (as_frame) {
        p = chat_entry_put(p, "\"type\":\"new_message\",");
    }

    p = chat_entry_put(p, "\"chatId\":\"");
    p = (uint8_t *) chat_id_print(e->chat, (char *) p);
    p = chat_entry_number(p, "\",\"seq\":", e->seq);

    word = chat_kind_word(e->kind);
    p = chat_entry_put(p, ",\"kind\":\"");
    p = (uint8_t *) stpcpy((char *) p, word);
    p = chat_entry_put(p, "\"");

    if (e->kind != CHAT_KIND_HIDDEN) {
        p = chat_entry_body(p, e);
    }

    p = chat_entry_put(p, "}");

    buf->len = (size_t) (p - buf->data);

    return 0;
}


const char *
chat_kind_word(unsigned kind)
{
    return chat_kind_words[kind < CHAT_KIND_COUNT ? kind : CHAT_KIND_NONE];
}


uint64_t
chat_entry_digest(const chat_entry_t *e)
{
    uint8_t                   hash[16], head[1 + 3 * 8], *p;
    uint64_t                  digest;
    crypto_generichash_state  st;

    p = head;
    *p++ = e->kind;
    p = chat_put_u64(p, e->target);
    p = chat_put_u64(p, e->reply_to);
    (void) chat_put_u64(p, e->expires_in);

    (void) crypto_generichash_init(&st, NULL, 0, sizeof(hash));
    (void) crypto_generichash_update(&st, head, sizeof(head));

    chat_entry_hash(&st, e->content.data, e->content.len);

    /* An absent contentType and "text" are the same message. */

    if (e->content_type.data == NULL) {
        chat_entry_hash(&st, CHAT_ENTRY_TEXT, sizeof(CHAT_ENTRY_TEXT) - 1);

    } else {
        chat_entry_hash(&st, e->content_type.data, e->content_type.len);
    }

    chat_entry_hash(&st, e->media_id.data, e->media_id.len);

    (void) crypto_generichash_final(&st, hash, sizeof(hash));

    digest = chat_get_u64(hash);

    return digest != 0 ? digest : 1;
}


static uint8_t *
chat_entry_body(uint8_t *p, const chat_entry_t *e)
{
    p = chat_entry_text(p, ",\"messageId\":", e->message_id);
    p = chat_entry_id(p, ",\"senderId\":", e->sender);
    p = chat_entry_id(p, ",\"senderDeviceId\":", e->sender_device);

    switch (e->kind) {

    case CHAT_KIND_MESSAGE:

        if (e->reply_to != 0) {
            p = chat_entry_number(p, ",\"replyTo\":", e->reply_to);
        }

        if (e->deleted) {
            p = chat_entry_put(p, ",\"deleted\":true");
            break;
        }

        p = chat_entry_content(p, e);
        p = chat_entry_text(p, ",\"mediaId\":", e->media_id);

        if (e->expires_in != 0) {
            p = chat_entry_number(p, ",\"expiresIn\":", e->expires_in);
        }

        if (e->edited != 0) {
            p = chat_entry_time(p, ",\"editedAt\":", e->edited);
        }

        break;

    case CHAT_KIND_EDIT:
        p = chat_entry_number(p, ",\"target\":", e->target);
        p = chat_entry_content(p, e);
        break;

    case CHAT_KIND_DELETE:
        p = chat_entry_number(p, ",\"target\":", e->target);
        break;

    case CHAT_KIND_REACTION:
        p = chat_entry_number(p, ",\"target\":", e->target);
        p = chat_entry_text(p, ",\"emoji\":", e->content);
        break;

    case CHAT_KIND_CHAT_CHANGED:
        p = chat_entry_text(p, ",\"title\":", e->content);
        break;

    default:
        p = chat_entry_id(p, ",\"userId\":", e->subject);
        p = chat_entry_text(p, ",\"role\":", e->role);
        break;
    }

    return chat_entry_time(p, ",\"timestamp\":", e->timestamp);
}


static uint8_t *
chat_entry_content(uint8_t *p, const chat_entry_t *e)
{
    p = chat_entry_text(p, ",\"content\":", e->content);

    if (e->content_type.data == NULL) {
        return chat_entry_put(p, ",\"contentType\":\"" CHAT_ENTRY_TEXT "\"");
    }

    return chat_entry_text(p, ",\"contentType\":", e->content_type);
}


/* Hashes the length first: "ab", "c" must differ from "a", "bc". */

static void
chat_entry_hash(crypto_generichash_state *st, const char *data, size_t len)
{
    uint8_t  head[8];

    (void) chat_put_u64(head, len);

    (void) crypto_generichash_update(st, head, sizeof(head));
    (void) crypto_generichash_update(st, (const uint8_t *) data, len);
}
