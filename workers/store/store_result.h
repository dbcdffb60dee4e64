/*
 * store_result.h: how a call to a store ended.
 *
 * For callers that may see neither libpq nor SQL; store_pg.h includes it.
 */

#ifndef STORE_RESULT_H
#define STORE_RESULT_H

typedef enum {
    STORE_OK = 0,
    STORE_UNAVAILABLE,                 /* connection broken, no answer in time, disk
                                   full: it has been closed               */
    STORE_CONFLICT,                 /* serialization failure, deadlock, statement
                                   timeout: again                         */
    STORE_FAILED,                /* the statement failed: sqlstate says why */
    STORE_NOT_FOUND                  /* no such row                            */
} store_e;

#endif
