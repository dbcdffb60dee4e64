/*
 * store_read_pg_shards.c: the owners of the shards, from their locks.
 *
 * Called from store_read.c; hands to store_pg.h.
 */

#include <stdio.h>
#include <string.h>

#include "store_read_ops.h"
#include "store_row.h"

/* 1128808788 is 0x43484154, the class of the shards' advisory locks; a lock
 * of two numbers has objsubid 2 */
static const store_stmt_t  store_shards_stmt = {
    "shards_read",
    "SELECT o.shard, o.epoch, o.since, o.worker, l.pid IS NOT NULL"
    "  FROM shard_owners o"
    "  LEFT JOIN pg_locks l ON l.locktype = 'advisory'"
    "   AND l.database = (SELECT oid FROM pg_database"
    "                      WHERE datname = current_database())"
    "   AND l.classid = 1128808788 AND l.objid = o.shard::oid"
    "   AND l.objsubid = 2 AND l.granted",
    0
};


store_e
store_read_pg_shards(store_reader_t *reader, store_shard_t list_r[CHAT_SHARDS])
{
    int             i, shard;
    store_e         rc;
    PGresult       *res;
    chat_str_t      worker;
    store_shard_t  *s;

    memset(list_r, 0, CHAT_SHARDS * sizeof(list_r[0]));

    (void) store_pg_args(reader->accounts);

    rc = store_pg_query(reader->accounts, &store_shards_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    for (i = 0; i < PQntuples(res); i++) {
        shard = store_row_i32(res, i, 0);
        if (shard < 0 || shard >= CHAT_SHARDS) {
            continue;
        }

        s = &list_r[shard];
        s->epoch = (uint64_t) store_row_i64(res, i, 1);
        s->since = store_row_ms(res, i, 2);
        s->held = store_row_bool(res, i, 4);

        worker = store_row_str(res, i, 3);
        snprintf(s->worker, sizeof(s->worker), "%.*s", (int) worker.len,
                 worker.data ? worker.data : "");
    }

    PQclear(res);

    return STORE_OK;
}
