/*
 * store_entry.c: see store_entry.h.
 *
 * Called from store_read_pg_*.c and store_chat_pg_load.c.
 */

#include <string.h>

#include "store_entry.h"
#include "store_row.h"

static const char *const  store_roles[] = { NULL, "owner", "admin", "member" };

#define STORE_NROLES  (int) (sizeof(store_roles) / sizeof(store_roles[0]))

/* in the order of STORE_ENTRY_CHAT_COLUMNS */
enum {
    COL_SEQ, COL_KIND, COL_SENDER, COL_SENDER_DEVICE, COL_CREATED,
    COL_MESSAGE_ID, COL_CONTENT, COL_CONTENT_TYPE, COL_REPLY_TO, COL_MEDIA_ID,
    COL_TARGET, COL_SUBJECT, COL_ROLE, COL_EXPIRES, COL_EDITED, COL_DELETED,
    COL_HIDDEN, COL_COUNT
};

_Static_assert(CHAT_KIND_MESSAGE == 1, "the kind that is null");
_Static_assert(COL_COUNT + 1 == STORE_ENTRY_NCOLUMNS,
               "columns and their readers");


void
store_entry_read(const PGresult *res, int row, int col, chat_entry_t *e_r)
{
    uint8_t  chat[16];

    store_row_uuid(res, row, col, chat);
    store_entry_chat_read(res, row, col + 1, chat, e_r);
}


void
store_entry_chat_read(const PGresult *res, int row, int col,
    const uint8_t chat[16], chat_entry_t *e_r)
{
    int64_t  expires;

    memset(e_r, 0, sizeof(*e_r));
    memcpy(e_r->chat, chat, 16);

    e_r->seq = (uint64_t) store_row_i64(res, row, col + COL_SEQ);
    e_r->sender_device =
        (uint64_t) store_row_i64(res, row, col + COL_SENDER_DEVICE);
    e_r->message_id = store_row_str(res, row, col + COL_MESSAGE_ID);
    e_r->timestamp = store_row_ms(res, row, col + COL_CREATED);

    if (store_row_bool(res, row, col + COL_HIDDEN)) {
        e_r->kind = CHAT_KIND_HIDDEN;
        return;
    }

    e_r->kind = (uint8_t) store_row_i16(res, row, col + COL_KIND);
    if (e_r->kind == CHAT_KIND_NONE) {
        e_r->kind = CHAT_KIND_MESSAGE;
    }

    e_r->sender = (uint64_t) store_row_i64(res, row, col + COL_SENDER);
    e_r->subject = (uint64_t) store_row_i64(res, row, col + COL_SUBJECT);
    e_r->target = (uint64_t) store_row_i64(res, row, col + COL_TARGET);
    e_r->reply_to = (uint64_t) store_row_i64(res, row, col + COL_REPLY_TO);
    e_r->role = store_role_word(store_row_i16(res, row, col + COL_ROLE));

    /* A deleted message keeps its sender, time and seq, nothing else. */
    if (!PQgetisnull(res, row, col + COL_DELETED)) {
        e_r->deleted = 1;
        return;
    }

    e_r->content = store_row_str(res, row, col + COL_CONTENT);
    e_r->content_type = store_row_str(res, row, col + COL_CONTENT_TYPE);
    e_r->media_id = store_row_str(res, row, col + COL_MEDIA_ID);
    e_r->edited = store_row_ms(res, row, col + COL_EDITED);

    /* The row has the time of expiry, the entry its distance in seconds. Both
     * come from one clock reading, so rounding removes milliseconds only. */
    expires = store_row_ms(res, row, col + COL_EXPIRES);
    if (expires > e_r->timestamp) {
        e_r->expires_in = (uint64_t) (expires - e_r->timestamp + 500) / 1000;
    }
}


chat_str_t
store_role_word(int role)
{
    chat_str_t  word = { NULL, 0 };

    if (role > 0 && role < STORE_NROLES) {
        word.data = store_roles[role];
        word.len = strlen(word.data);
    }

    return word;
}


int
store_role_number(const char *word, size_t len)
{
    int  i;

    for (i = 1; i < STORE_NROLES; i++) {
        if (len == strlen(store_roles[i])
            && memcmp(word, store_roles[i], len) == 0)
        {
            return i;
        }
    }

    return 0;
}
