/*
 * ctl_migrate.c: chatctl migrate: applies the files of sql/ to the database.
 *
 * Called from ctl_main.c; hands to store_migrate.c. Forward only. All
 * files are compared before any is applied, so that a release that does not
 * match the database changes nothing.
 */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "ctl.h"
#include "store_migrate.h"

#define CTL_SQL_DIR   "/usr/share/chat/sql"
#define CTL_SQL_MAX   (16 * 1024 * 1024)

typedef struct {
    store_migration_t   m;
    char               *sql;
} ctl_migration_t;

typedef struct {
    const char       *dir;
    ctl_migration_t  *list;         /* by version                           */
    size_t            n;
} ctl_migrations_t;

static int ctl_migrate(const worker_conf_t *conf, int argc, char **argv);
static int ctl_migrate_read(ctl_migrations_t *files);
static int ctl_migrate_add(ctl_migrations_t *files, const char *name);
static int ctl_migrate_version(const char *name);
static void ctl_migrate_checksum(const char *sql, size_t len, char *dst);
static int ctl_migrate_order(const void *a, const void *b);
static int ctl_migrate_check_files(const ctl_migrations_t *files);
static int ctl_migrate_run(store_pg_t *pg, const ctl_migrations_t *files);
static int ctl_migrate_check(const ctl_migrations_t *files,
    const store_migration_t *applied, size_t n);
static int ctl_migrate_failed(const store_pg_t *pg, store_e rc,
    const char *what);
static void ctl_migrate_waiting(void);

const ctl_command_t  ctl_command_migrate = {
    "migrate", "[[--dir] DIR]",
    "Applies the files NNN_*.sql of DIR (default: sql, else " CTL_SQL_DIR ")\n"
    "that are not applied yet, in order, each in a transaction. Fails and\n"
    "changes nothing when an applied file has changed or is missing, or when\n"
    "a number is missing or used twice. Safe to run concurrently.\n",
    ctl_migrate
};


static int
ctl_migrate(const worker_conf_t *conf, int argc, char **argv)
{
    int               c, rc;
    size_t            i;
    store_pg_t        pg;
    ctl_migrations_t  files;

    static const struct option  options[] = {
        { "dir", required_argument, NULL, 'd' },
        { NULL,  0,                 NULL, 0 }
    };

    memset(&files, 0, sizeof(files));
    files.dir = access("sql", F_OK) == 0 ? "sql" : CTL_SQL_DIR;

    while ((c = getopt_long(argc, argv, "d:", options, NULL)) != -1) {
        if (c != 'd') {
            return -1;
        }
        files.dir = optarg;
    }

    if (optind < argc) {
        files.dir = argv[optind++];
    }

    if (optind != argc) {
        return -1;
    }

    memset(&pg, 0, sizeof(pg));
    pg.dsn = conf->pg;
    pg.name = "chatctl";

    rc = ctl_migrate_read(&files);
    if (rc == 0) {
        rc = ctl_migrate_run(&pg, &files);
    }

    store_pg_free(&pg);

    for (i = 0; i < files.n; i++) {
        free(files.list[i].sql);
    }
    free(files.list);

    return rc;
}


static int
ctl_migrate_read(ctl_migrations_t *files)
{
    int             rc;
    DIR            *dir;
    struct dirent  *de;

    dir = opendir(files->dir);
    if (dir == NULL) {
        return ctl_fail("%s: %s", files->dir, strerror(errno));
    }

    rc = 0;

    while (rc == 0 && (de = readdir(dir)) != NULL) {
        if (ctl_migrate_version(de->d_name) > 0) {
            rc = ctl_migrate_add(files, de->d_name);
        }
    }

    closedir(dir);

    return rc ? rc : ctl_migrate_check_files(files);
}


static int
ctl_migrate_add(ctl_migrations_t *files, const char *name)
{
    char              path[4096];
    size_t            len;
    ctl_migration_t  *f;

    files->list = worker_realloc(files->list, (files->n + 1) * sizeof(*f));
    f = &files->list[files->n];
    memset(f, 0, sizeof(*f));

    if (strlen(name) >= sizeof(f->m.name)
        || snprintf(path, sizeof(path), "%s/%s", files->dir, name)
           >= (int) sizeof(path))
    {
        return ctl_fail("%s: the name is too long", name);
    }

    f->sql = ctl_file_read(path, CTL_SQL_MAX, &len);
    if (f->sql == NULL) {
        return ctl_fail("%s: %s", path, strerror(errno));
    }

    files->n++;

    f->m.version = ctl_migrate_version(name);
    strcpy(f->m.name, name);
    ctl_migrate_checksum(f->sql, len, f->m.checksum);

    return 0;
}


