/*
 * ctl_dead.h: one event of the dead stream, and how it is shown.
 */

#ifndef CTL_DEAD_H
#define CTL_DEAD_H

#include <hiredis/hiredis.h>

#include "chat_event.h"

/* one entry of the dead stream, borrowed from a reply */
typedef struct {
    const char  *id;                /* in message.sent.dead                 */
    chat_str_t   event;
    chat_str_t   stream;            /* where it came from                   */
    chat_str_t   origin;            /* its id there                         */
    chat_str_t   error;
    chat_str_t   failures;
    chat_str_t   at;
} ctl_dead_t;

typedef int (*ctl_dead_pt)(redisContext *c, const ctl_dead_t *d);

int ctl_dead_list(redisContext *c, const ctl_dead_t *d);
int ctl_dead_show(redisContext *c, const ctl_dead_t *d);

#endif
