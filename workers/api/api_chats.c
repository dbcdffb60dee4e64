/*
 * api_chats.c: GET /chats, GET /chats/{chatId}.
 *
 * Called from api_route.c; hands to store_read.h. A chat that the caller
 * has never been a member of gives the same 404 as an unknown one; one that
 * the caller has left gives not_member, although its history up to that point
 * may still be read.
 */

#include <string.h>

#include "api.h"
#include "chat_entry.h"
#include "store_read.h"
#include "store_role.h"

static void api_chats_out(chat_buf_t *out, const store_chat_view_t *v);


void
api_chats_list(api_req_t *req)
{
    int                    given;
    size_t                 i, n;
    store_e                rc;
    uint8_t                bytes[24];
    unsigned               limit;
    chat_buf_t            *out;
    store_chat_views_t     views;
    store_chat_cursor_t    cursor;

    if (api_arg_limit(req, API_LIMIT_DEFAULT, &limit) != 0
        || api_arg_cursor(req, bytes, sizeof(bytes), &given) != 0)
    {
        return;
    }

    if (given) {
        memcpy(&cursor.active, bytes, 8);
        memcpy(cursor.id, bytes + 8, 16);
    }

    /* One more row than requested tells whether there is a next page. */
    rc = store_read_chats(req->reader, req->user, req->device,
                          given ? &cursor : NULL, limit + 1, &views);
    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    n = views.n > limit ? limit : views.n;
    out = &req->out;
    api_out_text(out, "{\"items\":[");

    for (i = 0; i < n; i++) {
        if (i > 0) {
            api_out_text(out, ",");
        }
        api_chats_out(out, &views.items[i]);
    }

    api_out_text(out, "],\"nextCursor\":");

    if (views.n > limit) {
        memcpy(bytes, &views.items[n - 1].active, 8);
        memcpy(bytes + 8, views.items[n - 1].id, 16);
        api_out_cursor(out, bytes, sizeof(bytes));
    } else {
        api_out_text(out, "null");
    }

    api_out_text(out, "}");
    store_chat_views_free(&views);
    api_reply_out(req, MHD_HTTP_OK);
}


void
api_chats_get(api_req_t *req)
{
    store_e              rc;
    uint8_t              chat[16];
    store_sees_e         sees;
    store_chat_views_t   views;

    if (api_param_chat(req, chat) != 0) {
        return;
    }

    rc = store_read_chat(req->reader, req->user, req->device, chat, &sees,
                         &views);

    if (rc != STORE_OK) {
        api_reply_store(req, rc);
        return;
    }

    if (sees == STORE_SEES_ALL) {
        api_chats_out(&req->out, &views.items[0]);
        api_reply_out(req, MHD_HTTP_OK);
    } else {
        api_reply_error(req, sees == STORE_SEES_PAST ? CHAT_E_NOT_MEMBER
                                                     : CHAT_E_NOT_FOUND,
                        NULL);
    }

    store_chat_views_free(&views);
}


static void
api_chats_out(chat_buf_t *out, const store_chat_view_t *v)
{
    api_out_text(out, "{\"chatId\":");
    api_out_chat_id(out, v->id);
    api_out_text(out, v->type == 1 ? ",\"type\":\"direct\",\"title\":"
                                   : ",\"type\":\"group\",\"title\":");
    api_out_str(out, v->title);
    api_out_text(out, ",\"lastSeq\":");
    api_out_num(out, v->last);
    api_out_text(out, ",\"lastEntry\":");

    if (v->has_entry) {
        chat_entry_json(out, &v->entry, 0);
    } else {
        api_out_text(out, "null");
    }

    api_out_text(out, ",\"delivered\":");
    api_out_num(out, v->delivered);
    api_out_text(out, ",\"read\":");
    api_out_num(out, v->read);
    api_out_text(out, ",\"unreadCount\":");
    api_out_num(out, v->unread);
    api_out_text(out, ",\"role\":");
    api_out_str(out, store_role_word(v->role));
    api_out_text(out, ",\"createdAt\":");
    api_out_time(out, v->created);

    if (v->type == 1) {
        api_out_text(out, ",\"peerId\":");
        if (v->peer != 0) {
            api_out_id(out, v->peer);
        } else {
            api_out_text(out, "null");
        }

    } else {
        api_out_text(out, ",\"memberCount\":");
        api_out_num(out, v->members);
    }

    api_out_text(out, "}");
}
