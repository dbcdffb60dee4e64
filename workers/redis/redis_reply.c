/*
 * redis_reply.c: what a reply holds.
 *
 * Called from the roles and chatctl. Hands to hiredis. Nothing is copied. A
 * reply of an unexpected form gives absent values, never a crash.
 */

#include "redis_private.h"


void
redis_reply_free(redis_reply_t *reply)
{
    freeReplyObject(reply);
}


const char *
redis_reply_error(const redis_reply_t *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ERROR ? reply->str
                                                             : NULL;
}


int
redis_reply_is_array(const redis_reply_t *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ARRAY;
}


int
redis_reply_str(const redis_reply_t *reply, chat_str_t *str_r)
{
    str_r->data = redis_reply_text(reply);
    str_r->len = str_r->data != NULL ? reply->len : 0;

    return str_r->data != NULL ? 0 : -1;
}


const char *
redis_reply_text(const redis_reply_t *reply)
{
    if (reply == NULL || (reply->type != REDIS_REPLY_STRING
                          && reply->type != REDIS_REPLY_STATUS))
    {
        return NULL;
    }

    return reply->str;
}


int
redis_reply_integer(const redis_reply_t *reply, int64_t *n_r)
{
    if (reply == NULL || reply->type != REDIS_REPLY_INTEGER) {
        *n_r = 0;
        return -1;
    }

    *n_r = reply->integer;

    return 0;
}


size_t
redis_reply_count(const redis_reply_t *reply)
{
    return redis_reply_is_array(reply) ? reply->elements : 0;
}


const redis_reply_t *
redis_reply_at(const redis_reply_t *reply, size_t i)
{
    return i < redis_reply_count(reply) ? reply->element[i] : NULL;
}
