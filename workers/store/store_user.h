/*
 * store_user.h: whether users exist, asked by who writes chats.
 *
 * Called from on_chat_create.c and on_members_add.c. Accounts and chats never
 * meet in one statement; this one goes over the chats' connection because a
 * worker has no other.
 */

#ifndef STORE_USER_H
#define STORE_USER_H

#include "store_chat.h"

/* OK when every one of the n different users is there and not erased, NONE
 * when one is not. */
store_e store_account_exist(store_chat_t *st, const uint64_t *users, size_t n);

#endif
