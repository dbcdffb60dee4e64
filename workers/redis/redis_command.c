/*
 * redis_command.c: pipelined commands and their replies.
 *
 * Called from the roles, chatctl and redis_streams.c. Hands to hiredis. The
 * routing key says which node a command belongs to; there is one node.
 */

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "redis_private.h"


const char *
redis_key(char key_r[REDIS_KEY_SIZE], const char *fmt, ...)
{
    int      n;
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(key_r, REDIS_KEY_SIZE, fmt, args);
    va_end(args);

    if (n < 0 || n >= REDIS_KEY_SIZE) {
        worker_die("redis key is too long: %s", fmt);
    }

    return key_r;
}


void
redis_append(redis_t *r, const char *key, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    redis_appendv(r, key, fmt, args);
    va_end(args);
}


void
redis_append_argv(redis_t *r, const char *key, int argc, const char **argv,
    const size_t *lens)
{
    assert(key != NULL);

    if (redisAppendCommandArgv(r->context, argc, argv, lens) != REDIS_OK) {
        worker_die("redis command %s: %s", argv[0], r->context->errstr);
    }
}


int
redis_flush(redis_t *r)
{
    int  done;

    do {
        if (redisBufferWrite(r->context, &done) != REDIS_OK) {
            return -1;
        }
    } while (!done);

    return 0;
}


redis_reply_t *
redis_read(redis_t *r)
{
    void  *reply;

    return redisGetReply(r->context, &reply) == REDIS_OK ? reply : NULL;
}


redis_reply_t *
redis_call(redis_t *r, const char *key, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    redis_appendv(r, key, fmt, args);
    va_end(args);

    return redis_read(r);
}


redis_reply_t *
redis_call_argv(redis_t *r, const char *key, int argc, const char **argv,
    const size_t *lens)
{
    redis_append_argv(r, key, argc, argv, lens);

    return redis_read(r);
}


void
redis_appendv(redis_t *r, const char *key, const char *fmt, va_list args)
{
    assert(key != NULL);

    if (redisvAppendCommand(r->context, fmt, args) != REDIS_OK) {
        worker_die("redis command \"%s\": %s", fmt, r->context->errstr);
    }
}
