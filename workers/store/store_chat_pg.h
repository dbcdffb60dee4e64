/*
 * store_chat_pg.h: store_chat.h as PostgreSQL keeps it.
 *
 * Included by store_chat*.c and store_user.c, and by nobody else.
 */

#ifndef STORE_CHAT_PG_H
#define STORE_CHAT_PG_H

#include "store_array.h"
#include "store_chat.h"
#include "store_pg.h"
#include "store_read.h"
#include "store_row.h"

struct store_chat_s {
    store_pg_t     pg;
    store_args_t   args;
    PGresult      *held;        /* what the last call's answer borrows from */
    store_chat_views_t  views;  /* the same                                 */
    int            open;        /* a transaction is                         */
};

/* Opens a transaction when none is. */
store_e store_chat_begin(store_chat_t *st);

/* Lets go of what the last call's answer was borrowed from. */
void store_chat_forget(store_chat_t *st);

/* Starts a statement's parameters, after what was held was let go. */
store_args_t *store_chat_args(store_chat_t *st);

/* Executes inside the transaction, which it opens if need be. The result is
 * held: borrowed until the next call. */
store_e store_chat_exec(store_chat_t *st, const store_stmt_t *stmt,
    PGresult **res_r);

/* The same without opening one: the statement is its own transaction, or part
 * of the one that is open. */
store_e store_chat_exec_alone(store_chat_t *st, const store_stmt_t *stmt,
    PGresult **res_r);

#endif
