/*
 * chat_error.h: the contract's error codes as an enum.
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

/* The title member of problem+json: a short sentence that is the same for every
 * occurrence of the error (RFC 9457, section 3.1.3). */
const char *chat_error_title(chat_error_e e);

#endif
