/*
 * store_role.h: roles of members, as stored and as words.
 *
 * Called from message and API workers; store_entry.h includes it.
 */

#ifndef STORE_ROLE_H
#define STORE_ROLE_H

#include "chat_event.h"

/* chat_members.role, entries.role: append, never reorder */
enum { STORE_OWNER = 1, STORE_ADMIN, STORE_MEMBER };

/* An absent string for an unknown role; 0 for an unknown word. */
chat_str_t store_role_word(int role);
int store_role_number(const char *word, size_t len);

#endif
