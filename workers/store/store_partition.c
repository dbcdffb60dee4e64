/*
 * store_partition.c: see store_partition.h.
 *
 * Called from store_read*.c; hands to store_pg.c.
 */

#include <stdio.h>
#include <string.h>

#include "store_partition.h"
#include "store_row.h"
#include "worker.h"

/* PostgreSQL's HASH_PARTITION_SEED, and what hash_combine64() adds to the
 * hash of a key's first column */
#define STORE_PARTITION_SEED  0x7a5b22367996dcfdULL
#define STORE_PARTITION_ADD   0x49a0f4dd15e5a8e3ULL

#define STORE_PARTITION_SAMPLES  8

#define rot(x, k)  (((x) << (k)) | ((x) >> (32 - (k))))

static void store_partition_mix(uint32_t s[3]);
static uint32_t store_partition_word(const uint8_t *p);


store_e
store_partition_check(store_pg_t *pg)
{
    int       len;
    char      sql[2048];
    store_e   rc;
    uint8_t   id[16];
    unsigned  i, k;

    store_stmt_t  stmt = { "partition_check", sql, 0, NULL };
    PGresult     *res;

    pg->partitions = 0;

    /* the words of a partition's bound are those of every dump */
    len = snprintf(sql, sizeof(sql),
        "SELECT (SELECT count(*) = %d AND bool_and("
            "pg_get_expr(c.relpartbound, c.oid) = format("
            "'FOR VALUES WITH (modulus %d, remainder %%s)', "
            "substr(c.relname, 9)::int)) "
        "FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'entries'::regclass "
            "AND c.relname ~ '^entries_[0-9][0-9]$')",
        STORE_PARTITIONS, STORE_PARTITIONS);

    for (i = 0; i < STORE_PARTITION_SAMPLES; i++) {

        for (k = 0; k < sizeof(id); k++) {
            id[k] = (uint8_t) (i * 37 + k * 101);
        }

        len += snprintf(sql + len, sizeof(sql) - (size_t) len,
                        " AND satisfies_hash_partition('entries'::regclass, "
                        "%d, %u, '", STORE_PARTITIONS,
                        store_partition_hash(id));

        for (k = 0; k < sizeof(id); k++) {
            len += snprintf(sql + len, sizeof(sql) - (size_t) len, "%02x",
                            id[k]);
        }

        len += snprintf(sql + len, sizeof(sql) - (size_t) len, "'::uuid)");
    }

    rc = store_pg_exec(pg, &stmt, NULL, NULL, NULL, 1, &res);

    if (rc == STORE_OK) {
        pg->partitions = PQntuples(res) == 1 && store_row_bool(res, 0, 0);
        PQclear(res);
    }

    if (!pg->partitions && rc != STORE_AWAY) {
        worker_log(WORKER_WARN, "partitions of entries are not as expected: "
                   "pages are read from the whole table");
    }

    return rc == STORE_AWAY ? rc : STORE_OK;
}


unsigned
store_partition(const store_pg_t *pg, const uint8_t chat[16])
{
    return pg->partitions ? store_partition_hash(chat) : STORE_PARTITIONS;
}


/* Bob Jenkins' lookup3 of 16 bytes, as hash_bytes_extended() has it. */

unsigned
store_partition_hash(const uint8_t chat[16])
{
    uint32_t  s[3];
    uint64_t  hash;

    s[0] = s[1] = s[2] = 0x9e3779b9 + 16 + 3923095;

    s[0] += (uint32_t) (STORE_PARTITION_SEED >> 32);
    s[1] += (uint32_t) STORE_PARTITION_SEED;
    store_partition_mix(s);

    s[0] += store_partition_word(chat);
    s[1] += store_partition_word(chat + 4);
    s[2] += store_partition_word(chat + 8);
    store_partition_mix(s);

    s[0] += store_partition_word(chat + 12);

    s[2] ^= s[1]; s[2] -= rot(s[1], 14);
    s[0] ^= s[2]; s[0] -= rot(s[2], 11);
    s[1] ^= s[0]; s[1] -= rot(s[0], 25);
    s[2] ^= s[1]; s[2] -= rot(s[1], 16);
    s[0] ^= s[2]; s[0] -= rot(s[2], 4);
    s[1] ^= s[0]; s[1] -= rot(s[0], 14);
    s[2] ^= s[1]; s[2] -= rot(s[1], 24);

    hash = ((uint64_t) s[1] << 32 | s[2]) + STORE_PARTITION_ADD;

    return (unsigned) (hash % STORE_PARTITIONS);
}


static void
store_partition_mix(uint32_t s[3])
{
    s[0] -= s[2]; s[0] ^= rot(s[2], 4);  s[2] += s[1];
    s[1] -= s[0]; s[1] ^= rot(s[0], 6);  s[0] += s[2];
    s[2] -= s[1]; s[2] ^= rot(s[1], 8);  s[1] += s[0];
    s[0] -= s[2]; s[0] ^= rot(s[2], 16); s[2] += s[1];
    s[1] -= s[0]; s[1] ^= rot(s[0], 19); s[0] += s[2];
    s[2] -= s[1]; s[2] ^= rot(s[1], 4);  s[1] += s[0];
}


/* as a server of our byte order would read it; another order is found out by
 * store_partition_check() */

static uint32_t
store_partition_word(const uint8_t *p)
{
    uint32_t  n;

    memcpy(&n, p, sizeof(n));

    return n;
}
