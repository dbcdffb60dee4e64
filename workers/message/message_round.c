/*
 * message_round.c: divides a batch into rounds, one statement of sends each.
 *
 * Called from message_try.c; pure. A round appends any number of sends, to
 * any chats, in one statement. A chat's events keep their order, so a change
 * of a chat is a round of its own for that chat, and later events of the chat
 * are in later rounds. So is a duplicate of a send in the same round: one
 * statement does not recognise duplicates among its own rows.
 */

#include <string.h>

#include "message.h"

/* message_chat_t.round_holds: what the chat has in its current round */
enum { MESSAGE_NOTHING = 0, MESSAGE_SENDS, MESSAGE_CHANGE };

static void message_round_assign(message_chat_t *chat, message_item_t *item);
static int message_round_duplicates(const message_item_t *item);


unsigned
message_rounds(message_item_t *items, size_t n)
{
    size_t           i;
    unsigned         rounds;
    message_chat_t  *chat;
    message_item_t  *item;

    for (i = 0; i < n; i++) {
        if (items[i].chat != NULL) {
            items[i].chat->round = 0;
            items[i].chat->round_holds = MESSAGE_NOTHING;
            items[i].chat->last_send = NULL;
        }
    }

    rounds = 0;

    for (i = 0; i < n; i++) {
        item = &items[i];
        chat = item->chat;

        /* receipts and typing are not ordered with the other events */
        if (chat == NULL || item->ev.type == CHAT_EV_TYPING) {
            continue;
        }

        message_round_assign(chat, item);

        if (rounds <= item->round) {
            rounds = item->round + 1u;
        }
    }

    return rounds;
}


static void
message_round_assign(message_chat_t *chat, message_item_t *item)
{
    item->prev_send = chat->last_send;

    if (item->ev.type == CHAT_EV_SEND) {

        if (chat->round_holds == MESSAGE_CHANGE
            || (chat->round_holds == MESSAGE_SENDS
                && message_round_duplicates(item)))
        {
            chat->round++;
            item->prev_send = NULL;
        }

        chat->round_holds = MESSAGE_SENDS;
        chat->last_send = item;

    } else {

        if (chat->round_holds != MESSAGE_NOTHING) {
            chat->round++;
        }

        chat->round_holds = MESSAGE_CHANGE;
        chat->last_send = NULL;
    }

    item->round = chat->round;
}


const chat_str_t *
message_item_id(const message_item_t *item)
{
    return item->parsed ? &item->frame.message_id : &item->ev.message_id;
}


/* Whether a send of the round has the same device and message id. */

static int
message_round_duplicates(const message_item_t *item)
{
    const chat_str_t      *id, *other;
    const message_item_t  *prev;

    id = message_item_id(item);

    for (prev = item->prev_send; prev != NULL; prev = prev->prev_send) {

        if (prev->ev.device != item->ev.device) {
            continue;
        }

        other = message_item_id(prev);

        if (other->len == id->len
            && (id->len == 0 || memcmp(other->data, id->data, id->len) == 0))
        {
            return 1;
        }
    }

    return 0;
}
