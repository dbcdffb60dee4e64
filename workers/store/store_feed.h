/*
 * store_feed.h: entries of a chat since a moment, for the feed.
 *
 * Called from message_feed.c when a change is done again after its first owner
 * died. Hands to store_chat.c.
 */

#ifndef STORE_FEED_H
#define STORE_FEED_H

#include "store_chat.h"

/* The latest entries of the chat that are looked at: more than one request
 * writes (CHAT_MEMBERS_MAX). */
#define STORE_FEED_MAX  20000

/* Calls `entry`, in the order of seq, for each of the chat's latest entries
 * that were written at `since` (ms since 1970) or later. Content, message id,
 * role and reply_to are not read; expires_in is 1 when the entry expires.
 * Strings are borrowed for the call. */
store_e store_feed_entries(store_chat_t *st, const uint8_t id[16],
    int64_t since, void (*entry)(void *arg, const chat_entry_t *e), void *arg);

#endif
