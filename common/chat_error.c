/*
 * chat_error.c: the contract's error codes, their statuses and titles.
 *
 * Called from all code that answers a client. A number outside the enum becomes
 * CHAT_E_INTERNAL, because a client must always get a code of the contract.
 */

#include "chat_error.h"

typedef struct {
    const char  *word;
    int          status;
} chat_error_row_t;

static const chat_error_row_t  chat_error_rows[CHAT_E_COUNT] = {
    [CHAT_OK] = { "ok", 200 },
#define X(name, word, status)  [CHAT_E_ ## name] = { word, status },
    CHAT_ERRORS(X)
#undef X
};

static const chat_error_row_t *chat_error_row(chat_error_e e);


const char *
chat_error_word(chat_error_e e)
{
    return chat_error_row(e)->word;
}


int
chat_error_status(chat_error_e e)
{
    return chat_error_row(e)->status;
}


/* A switch, not a column of CHAT_ERRORS: titles are for people and may change,
 * chat_proto.h is the wire contract. There is no default, so that the compiler
 * reports an error that has no title. */

const char *
chat_error_title(chat_error_e e)
{
    switch (e) {
    case CHAT_OK:
        return "All is well";
    case CHAT_E_BAD_REQUEST:
        return "The request is not what this route takes";
    case CHAT_E_BAD_FRAME:
        return "The frame is not an object with a type";
    case CHAT_E_UNKNOWN_TYPE:
        return "The type of the frame is not known";
    case CHAT_E_BAD_FIELD:
        return "A field is missing or out of its limits";
    case CHAT_E_UNAUTHORIZED:
        return "A valid access token is needed";
    case CHAT_E_TOKEN_EXPIRED:
        return "The access token has expired";
    case CHAT_E_DEVICE_REVOKED:
        return "The device was revoked";
    case CHAT_E_WRONG_CODE:
        return "The code is wrong or no longer valid";
    case CHAT_E_REFRESH_REUSED:
        return "The refresh token was used before";
    case CHAT_E_FORBIDDEN:
        return "This is not allowed";
    case CHAT_E_NOT_MEMBER:
        return "Only members may do this";
    case CHAT_E_BLOCKED:
        return "One of the two users has blocked the other";
    case CHAT_E_PIN_REQUIRED:
        return "The PIN is missing or wrong";
    case CHAT_E_SUSPENDED:
        return "The account is suspended";
    case CHAT_E_NOT_FOUND:
        return "There is no such thing";
    case CHAT_E_METHOD_NOT_ALLOWED:
        return "The method is not allowed here";
    case CHAT_E_MESSAGE_ID_REUSED:
        return "The messageId stands for another message";
    case CHAT_E_TOO_MANY_DEVICES:
        return "The user has as many devices as are allowed";
    case CHAT_E_IDEMPOTENCY_KEY_REUSED:
        return "The Idempotency-Key stands for another request";
    case CHAT_E_TOO_LARGE:
        return "The body is too large";
    case CHAT_E_UNSUPPORTED_MEDIA_TYPE:
        return "The body must be application/json";
    case CHAT_E_RATE_LIMITED:
        return "Too many requests";
    case CHAT_E_INTERNAL:
    case CHAT_E_COUNT:
        break;
    case CHAT_E_UNAVAILABLE:
        return "The service cannot do this at the moment";
    }

    return "Something went wrong on our side";
}


static const chat_error_row_t *
chat_error_row(chat_error_e e)
{
    if ((unsigned) e >= CHAT_E_COUNT) {
        e = CHAT_E_INTERNAL;
    }

    return &chat_error_rows[e];
}
