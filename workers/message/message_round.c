/*
 * message_round.c: what of a batch can be written at once.
 *
 * Called from message_try.c; pure. A round appends any number of sends, to
 * any chats, in one statement. A chat's events keep their order, so a change
 * of a chat is a round of its own for that chat, and what comes behind it is
 * in a later one; so is a send that repeats another of the round, which the
 * statement could not tell.
 */

#include <string.h>

#include "message.h"

/* message_chat_t.doing */
enum { MESSAGE_NOTHING = 0, MESSAGE_SENDS, MESSAGE_CHANGE };

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
            items[i].chat->doing = MESSAGE_NOTHING;
            items[i].chat->last = NULL;
        }
    }

    rounds = 0;

    for (i = 0; i < n; i++) {
        item = &items[i];
        chat = item->chat;

        /* marks and typing have no place in the order */
        if (chat == NULL || item->ev.type == CHAT_EV_TYPING) {
            continue;
        }

        item->before = chat->last;

        if (item->ev.type == CHAT_EV_SEND) {

            if (chat->doing == MESSAGE_CHANGE
                || (chat->doing == MESSAGE_SENDS
                    && message_round_duplicates(item)))
            {
                chat->round++;
                item->before = NULL;
            }

            chat->doing = MESSAGE_SENDS;
            chat->last = item;

        } else {

            if (chat->doing != MESSAGE_NOTHING) {
                chat->round++;
            }

            chat->doing = MESSAGE_CHANGE;
            chat->last = NULL;
        }

        item->round = chat->round;

        if (rounds <= item->round) {
            rounds = item->round + 1u;
        }
    }

    return rounds;
}


const chat_str_t *
message_item_id(const message_item_t *item)
{
    return item->parsed ? &item->frame.message_id : &item->ev.message_id;
}


static int
message_round_duplicates(const message_item_t *item)
{
    const chat_str_t      *id, *other;
    const message_item_t  *it;

    id = message_item_id(item);

    for (it = item->before; it != NULL; it = it->before) {

        if (it->ev.device != item->ev.device) {
            continue;
        }

        other = message_item_id(it);

        if (other->len == id->len
            && (id->len == 0 || memcmp(other->data, id->data, id->len) == 0))
        {
            return 1;
        }
    }

    return 0;
}
