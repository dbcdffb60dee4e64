/*
 * on_body.c: fields of a REST body, checked after membership was.
 *
 * Called from on_chat_*.c and on_member*.c; hands to chat_json_load().
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_id.h"
#include "on.h"

static int on_user_compare(const void *a, const void *b);


json_t *
on_body(message_t *m, message_item_t *it)
{
    char          why[128];
    json_t       *root;
    chat_error_e  error;

    root = chat_json_load(it->ev.body.data ? it->ev.body.data : "",
                          it->ev.body.len, &error, why);

    if (root == NULL) {
        on_refuse(m, it, error, why);
        return NULL;
    }

    if (!json_is_object(root)) {
        json_decref(root);
        on_refuse(m, it, CHAT_E_BAD_REQUEST, "The body is not an object.");
        return NULL;
    }

    return root;
}


int
on_users(message_t *m, message_item_t *it, json_t *root, const char *field,
    uint64_t also, uint64_t **users_r, size_t *n_r)
{
    char       why[128];
    size_t     i, k, n;
    json_t    *list, *item;
    uint64_t  *users;

    list = json_object_get(root, field);

    if (!json_is_array(list) || json_array_size(list) == 0
        || json_array_size(list) > CHAT_MEMBERS_MAX)
    {
        (void) snprintf(why, sizeof(why), "%s is not a list of 1 to %d users",
                        field, CHAT_MEMBERS_MAX);
        on_refuse(m, it, CHAT_E_BAD_FIELD, why);
        return -1;
    }

    users = worker_calloc(json_array_size(list) + 1, sizeof(*users));
    n = 0;

    json_array_foreach(list, i, item) {

        if (!json_is_string(item)
            || chat_num_parse(json_string_value(item),
                              json_string_length(item), &users[n]) != 0)
        {
            free(users);
            (void) snprintf(why, sizeof(why), "%s has what is no user", field);
            on_refuse(m, it, CHAT_E_BAD_FIELD, why);
            return -1;
        }

        n++;
    }

    if (also != 0) {
        users[n++] = also;
    }

    qsort(users, n, sizeof(*users), on_user_compare);

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
on_title(message_t *m, message_item_t *it, json_t *root, int required,
    chat_str_t *title_r)
{
    json_t  *title;

    title_r->data = NULL;
    title_r->len = 0;

    title = json_object_get(root, "title");

    if (title == NULL || json_is_null(title)) {

        if (!required) {
            return 0;
        }

        on_refuse(m, it, CHAT_E_BAD_FIELD, "title is missing");
        return -1;
    }

    if (!json_is_string(title) || json_string_length(title) == 0
        || json_string_length(title) > CHAT_TITLE_MAX)
    {
        on_refuse(m, it, CHAT_E_BAD_FIELD,
                  "title is not a string of 1 to 256 bytes");
        return -1;
    }

    title_r->data = json_string_value(title);
    title_r->len = json_string_length(title);

    return 0;
}


static int
on_user_compare(const void *a, const void *b)
{
    uint64_t  x, y;

    x = *(const uint64_t *) a;
    y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}
