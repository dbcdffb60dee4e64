/*
 * store_result.h: how a call to a store ended.
 *
 * The same for every store, whatever it is made of.
 */

#ifndef STORE_RESULT_H
#define STORE_RESULT_H

typedef enum {
    STORE_OK = 0,
    STORE_UNAVAILABLE,      /* connection broken, no answer in time, disk
                               full: the connection has been closed         */
    STORE_CONFLICT,         /* somebody else was in the way: retry          */
    STORE_FAILED,           /* the request itself failed: see _error()      */
    STORE_NOT_FOUND,        /* there is no such thing                       */
    STORE_STALE             /* the chat is not as the caller believed:
                               nothing was written; load it and retry       */
} store_e;

#endif
