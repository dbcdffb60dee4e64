/*
 * store_migrate.c: see store_migrate.h.
 *
 * Called from ctl_migrate.c; hands to store_pg.c.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_migrate.h"
#include "store_row.h"
#include "worker.h"

/* "CHATmigr": apart from the two-number locks of the shards */
#define STORE_MIGRATE_LOCK  "4848196829733021554"

static store_e store_migrate_run(store_pg_t *pg, const store_migration_t *m,
    const char *sql);
static store_e store_migrate_lock(store_pg_t *pg, void (*waiting)(void));

static const store_stmt_t  store_migrate_try = {
    "migrate_try",
    "SELECT pg_try_advisory_lock(" STORE_MIGRATE_LOCK ")", 0, NULL
};

static const store_stmt_t  store_migrate_list = {
    "migrate_list",
    "SELECT version, name, checksum FROM schema_migrations ORDER BY version",
    0, NULL
};

static const store_stmt_t  store_migrate_note = {
    "migrate_note",
    "INSERT INTO schema_migrations (version, name, checksum) "
    "VALUES ($1::int, $2, $3)",
    3, NULL
};


store_e
store_migrate_open(store_pg_t *pg, void (*waiting)(void))
{
    store_e  rc;

    /* a migration may take long, and says what is wrong with its SQL */
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

    rc = store_pg_exec(pg, &store_migrate_try, NULL, NULL, NULL, 1, &res);
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

    rc = store_pg_exec(pg, &store_migrate_list, NULL, NULL, NULL, 0, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    n = PQntuples(res);
    *list_r = worker_calloc((size_t) n, sizeof(**list_r));
    *n_r = (size_t) n;

    for (i = 0; i < n; i++) {
        m = &(*list_r)[i];
        m->version = atoi(PQgetvalue(res, i, 0));
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
    char         version[16];
    store_e      rc;
    PGresult    *res;
    const char  *params[3];

    rc = store_pg_command(pg, sql);
    if (rc != STORE_OK) {
        return rc;
    }

    /* a file that commits by itself could not be undone when its note fails */
    if (PQtransactionStatus(pg->conn) != PQTRANS_INTRANS) {
        worker_log(WORKER_ERROR, "%s ends the transaction it runs in",
                   m->name);
        return STORE_FAILED;
    }

    snprintf(version, sizeof(version), "%d", m->version);
    params[0] = version;
    params[1] = m->name;
    params[2] = m->checksum;

    rc = store_pg_exec(pg, &store_migrate_note, params, NULL, NULL, 0, &res);
    if (rc == STORE_OK) {
        PQclear(res);
    }

    return rc;
}
