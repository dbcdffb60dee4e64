/*
 * store_entry.h: a row of `entries` as a chat_entry_t.
 *
 * Called from store_read_pg_*.c and store_chat_pg_load.c: history, catch-up,
 * the entry of a duplicate send. The column list and the function that reads
 * it are next to each other, here and nowhere else, so that they agree.
 */

#ifndef STORE_ENTRY_H
#define STORE_ENTRY_H

#include <libpq-fe.h>

#include "chat_entry.h"
#include "store_role.h"

/* Whether the reader `m` (a row of chat_members) may not see entry `e`. */
#define STORE_ENTRY_HIDDEN                                                   \
    "(e.seq <@ m.hidden OR e.expires_at < now())"

/* Columns of an entry `e`; `hidden` is a boolean expression such as
 * STORE_ENTRY_HIDDEN, or "false" when the entry is read for no user. The
 * content of a hidden entry does not leave the database. */
#define STORE_ENTRY_COLUMNS(hidden)                                          \
    "e.chat_id, " STORE_ENTRY_CHAT_COLUMNS(hidden)

/* The same without the chat id, for callers that know it. A value costs far
 * more to transfer than a null, so rarely true flags are null when false, and
 * the kind of a message is null. */
#define STORE_ENTRY_CHAT_COLUMNS(hidden)                                     \
    "e.seq, nullif(e.kind, 1::smallint), e.sender_id, e.sender_device, "     \
    "e.created_at, e.message_id, "                                           \
    "CASE WHEN e.deleted_at IS NULL AND (" hidden ") IS NOT TRUE "           \
        "THEN e.content END, "                                               \
    "e.content_type, e.reply_to, e.media_id, e.target, e.subject, e.role, "  \
    "e.expires_at, e.edited_at, e.deleted_at, "                              \
    "CASE WHEN " hidden " THEN true END"

#define STORE_ENTRY_NCOLUMNS  18

/* Reads the columns that begin with `col`. Strings are borrowed from the
 * result. A hidden entry has kind HIDDEN and nothing but chat and seq,
 * sender device and message id: by the last two an edge recognises the entry
 * that is in flight; chat_entry_json() does not print them. */
void store_entry_read(const PGresult *res, int row, int col,
    chat_entry_t *e_r);
/* Of STORE_ENTRY_CHAT_COLUMNS. */
void store_entry_chat_read(const PGresult *res, int row, int col,
    const uint8_t chat[16], chat_entry_t *e_r);

#endif
