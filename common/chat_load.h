/*
 * chat_load.h: JSON text into jansson's tree, by our rules.
 *
 * Called from chat_frame.c; hands to jansson. It tells "this is no JSON of
 * ours" from "one field cannot be", and in the second case gives a tree all
 * the same, so that the error can name the message it answers.
 */

#ifndef CHAT_LOAD_H
#define CHAT_LOAD_H

#include <jansson.h>

#include "chat_error.h"

#define CHAT_WHY_MAX  128

/*   CHAT_OK             *root_r is the tree, an object or an array
 *   CHAT_E_BAD_FRAME    not JSON, duplicate keys, nesting above
 *                       CHAT_JSON_DEPTH_MAX
 *   CHAT_E_BAD_FIELD    somewhere is NUL, a lone surrogate or a number that
 *                       no 64 bits hold; *root_r is the tree with U+FFFD and
 *                       other numbers in their places
 *   CHAT_E_INTERNAL     out of memory
 *
 * *root_r is new, and NULL in the other cases; why (CHAT_WHY_MAX bytes) gets
 * a sentence that does not quote the text. */
chat_error_e chat_load(const char *text, size_t len, json_t **root_r,
    char *why);

#endif
