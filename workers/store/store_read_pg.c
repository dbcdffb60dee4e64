/*
 * store_read_pg.c: a reader over the accounts' connection.
 *
 * Called from store_open.c; hands to store_read_pg_*.c. The chats are in the
 * same database as the accounts, so a request needs one connection for both.
 */

#include <stdlib.h>

#include "store_read_ops.h"
#include "worker.h"

static void store_read_pg_free(store_reader_t *reader);
static store_e store_read_pg_connect(store_reader_t *reader);
static void store_read_pg_rows_free(void *rows);

const store_reader_ops_t  store_read_pg_ops = {
    .free = store_read_pg_free,
    .connect = store_read_pg_connect,
    .chats = store_read_pg_chats,
    .chat = store_read_pg_chat,
    .page = store_read_pg_page,
    .page_entry = store_read_pg_page_entry,
    .members = store_read_pg_members,
    .member = store_read_pg_member,
    .receipts = store_read_pg_receipts,
    .receipt = store_read_pg_receipt,
    .start_at_now = store_read_pg_start_at_now,
    .rows_free = store_read_pg_rows_free,
    .behind = store_read_pg_behind,
    .behind_many = store_read_pg_behind_many,
    .requested = store_read_pg_requested,
    .entries = store_read_pg_entries,
    .shared = store_read_pg_shared,
    .shards = store_read_pg_shards
};


store_reader_t *
store_read_pg_open(const worker_conf_t *conf, store_pg_t *accounts)
{
    store_reader_t  *reader;

    reader = worker_calloc(1, sizeof(*reader));
    reader->ops = &store_read_pg_ops;
    reader->accounts = accounts;

    return reader;
}


static void
store_read_pg_free(store_reader_t *reader)
{
    free(reader);
}


/* The owner of the accounts' connection connects it. */

static store_e
store_read_pg_connect(store_reader_t *reader)
{
    return reader->accounts->conn != NULL ? STORE_OK : STORE_UNAVAILABLE;
}


static void
store_read_pg_rows_free(void *rows)
{
    PQclear(rows);
}
