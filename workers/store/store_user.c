/*
 * store_user.c: see store_user.h.
 */

#include "store_chat_ops.h"
#include "store_row.h"
#include "store_user.h"

static const store_stmt_t  store_account_exist_stmt = {
    "account_exist",
    "SELECT count(*) FROM unnest($1::int8[]) i (id)"
    " JOIN users u ON u.id = i.id WHERE u.erased_at IS NULL",
    1
};


store_e
store_account_exist(store_chat_t *st, const uint64_t *users, size_t n)
{
    size_t         i;
    int64_t        found;
    store_e        rc;
    store_pg_t    *pg;
    PGresult      *res;
    store_args_t  *a;

    pg = st->ops->accounts(st);

    a = store_pg_args(pg);
    store_args_array(a, STORE_INT8);

    for (i = 0; i < n; i++) {
        store_args_i64(a, users[i]);
    }

    rc = store_pg_query(pg, &store_account_exist_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    found = store_row_i64(res, 0, 0);
    PQclear(res);

    return found == (int64_t) n ? STORE_OK : STORE_NOT_FOUND;
}
