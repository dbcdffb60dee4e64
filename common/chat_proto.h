/*
 * chat_proto.h: every name and limit of the wire contract, in one place.
 *
 * Included by the edge, the workers and the tools. It contains constants only;
 * their meaning to a client is in docs/asyncapi.yaml and docs/openapi.yaml.
 */

#ifndef CHAT_PROTO_H
#define CHAT_PROTO_H

/* WebSocket (RFC 6455) */
#define CHAT_SUBPROTOCOL          "chat.v1"
#define CHAT_SUBPROTOCOL_BEARER   "bearer."
#define CHAT_FRAME_MAX            65536       /* client message, reassembled*/
#define CHAT_SERVER_FRAME_MAX     262144      /* server message             */

/* fields */
#define CHAT_MESSAGE_ID_MAX       64          /* bytes from '!' to '~'      */
#define CHAT_CONTENT_MAX          32768       /* bytes of UTF-8             */
#define CHAT_CONTENT_TYPE_MAX     64
#define CHAT_MEDIA_ID_MAX         64
#define CHAT_TITLE_MAX            256
#define CHAT_IDEMPOTENCY_KEY_MAX  128
#define CHAT_EXPIRES_MAX          7776000     /* seconds, 90 days           */
#define CHAT_JSON_DEPTH_MAX       16
#define CHAT_PRESENCE_MAX         200         /* userIds a frame            */
#define CHAT_PRESENCE_FOLLOWED    1000        /* users a session follows    */
#define CHAT_PRESENCE_DELAY       3000        /* ms from gone to offline    */
#define CHAT_MEMBERS_MAX          10000       /* members of one group       */
#define CHAT_DEVICES_MAX          10          /* devices of one user        */
#define CHAT_RECEIPT_MEMBERS_MAX  256         /* above: only on request     */

/* catch-up */
#define CHAT_SYNC_WINDOW          256         /* entries not yet delivered  */
#define CHAT_SYNC_PAGE            128         /* entries a page             */
#define CHAT_SYNC_PAGE_BYTES      1048576     /* frames of a page, bytes    */
#define CHAT_SYNC_CHATS           32          /* chats of a page request    */
#define CHAT_SYNC_LIST            10000       /* chats in a list            */

/* shards: chosen by chat id, see chat_keys.h */
#define CHAT_SHARDS               64
#define CHAT_SYNC_SHARDS          16

/* WebSocket close codes: the range tells the client what to do */
#define CHAT_CLOSE_NORMAL         1000
#define CHAT_CLOSE_GOING_AWAY     1001
#define CHAT_CLOSE_PROTOCOL       1002
#define CHAT_CLOSE_UNSUPPORTED    1003
#define CHAT_CLOSE_BAD_UTF8       1007
#define CHAT_CLOSE_TOO_LARGE      1009
#define CHAT_CLOSE_INTERNAL       1011
#define CHAT_CLOSE_RESTART        1012
#define CHAT_CLOSE_TRY_LATER      1013
#define CHAT_CLOSE_TOO_SLOW       4008
#define CHAT_CLOSE_TOO_MANY       4009
#define CHAT_CLOSE_NO_HEARTBEAT   4012
#define CHAT_CLOSE_TOKEN_EXPIRED  4401
#define CHAT_CLOSE_REVOKED        4403
#define CHAT_CLOSE_REPLACED       4409
#define CHAT_CLOSE_VERSION        4501
#define CHAT_CLOSE_SUSPENDED      4503

/* error codes, in frames and in problem+json (RFC 9457) alike; the HTTP
 * status of each is chat_error_status() in chat_error.h */
#define CHAT_ERRORS(X)                                                       \
    X(BAD_REQUEST,            "bad_request",            400)                 \
    X(BAD_FRAME,              "bad_frame",              400)                 \
    X(UNKNOWN_TYPE,           "unknown_type",           400)                 \
    X(BAD_FIELD,              "bad_field",              400)                 \
    X(UNAUTHORIZED,           "unauthorized",           401)                 \
    X(TOKEN_EXPIRED,          "token_expired",          401)                 \
    X(DEVICE_REVOKED,         "device_revoked",         401)                 \
    X(WRONG_CODE,             "wrong_code",             401)                 \
    X(REFRESH_REUSED,         "refresh_reused",         401)                 \
    X(FORBIDDEN,              "forbidden",              403)                 \
    X(NOT_MEMBER,             "not_member",             403)                 \
    X(BLOCKED,                "blocked",                403)                 \
    X(PIN_REQUIRED,           "pin_required",           403)                 \
    X(SUSPENDED,              "suspended",              403)                 \
    X(NOT_FOUND,              "not_found",              404)                 \
    X(METHOD_NOT_ALLOWED,     "method_not_allowed",     405)                 \
    X(MESSAGE_ID_REUSED,      "message_id_reused",      409)                 \
    X(TOO_MANY_DEVICES,       "too_many_devices",       409)                 \
    X(IDEMPOTENCY_KEY_REUSED, "idempotency_key_reused", 409)                 \
    X(TOO_LARGE,              "too_large",              413)                 \
    X(UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", 415)                 \
    X(RATE_LIMITED,           "rate_limited",           429)                 \
    X(INTERNAL,               "internal",               500)                 \
    X(UNAVAILABLE,            "unavailable",            503)

/* kinds of entries of a chat's log */
#define CHAT_KINDS(X)                                                        \
    X(MESSAGE,        "message")                                             \
    X(EDIT,           "edit")                                                \
    X(DELETE,         "delete")                                              \
    X(REACTION,       "reaction")                                            \
    X(MEMBER_ADDED,   "member_added")                                        \
    X(MEMBER_REMOVED, "member_removed")                                      \
    X(MEMBER_LEFT,    "member_left")                                         \
    X(ROLE_CHANGED,   "role_changed")                                        \
    X(CHAT_CHANGED,   "chat_changed")                                        \
    X(HIDDEN,         "hidden")

/* client frames; the parser and the edge's dispatch table use this list */
#define CHAT_CLIENT_FRAMES(X)                                                \
    X(SEND_MESSAGE,         "send_message")                                  \
    X(EDIT_MESSAGE,         "edit_message")                                  \
    X(DELETE_MESSAGE,       "delete_message")                                \
    X(REACT,                "react")                                         \
    X(DELIVERED,            "delivered")                                     \
    X(READ,                 "read")                                          \
    X(TYPING,               "typing")                                        \
    X(PRESENCE_SUBSCRIBE,   "presence_subscribe")                            \
    X(PRESENCE_UNSUBSCRIBE, "presence_unsubscribe")                          \
    X(PING,                 "ping")

#endif
