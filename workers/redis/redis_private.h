/*
 * redis_private.h: what the redis_*.c share.
 */

#ifndef REDIS_PRIVATE_H
#define REDIS_PRIVATE_H

#include <stdarg.h>

#include <hiredis/hiredis.h>

#include "redis.h"

struct redis_s {
    redisContext  *context;
};

typedef struct {
    char  user[128];            /* "" when absent                           */
    char  pass[512];
    char  host[256];            /* or the socket's path                     */
    int   port;                 /* 0: host is a path                        */
    int   db;
} redis_address_t;

/* 0, or -1 when `url` is not an address. */
int redis_address_parse(const char *url, redis_address_t *a_r);

void redis_appendv(redis_t *r, const char *key, const char *fmt,
    va_list args);

#endif