/* NNN of NNN_*.sql, 0 for other names. */

static int
ctl_migrate_version(const char *name)
{
    size_t  len;

    len = strlen(name);

    if (len < 8 || !isdigit((unsigned char) name[0])
        || !isdigit((unsigned char) name[1])
        || !isdigit((unsigned char) name[2]) || name[3] != '_'
        || strcmp(name + len - 4, ".sql") != 0)
    {
        return 0;
    }

    return atoi(name);
}


static void
ctl_migrate_checksum(const char *sql, size_t len, char *dst)
{
    unsigned char  hash[STORE_CHECKSUM / 2];

    crypto_generichash(hash, sizeof(hash), (const unsigned char *) sql, len,
                       NULL, 0);
    sodium_bin2hex(dst, STORE_CHECKSUM + 1, hash, sizeof(hash));
}


static int
ctl_migrate_order(const void *a, const void *b)
{
    const ctl_migration_t  *x = a, *y = b;

    return x->m.version - y->m.version;
}


static int
ctl_migrate_check_files(const ctl_migrations_t *files)
{
    size_t  i;

    if (files->n == 0) {
        return ctl_fail("%s: no file NNN_*.sql", files->dir);
    }

    qsort(files->list, files->n, sizeof(files->list[0]), ctl_migrate_order);

    for (i = 0; i < files->n; i++) {

        if (i > 0
            && files->list[i].m.version == files->list[i - 1].m.version)
        {
            return ctl_fail("%s: %s and %s have one number", files->dir,
                            files->list[i - 1].m.name, files->list[i].m.name);
        }

        if (files->list[i].m.version != (int) i + 1) {
            return ctl_fail("%s: %03d_*.sql is missing", files->dir,
                            (int) i + 1);
        }
    }

    return 0;
}


static int
ctl_migrate_run(store_pg_t *pg, const ctl_migrations_t *files)
{
    size_t              i, n;
    store_e             rc;
    store_migration_t  *applied;

    rc = store_migrate_open(pg, ctl_migrate_waiting);
    if (rc != STORE_OK) {
        return ctl_migrate_failed(pg, rc, "schema_migrations");
    }

    rc = store_migrate_applied(pg, &applied, &n);
    if (rc != STORE_OK) {
        return ctl_migrate_failed(pg, rc, "schema_migrations");
    }

    if (ctl_migrate_check(files, applied, n) != 0) {
        free(applied);
        return 1;
    }

    free(applied);

    for (i = n; i < files->n; i++) {
        rc = store_migrate_apply(pg, &files->list[i].m, files->list[i].sql);
        if (rc != STORE_OK) {
            return ctl_migrate_failed(pg, rc, files->list[i].m.name);
        }

        printf("applied %s\n", files->list[i].m.name);
    }

    printf("schema is at version %zu\n", files->n);

    return 0;
}


static int
ctl_migrate_check(const ctl_migrations_t *files,
    const store_migration_t *applied, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {

        if (applied[i].version != (int) i + 1) {
            return ctl_fail("the database has version %d but not %zu",
                            applied[i].version, i + 1);
        }

        if (i >= files->n) {
            return ctl_fail("%s was applied, but its file is missing in %s",
                            applied[i].name, files->dir);
        }

        if (strcmp(applied[i].checksum, files->list[i].m.checksum) != 0) {
            return ctl_fail("%s/%s has changed since it was applied; undo the "
                            "change and write a new file instead", files->dir,
                            files->list[i].m.name);
        }
    }

    return 0;
}


static int
ctl_migrate_failed(const store_pg_t *pg, store_e rc, const char *what)
{
    if (rc == STORE_UNAVAILABLE) {
        return ctl_fail("%s: the database cannot be reached", what);
    }

    return ctl_fail("%s: failed with sqlstate %s, nothing of it was applied",
                    what, store_pg_sqlstate(pg));
}


static void
ctl_migrate_waiting(void)
{
    fprintf(stderr, "chatctl: another migrate is running, waiting for it\n");
}
