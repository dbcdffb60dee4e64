/*
 * chat_entry.c: the one JSON shape of an entry, and its digest.
 *
 * Called from the message, sync and API workers; hands to chat_json.c and,
 * for the digest, to libsodium. Which fields a kind adds is decided here:
 *
 *     message                      content contentType [replyTo mediaId
 *                                  expiresIn editedAt], or deleted
 *     edit                         target content contentType
 *     delete                       target
 *     reaction                     target emoji
 *     member_* role_changed        userId [role]
 *     chat_changed                 title
 *     hidden                       chatId seq kind and nothing else
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

static void chat_entry_body(chat_buf_t *buf, const chat_entry_t *e);
static void chat_entry_content(chat_buf_t *buf, const chat_entry_t *e);
static void chat_entry_text(chat_buf_t *buf, const char *key,
    const chat_str_t *value);
static void chat_entry_number(chat_buf_t *buf, const char *key, uint64_t n);
static void chat_entry_id(chat_buf_t *buf, const char *key, uint64_t id);
static void chat_entry_time(chat_buf_t *buf, const char *key, int64_t ms);
static void chat_entry_hash(crypto_generichash_state *st, const char *data,
    size_t len);

#define chat_entry_add(buf, s)                                               \
    ((void) chat_buf_add(buf, s, sizeof(s) - 1))


int
chat_entry_json(chat_buf_t *buf, const chat_entry_t *e, int as_frame)
{
    char         id[CHAT_ID_TEXT];
    const char  *word;

    (void) chat_id_print(e->chat, id);
    word = chat_kind_word(e->kind);

    chat_entry_add(buf, "{");

    if (as_frame) {
        chat_entry_add(buf, "\"type\":\"new_message\",");
    }

    chat_entry_add(buf, "\"chatId\":\"");
    (void) chat_buf_add(buf, id, CHAT_ID_TEXT);
    chat_entry_add(buf, "\"");
    chat_entry_number(buf, ",\"seq\":", e->seq);
    chat_entry_add(buf, ",\"kind\":\"");
    (void) chat_buf_add(buf, word, strlen(word));
    chat_entry_add(buf, "\"");

    if (e->kind != CHAT_KIND_HIDDEN) {
        chat_entry_body(buf, e);
    }

    chat_entry_add(buf, "}");

    return buf->failed ? -1 : 0;
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

    /* who leaves contentType out and who says "text" have sent the same */

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


static void
chat_entry_body(chat_buf_t *buf, const chat_entry_t *e)
{
    chat_entry_text(buf, ",\"messageId\":", &e->message_id);
    chat_entry_id(buf, ",\"senderId\":", e->sender);
    chat_entry_id(buf, ",\"senderDeviceId\":", e->sender_device);

    switch (e->kind) {

    case CHAT_KIND_MESSAGE:

        if (e->reply_to != 0) {
            chat_entry_number(buf, ",\"replyTo\":", e->reply_to);
        }

        if (e->deleted) {
            chat_entry_add(buf, ",\"deleted\":true");
            break;
        }

        chat_entry_content(buf, e);
        chat_entry_text(buf, ",\"mediaId\":", &e->media_id);

        if (e->expires_in != 0) {
            chat_entry_number(buf, ",\"expiresIn\":", e->expires_in);
        }

        if (e->edited != 0) {
            chat_entry_time(buf, ",\"editedAt\":", e->edited);
        }

        break;

    case CHAT_KIND_EDIT:
        chat_entry_number(buf, ",\"target\":", e->target);
        chat_entry_content(buf, e);
        break;

    case CHAT_KIND_DELETE:
        chat_entry_number(buf, ",\"target\":", e->target);
        break;

    case CHAT_KIND_REACTION:
        chat_entry_number(buf, ",\"target\":", e->target);
        chat_entry_text(buf, ",\"emoji\":", &e->content);
        break;

    case CHAT_KIND_CHAT_CHANGED:
        chat_entry_text(buf, ",\"title\":", &e->content);
        break;

    default:
        chat_entry_id(buf, ",\"userId\":", e->subject);
        chat_entry_text(buf, ",\"role\":", &e->role);
        break;
    }

    chat_entry_time(buf, ",\"timestamp\":", e->timestamp);
}


static void
chat_entry_content(chat_buf_t *buf, const chat_entry_t *e)
{
    chat_entry_text(buf, ",\"content\":", &e->content);

    if (e->content_type.data == NULL) {
        chat_entry_add(buf, ",\"contentType\":\"" CHAT_ENTRY_TEXT "\"");

    } else {
        chat_entry_text(buf, ",\"contentType\":", &e->content_type);
    }
}


static void
chat_entry_text(chat_buf_t *buf, const char *key, const chat_str_t *value)
{
    if (value->data != NULL) {
        (void) chat_buf_add(buf, key, strlen(key));
        (void) chat_json_add_string(buf, value->data, value->len);
    }
}


static void
chat_entry_number(chat_buf_t *buf, const char *key, uint64_t n)
{
    uint8_t  text[20], *end;

    end = chat_json_u64(text, n);

    (void) chat_buf_add(buf, key, strlen(key));
    (void) chat_buf_add(buf, text, (size_t) (end - text));
}


/* a string, for JSON numbers lose bits; 0 is nobody */

static void
chat_entry_id(chat_buf_t *buf, const char *key, uint64_t id)
{
    if (id != 0) {
        (void) chat_buf_add(buf, key, strlen(key));
        chat_entry_number(buf, "\"", id);
        chat_entry_add(buf, "\"");
    }
}


static void
chat_entry_time(chat_buf_t *buf, const char *key, int64_t ms)
{
    uint8_t  text[CHAT_TIME_TEXT];

    (void) chat_json_time(text, ms);

    (void) chat_buf_add(buf, key, strlen(key));
    chat_entry_add(buf, "\"");
    (void) chat_buf_add(buf, text, CHAT_TIME_TEXT);
    chat_entry_add(buf, "\"");
}


/* the length before the bytes: "ab" and "c" must not hash as "a" and "bc" */

static void
chat_entry_hash(crypto_generichash_state *st, const char *data, size_t len)
{
    uint8_t  head[8];

    (void) chat_put_u64(head, len);

    (void) crypto_generichash_update(st, head, sizeof(head));
    (void) crypto_generichash_update(st, (const uint8_t *) data, len);
}
