/*
 * chat_error.h: the error words of the contract as an enum.
 */

#ifndef CHAT_ERROR_H
#define CHAT_ERROR_H

#include "chat_proto.h"

typedef enum {
    CHAT_OK = 0,
#define X(name, word, status)  CHAT_E_ ## name,
    CHAT_ERRORS(X)
#undef X
    CHAT_E_COUNT
} chat_error_e;

const char *chat_error_word(chat_error_e e);    /* "not_found" */
int chat_error_status(chat_error_e e);          /* 404 */

/* The title of its problem+json: a short sentence, the same for all of a
 * kind (RFC 9457, section 3.1.4). */
const char *chat_error_title(chat_error_e e);

#endif
