/*
 * store_migrate.h: which migrations were applied, and applying one.
 *
 * Called from ctl_migrate.c. Writes schema_migrations, which nothing else
 * touches; the SQL it runs comes from the files of sql/.
 */

#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include "store_pg.h"

#define STORE_CHECKSUM  64          /* hex digits of BLAKE2b-256 */

typedef struct {
    int    version;                 /* 1, 2, 3 ... without a gap            */
    char   name[128];               /* 001_schema.sql                       */
    char   checksum[STORE_CHECKSUM + 1];
} store_migration_t;

/* Connects, takes the lock that makes concurrent migrations wait for each
 * other, and makes the table. `waiting` is called once when the lock is held
 * by another. The lock goes with the connection. */
store_e store_migrate_open(store_pg_t *pg, void (*waiting)(void));

/* What was applied, by version; the list is new. */
store_e store_migrate_applied(store_pg_t *pg, store_migration_t **list_r,
    size_t *n_r);

/* Runs `sql` and notes it, in one transaction. STORE_FAILED when a statement
 * failed; nothing of it has happened then. */
store_e store_migrate_apply(store_pg_t *pg, const store_migration_t *m,
    const char *sql);

#endif
