/*
 * store_user.h: whether users exist, for a worker that writes chats.
 *
 * Called from on_chat_create.c and on_members_add.c. Accounts are always in
 * PostgreSQL; the chat store provides the connection, because a message worker
 * has no other.
 */

#ifndef STORE_USER_H
#define STORE_USER_H

#include "store_chat.h"

/* STORE_OK when each of the n different users exists and is not erased,
 * STORE_NOT_FOUND when one does not. */
store_e store_account_exist(store_chat_t *st, const uint64_t *users, size_t n);

#endif
