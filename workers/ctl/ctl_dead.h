/*
 * ctl_dead.h: one event of the dead-letter stream, and its output.
 */

#ifndef CTL_DEAD_H
#define CTL_DEAD_H

#include "chat_event.h"
#include "redis.h"

/* one entry of the dead-letter stream, borrowed from a reply */
typedef struct {
    const char  *id;                /* in message.sent.dead                 */
    chat_str_t   event;
    chat_str_t   stream;            /* the stream it was moved from         */
    chat_str_t   origin;            /* its id in that stream                */
    chat_str_t   error;
    chat_str_t   failures;
    chat_str_t   at;
} ctl_dead_t;

typedef int (*ctl_dead_pt)(redis_t *r, const ctl_dead_t *d);

int ctl_dead_list(redis_t *r, const ctl_dead_t *d);
int ctl_dead_show(redis_t *r, const ctl_dead_t *d);

#endif
