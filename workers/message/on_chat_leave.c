/*
 * on_chat_leave.c: DELETE /chats/{chatId}: a group is left, a direct chat goes
 * off the list until its next entry.
 *
 * Called from message_try.c. An owner who leaves passes the group on to the
 * admin who has been there longest, else to the member who has.
 */

#include "on.h"

static message_member_t *on_heir(const message_chat_t *chat, uint64_t but);


store_e
on_chat_leave(message_t *m, message_item_t *it)
{
    store_e            rc;
    message_member_t  *member;

    /* done by an owner who died before telling */
    member = it->redo && it->chat->exists
             ? message_chat_member(it->chat, it->ev.user) : NULL;

    if (member != NULL && member->left != 0) {
        on_no_content(m, it);
        on_notify_chat(m, it, &member->user, 1, 0);
        return on_republish(m, it, member->left);
    }

    member = on_member(m, it);

    if (member == NULL) {
        return STORE_OK;
    }

    if (it->chat->type == STORE_DIRECT) {
        rc = store_chat_clear(m->store, it->chat->id, member->user,
                              it->chat->last_seq);
        if (rc == STORE_OK) {
            on_no_content(m, it);
        }

        return rc;
    }

    return on_depart(m, it, member, CHAT_KIND_MEMBER_LEFT);
}


/* The heir's entry comes first: the own departure is the last entry that who
 * departs may see. */

store_e
on_depart(message_t *m, message_item_t *it, message_member_t *member,
    chat_kind_e kind)
{
    size_t             i, n;
    store_e            rc;
    uint8_t            roles[2] = { STORE_OWNER, STORE_MEMBER };
    uint64_t           users[2], version;
    store_append_t     rows[2];
    message_chat_t    *chat;
    message_member_t  *heir;

    chat = it->chat;
    heir = member->role == STORE_OWNER ? on_heir(chat, member->user) : NULL;
    n = 0;

    if (heir != NULL) {
        on_entry(it, CHAT_KIND_ROLE_CHANGED, heir->user, STORE_OWNER,
                 &rows[n++]);
    }

    on_entry(it, kind, member->user, 0, &rows[n++]);

    rc = on_append(m, it, rows, n);
    if (rc != STORE_OK) {
        return rc;
    }

    if (heir != NULL) {
        users[0] = heir->user;
        users[1] = member->user;

        rc = store_chat_roles(m->store, chat->id, users, roles, 2, &version);
        if (rc != STORE_OK) {
            return rc;
        }

        heir->role = STORE_OWNER;
        member->role = STORE_MEMBER;
    }

    rc = store_chat_member_leave(m->store, chat->id, member->user,
                                 rows[n - 1].e.seq, &version);
    if (rc != STORE_OK) {
        return rc;
    }

    chat->members_version = version;
    message_chat_leave(chat, member, rows[n - 1].e.seq);

    for (i = 0; i < n; i++) {
        on_publish(m, it, &rows[i].e, 0);
    }

    on_notify_chat(m, it, &member->user, 1, 0);
    on_no_content(m, it);

    return STORE_OK;
}


void
on_no_content(message_t *m, message_item_t *it)
{
    on_http(m, it, 204, on_text(m));
}


static message_member_t *
on_heir(const message_chat_t *chat, uint64_t but)
{
    size_t             i;
    message_member_t  *c, *best;

    for (best = NULL, i = 0; i < chat->n; i++) {
        c = &chat->members[i];

        if (c->left != 0 || c->user == but) {
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
