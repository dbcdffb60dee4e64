/*
 * request.c: whether the sender is a member, and the fields of a REST body.
 *
 * Called from on_*.c and message_target.c; hands to chat_json_load(). Fields
 * are checked after membership, so that an outsider learns nothing.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_id.h"
#include "reply.h"
#include "request.h"

static int request_users_parse(json_t *list, uint64_t *users);
static int request_user_compare(const void *a, const void *b);


message_member_t *
request_member(message_t *m, message_item_t *it)
{
    message_member_t  *member;

    member = it->chat->exists ? message_chat_member(it->chat, it->ev.user)
                              : NULL;

    if (member == NULL) {
        reply_refuse(m, it, CHAT_E_NOT_FOUND, "There is no such chat.");
        return NULL;
    }

    if (member->left != 0) {
        reply_refuse(m, it, CHAT_E_NOT_MEMBER,
                     "You are no longer a member of this chat.");
        return NULL;
    }

    return member;
}


message_member_t *
request_admin(message_t *m, message_item_t *it, const char *why)
{
    message_member_t  *member;

    member = request_member(m, it);

    if (member == NULL) {
        return NULL;
    }

    if (it->chat->type == STORE_DIRECT || member->role == STORE_MEMBER) {
        reply_refuse(m, it, CHAT_E_FORBIDDEN, why);
        return NULL;
    }

    return member;
}


json_t *
request_body(message_t *m, message_item_t *it)
{
    char          why[128];
    json_t       *root;
    chat_error_e  error;

    root = chat_json_load(it->ev.body.data ? it->ev.body.data : "",
                          it->ev.body.len, &error, why);

    if (root == NULL) {
        reply_refuse(m, it, error, why);
        return NULL;
    }

    if (!json_is_object(root)) {
        json_decref(root);
        reply_refuse(m, it, CHAT_E_BAD_REQUEST, "The body is not an object.");
        return NULL;
    }

    return root;
}


int
request_users(message_t *m, message_item_t *it, json_t *root,
    const char *field, uint64_t extra, uint64_t **users_r, size_t *n_r)
{
    char       why[128];
    size_t     i, k, n;
    json_t    *list;
    uint64_t  *users;

    list = json_object_get(root, field);

    if (!json_is_array(list) || json_array_size(list) == 0
        || json_array_size(list) > CHAT_MEMBERS_MAX)
    {
        (void) snprintf(why, sizeof(why), "%s is not a list of 1 to %d users",
                        field, CHAT_MEMBERS_MAX);
        reply_refuse(m, it, CHAT_E_BAD_FIELD, why);
        return -1;
    }

    n = json_array_size(list);
    users = worker_calloc(n + 1, sizeof(*users));

    if (request_users_parse(list, users) != 0) {
        free(users);
        (void) snprintf(why, sizeof(why), "%s has what is no user", field);
        reply_refuse(m, it, CHAT_E_BAD_FIELD, why);
        return -1;
    }

    if (extra != 0) {
        users[n++] = extra;
    }

    qsort(users, n, sizeof(*users), request_user_compare);

    for (i = 0, k = 0; i < n; i++) {
        if (k == 0 || users[k - 1] != users[i]) {
            users[k++] = users[i];
        }
    }

    *users_r = users;
    *n_r = k;

    return 0;
}


int
request_title(message_t *m, message_item_t *it, json_t *root,
    int required, chat_str_t *title_r)
{
    json_t  *title;

    title_r->data = NULL;
    title_r->len = 0;

    title = json_object_get(root, "title");

    if (title == NULL || json_is_null(title)) {

        if (!required) {
            return 0;
        }

        reply_refuse(m, it, CHAT_E_BAD_FIELD, "title is missing");
        return -1;
    }

    if (!json_is_string(title) || json_string_length(title) == 0
        || json_string_length(title) > CHAT_TITLE_MAX)
    {
        reply_refuse(m, it, CHAT_E_BAD_FIELD,
                     "title is not a string of 1 to 256 bytes");
        return -1;
    }

    title_r->data = json_string_value(title);
    title_r->len = json_string_length(title);

    return 0;
}


static int
request_users_parse(json_t *list, uint64_t *users)
{
    size_t   i;
    json_t  *id;

    json_array_foreach(list, i, id) {
        if (!json_is_string(id)
            || chat_num_parse(json_string_value(id), json_string_length(id),
                              &users[i]) != 0)
        {
            return -1;
        }
    }

    return 0;
}


static int
request_user_compare(const void *a, const void *b)
{
    uint64_t  x, y;

    x = *(const uint64_t *) a;
    y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}
