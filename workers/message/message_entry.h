/*
 * message_entry.h: log entries that handlers write and publish.
 *
 * Called from on_*.c and message_try.c; hands to message_append.c for the
 * INSERT, to fanout.c for what is published after the commit, and to reply.c.
 *
 * message_entry.c   one entry: build, append, publish, answer
 * message_target.c  an entry about an earlier message: edit, delete, reaction
 * message_depart.c  the entries by which a member leaves
 */

#ifndef MESSAGE_ENTRY_H
#define MESSAGE_ENTRY_H

#include "message.h"

/* -------------------------------------------------------- message_entry.c */

/* An entry of the item's chat by its sender, without a message id. `subject`
 * is the user whom it is about (0: none), `role` that user's new role (0:
 * none). */
void message_entry_init(const message_item_t *it, chat_kind_e kind,
    uint64_t subject, int role, store_append_t *row_r);

/* Appends n entries to the item's chat, in order. STORE_STALE: the cached
 * chat was stale, nothing was written. */
store_e message_entry_append(message_t *m, message_item_t *it,
    store_append_t *rows, size_t n);

/* Publishes an entry after the commit. `rejoined`: a former member for whom
 * this entry is the first one again (0: none). */
void message_entry_publish(message_t *m, message_item_t *it,
    const chat_entry_t *e, uint64_t rejoined);

/* Committed but not published: publish again, so that edges detect the gap.
 * `seq` is the chat's last entry or, after a departure, the last one that the
 * former member may see; 0: the chat has no entry, nothing is published. */
store_e message_entry_republish(message_t *m, message_item_t *it,
    uint64_t seq);

/* Ends an append that carried a message id (a send, an edit, a delete, a
 * reaction): publishes what was inserted, acknowledges a duplicate, refuses a
 * message id that was used for something else, and answers REST. */
store_e message_entry_complete(message_t *m, message_item_t *it,
    const store_append_t *row);

/* ------------------------------------------------------- message_target.c */

/* How one event type changes a message. */
typedef struct {
    chat_kind_e  kind;              /* of the entry                         */

    /* whether this member may do it; NULL: everyone who sees the message */
    int        (*allowed)(const message_item_t *it,
                   const message_member_t *member,
                   const store_target_t *target);

    /* writes the change itself, once; NULL: the entry is all of it */
    store_e    (*apply)(message_t *m, message_item_t *it);
} message_target_change_t;

/* Checks the sender and the message with seq it->ev.seq, appends the entry
 * about it, and applies the change unless the event is a duplicate. */
store_e message_target_change(message_t *m, message_item_t *it,
    const message_target_change_t *change);

/* ------------------------------------------------------- message_depart.c */

/* Ends a membership by an entry MEMBER_LEFT or MEMBER_REMOVED, and answers
 * 204. A departing owner is succeeded by the longest-standing admin, or else
 * by the longest-standing member. */
store_e message_depart(message_t *m, message_item_t *it,
    message_member_t *member, chat_kind_e kind);

/* The member left already and the event is done again: answers and publishes
 * as the first time. */
store_e message_depart_redo(message_t *m, message_item_t *it,
    const message_member_t *member);

#endif
