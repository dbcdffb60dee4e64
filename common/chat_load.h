/*
 * chat_load.h: parses JSON text into a jansson tree, with stricter rules.
 *
 * Called from chat_frame.c; hands to jansson. It distinguishes invalid JSON
 * from an invalid value and returns a tree in the second case too, so that the
 * error can name the message it answers.
 */

#ifndef CHAT_LOAD_H
#define CHAT_LOAD_H

#include <jansson.h>

#include "chat_error.h"

#define CHAT_WHY_MAX  128

/*   CHAT_OK             *root_r is the tree, an object or an array
 *   CHAT_E_BAD_FRAME    not JSON, duplicate keys, nesting above
 *                       CHAT_JSON_DEPTH_MAX
 *   CHAT_E_BAD_FIELD    a NUL, a lone surrogate or a number above 64 bits;
 *                       *root_r is the tree with replacements in their
 *                       places: U+FFFD, other numbers
 *   CHAT_E_INTERNAL     out of memory
 *
 * *root_r is new, and NULL in the other cases; why (CHAT_WHY_MAX bytes) gets
 * a sentence that does not quote the text. */
chat_error_e chat_load(const char *text, size_t len, json_t **root_r,
    char *why);

#endif
