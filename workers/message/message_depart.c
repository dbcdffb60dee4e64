/*
 * message_depart.c: a member leaves a group or is removed from it.
 *
 * Called from on_chat_leave.c and on_member_remove.c; hands to
 * message_entry.c, store_chat_member.c and reply_chat.c.
 */

#include "message_entry.h"
#include "reply.h"

static store_e message_depart_store(message_t *m, message_item_t *it,
    message_member_t *member, message_member_t *successor, uint64_t seq);
static message_member_t *message_depart_successor(const message_chat_t *chat,
    uint64_t owner);


store_e
message_depart(message_t *m, message_item_t *it, message_member_t *member,
    chat_kind_e kind)
{
    size_t             i, n;
    store_e            rc;
    store_append_t     rows[2];
    message_member_t  *successor;

    successor = member->role == STORE_OWNER
                ? message_depart_successor(it->chat, member->user) : NULL;
    n = 0;

    /* the successor's entry comes first: the departure is the last entry that
     * the former member may see */
    if (successor != NULL) {
        message_entry_init(it, CHAT_KIND_ROLE_CHANGED, successor->user,
                           STORE_OWNER, &rows[n++]);
    }

    message_entry_init(it, kind, member->user, 0, &rows[n++]);

    rc = message_entry_append(m, it, rows, n);

    if (rc == STORE_OK) {
        rc = message_depart_store(m, it, member, successor,
                                  rows[n - 1].e.seq);
    }

    if (rc != STORE_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        message_entry_publish(m, it, &rows[i].e, 0);
    }

    reply_chat_removed(m, it, member->user);
    reply_no_content(m, it);

    return STORE_OK;
}


store_e
message_depart_redo(message_t *m, message_item_t *it,
    const message_member_t *member)
{
    reply_chat_removed(m, it, member->user);
    reply_no_content(m, it);

    return message_entry_republish(m, it, member->left);
}


/* Ends the membership in the database and in the cache. */

static store_e
message_depart_store(message_t *m, message_item_t *it,
    message_member_t *member, message_member_t *successor, uint64_t seq)
{
    store_e          rc;
    uint8_t          roles[2] = { STORE_OWNER, STORE_MEMBER };
    uint64_t         users[2], version;
    message_chat_t  *chat;

    chat = it->chat;

    if (successor != NULL) {
        users[0] = successor->user;
        users[1] = member->user;

        rc = store_chat_roles(m->store, chat->id, users, roles, 2, &version);
        if (rc != STORE_OK) {
            return rc;
        }

        successor->role = STORE_OWNER;
        member->role = STORE_MEMBER;
    }

    rc = store_chat_member_leave(m->store, chat->id, member->user, seq,
                                 &version);
    if (rc != STORE_OK) {
        return rc;
    }

    chat->members_version = version;
    message_chat_leave(chat, member, seq);

    return STORE_OK;
}


static message_member_t *
message_depart_successor(const message_chat_t *chat, uint64_t owner)
{
    size_t             i;
    message_member_t  *c, *best;

    for (best = NULL, i = 0; i < chat->n; i++) {
        c = &chat->members[i];

        if (c->left != 0 || c->user == owner) {
            continue;
        }

        if (best == NULL || c->role < best->role
            || (c->role == best->role && c->joined < best->joined))
        {
            best = c;
        }
    }

    return best;
}
