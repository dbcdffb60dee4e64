/*
 * chat_field.h: checks of single fields, between chat_frame.c and
 * chat_field.c.
 */

#ifndef CHAT_FIELD_H
#define CHAT_FIELD_H

#include "chat_frame.h"

/* the fields of a frame type; the extras are optional */
#define CHAT_HAS_CHAT     0x01
#define CHAT_HAS_ID       0x02
#define CHAT_HAS_SEQ      0x04
#define CHAT_HAS_CONTENT  0x08
#define CHAT_HAS_EXTRAS   0x10
#define CHAT_HAS_EMOJI    0x20
#define CHAT_HAS_ACTIVE   0x40
#define CHAT_HAS_USERS    0x80

#define CHAT_HAS_TARGET   (CHAT_HAS_CHAT | CHAT_HAS_ID | CHAT_HAS_SEQ)
#define CHAT_HAS_MESSAGE  (CHAT_HAS_ID | CHAT_HAS_CONTENT | CHAT_HAS_EXTRAS)

/* Checks the fields named by `has` in frame->root and fills the frame. The
 * ids that errors name are set already. Returns frame->error. */
chat_error_e chat_frame_fields(chat_frame_t *frame, unsigned has);

/* Sets frame->error and "<key> <why>"; -1, for the caller to return. */
int chat_refuse(chat_frame_t *frame, chat_error_e error, const char *key,
    const char *why);

/* 1..max bytes from low to '~' */
int chat_field_printable(const char *s, size_t len, size_t max, char low);

#endif
