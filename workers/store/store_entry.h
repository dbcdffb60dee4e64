/*
 * store_entry.h: a row of `entries` as a chat_entry_t.
 *
 * Called from whatever reads entries: history (API), catch-up (sync), a
 * repeat's first answer (message). The column list and its reader stand side
 * by side here and nowhere else, so they cannot drift apart.
 */

#ifndef STORE_ENTRY_H
#define STORE_ENTRY_H

#include <libpq-fe.h>

#include "chat_entry.h"
#include "store_role.h"

/* Whether the reader `m` (a row of chat_members) may not see entry `e`. */
#define STORE_ENTRY_HIDDEN                                                    \
    "(e.seq <@ m.hidden OR e.expires_at < now())"

/* Columns of an entry `e`; `hidden` is a boolean expression such as
 * STORE_ENTRY_HIDDEN, or "false" when nobody is looking. What is hidden does
 * not even leave the database. For a binary result. */
#define STORE_ENTRY_COLUMNS(hidden)                                           \
    "e.chat_id, " STORE_ENTRY_CHAT_COLUMNS(hidden)

/* The same without the chat, for who knows it. A value costs far more than a
 * null on its way here, so what is seldom true is null when it is not, and so
 * is the kind of a message. */
#define STORE_ENTRY_CHAT_COLUMNS(hidden)                                      \
    "e.seq, nullif(e.kind, 1::smallint), e.sender_id, e.sender_device, "      \
    "e.created_at, e.message_id, "                                            \
    "CASE WHEN e.deleted_at IS NULL AND (" hidden ") IS NOT TRUE "            \
        "THEN e.content END, "                                                \
    "e.content_type, e.reply_to, e.media_id, e.target, e.subject, e.role, "   \
    "e.expires_at, e.edited_at, e.deleted_at, "                               \
    "CASE WHEN " hidden " THEN true END"

#define STORE_ENTRY_NCOLUMNS  18

/* Reads the columns that begin with `col`. Strings are borrowed from the
 * result. A hidden entry is given kind HIDDEN and nothing but chat and seq,
 * sender device and message id: the last two tell an edge that the entry is
 * the one in flight, and chat_entry_json() does not print them. */
void store_entry_read(const PGresult *res, int row, int col,
    chat_entry_t *e_r);
/* Of STORE_ENTRY_CHAT_COLUMNS. */
void store_entry_chat_read(const PGresult *res, int row, int col,
    const uint8_t chat[16], chat_entry_t *e_r);

#endif
