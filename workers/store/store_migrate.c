/*
 * store_migrate.c: see store_migrate.h.
 *
 * Called from ctl_migrate.c; hands to store_pg.h.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_migrate.h"
#include "store_row.h"
#include "worker.h"

/* "CHATmigr"; the locks of the shards have two numbers */
#define STORE_MIGRATE_LOCK  "4848196829733021554"

static store_e store_migrate_run(store_pg_t *pg, const store_migration_t *m,
    const char *sql);
static store_e store_migrate_lock(store_pg_t *pg, void (*waiting)(void));

static const store_stmt_t  store_migrate_try = {
    "migrate_try",
    "SELECT pg_try_advisory_lock(" STORE_MIGRATE_LOCK ")", 0
};

static const store_stmt_t  store_migrate_list = {
    "migrate_list",
    "SELECT version, name, checksum FROM schema_migrations ORDER BY version",
    0
};

static const store_stmt_t  store_migrate_insert = {
    "migrate_insert",
    "INSERT INTO schema_migrations (version, name, checksum) "
    "VALUES ($1::int, $2, $3)",
    3
};


store_e
store_migrate_open(store_pg_t *pg, void (*waiting)(void))
{
    store_e  rc;

    /* A migration may take long; the server's errors are about its SQL. */
    pg->limit_ms = -1;
    pg->verbose = 1;

    rc = store_pg_connect(pg);
    if (rc != STORE_OK) {
        return rc;
    }

    rc = store_pg_command(pg, "SET statement_timeout = 0");
    if (rc != STORE_OK) {
        return rc;
    }

    rc = store_migrate_lock(pg, waiting);
    if (rc != STORE_OK) {
        return rc;
    }

    return store_pg_command(pg,
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        " version int PRIMARY KEY,"
        " name text NOT NULL,"
        " checksum text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())");
}


static store_e
store_migrate_lock(store_pg_t *pg, void (*waiting)(void))
{
    int        got;
    store_e    rc;
    PGresult  *res;

    (void) store_pg_args(pg);

    rc = store_pg_query(pg, &store_migrate_try, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    got = store_row_bool(res, 0, 0);
    PQclear(res);

    if (got) {
        return STORE_OK;
    }

    waiting();

    return store_pg_command(pg,
                            "SELECT pg_advisory_lock(" STORE_MIGRATE_LOCK ")");
}


store_e
store_migrate_applied(store_pg_t *pg, store_migration_t **list_r, size_t *n_r)
{
    int                 i, n;
    store_e             rc;
    PGresult           *res;
    store_migration_t  *m;

    (void) store_pg_args(pg);

    rc = store_pg_query(pg, &store_migrate_list, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    n = PQntuples(res);
    *list_r = worker_calloc((size_t) n, sizeof(**list_r));
    *n_r = (size_t) n;

    for (i = 0; i < n; i++) {
        m = &(*list_r)[i];
        m->version = store_row_i32(res, i, 0);
        snprintf(m->name, sizeof(m->name), "%s", PQgetvalue(res, i, 1));
        snprintf(m->checksum, sizeof(m->checksum), "%s",
                 PQgetvalue(res, i, 2));
    }

    PQclear(res);

    return STORE_OK;
}


store_e
store_migrate_apply(store_pg_t *pg, const store_migration_t *m,
    const char *sql)
{
    store_e  rc;

    rc = store_pg_command(pg, "BEGIN");
    if (rc != STORE_OK) {
        return rc;
    }

    rc = store_migrate_run(pg, m, sql);

    if (rc == STORE_OK) {
        return store_pg_command(pg, "COMMIT");
    }

    if (pg->conn != NULL) {
        store_pg_command(pg, "ROLLBACK");
    }

    return rc;
}


static store_e
store_migrate_run(store_pg_t *pg, const store_migration_t *m, const char *sql)
{
    store_e        rc;
    store_args_t  *a;

    rc = store_pg_command(pg, sql);
    if (rc != STORE_OK) {
        return rc;
    }

    /* A file that commits itself cannot be rolled back when its row fails. */
    if (PQtransactionStatus(pg->conn) != PQTRANS_INTRANS) {
        worker_log(WORKER_ERROR, "%s ends the transaction it runs in",
                   m->name);
        return STORE_FAILED;
    }

    a = store_pg_args(pg);
    store_args_scalar_i32(a, (uint32_t) m->version);
    store_args_scalar_text(a, m->name);
    store_args_scalar_text(a, m->checksum);

    return store_pg_run(pg, &store_migrate_insert);
}
