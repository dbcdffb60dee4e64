/*
 * store_user.c: see store_user.h.
 */

#include "store_chat_pg.h"
#include "store_user.h"

static const store_stmt_t  store_account_exist_stmt = {
    "account_exist",
    "SELECT count(*) FROM unnest($1::int8[]) i (id)"
    " JOIN users u ON u.id = i.id WHERE u.erased_at IS NULL",
    1, NULL
};


store_e
store_account_exist(store_chat_t *st, const uint64_t *users, size_t n)
{
    size_t         i;
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    a = store_chat_args(st);
    store_args_array(a, STORE_INT8);

    for (i = 0; i < n; i++) {
        store_args_i64(a, users[i]);
    }

    rc = store_chat_exec(st, &store_account_exist_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    return store_row_i64(res, 0, 0) == (int64_t) n ? STORE_OK : STORE_NOT_FOUND;
}
