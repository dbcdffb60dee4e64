/*
 * api_members.c: GET /chats/{chatId}/members.
 *
 * Called from api_route.c; hands to store_read.h. Pages are in order of
 * user id, so that they stay stable when members join or leave.
 */

#include "api.h"
#include "store_read.h"
#include "store_role.h"


void
api_members_list(api_req_t *req)
{
    int               i, n, role, given;
    store_e           rc;
    uint8_t           chat[16];
    unsigned          limit;
    uint64_t          after, user;
    chat_buf_t       *out;
    store_members_t   members;

    after = 0;
    user = 0;

    if (api_param_chat(req, chat) != 0
        || api_arg_limit(req, API_LIMIT_DEFAULT, &limit) != 0
        || api_arg_cursor(req, &after, sizeof(after), &given) != 0)
    {
        return;
    }

    rc = store_read_members(req->reader, req->user, chat, after, limit + 1,
                            &members);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    if (members.sees != STORE_SEES_ALL) {
        api_reply_error(req, members.sees == STORE_SEES_PAST
                        ? CHAT_E_NOT_MEMBER : CHAT_E_NOT_FOUND, NULL);
        store_members_free(&members);
        return;
    }

    n = members.n > (int) limit ? (int) limit : members.n;
    out = &req->out;
    api_out_text(out, "{\"items\":[");

    for (i = 0; i < n; i++) {
        store_members_item(&members, i, &user, &role);
        api_out_text(out, i ? ",{\"userId\":" : "{\"userId\":");
        api_out_id(out, user);
        api_out_text(out, ",\"role\":");
        api_out_str(out, store_role_word(role));
        api_out_text(out, "}");
    }

    api_out_text(out, "],\"nextCursor\":");

    if (members.n > (int) limit) {
        api_out_cursor(out, &user, sizeof(user));
    } else {
        api_out_text(out, "null");
    }

    api_out_text(out, "}");
    store_members_free(&members);
    api_reply_out(req, MHD_HTTP_OK);
}
