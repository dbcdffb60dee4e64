/*
 * store_partition.h: which partition of `entries` a chat is in.
 *
 * Called from store_read*.c. A statement over `entries` opens and locks all
 * 16 partitions at every execution, however many the plan leaves out; one that
 * names the chat's own opens one. The number is made as PostgreSQL makes it,
 * which no server may change under its data; whether ours agrees, and whether
 * the partitions are those of sql/001_schema.sql, is asked on each connection.
 */

#ifndef STORE_PARTITION_H
#define STORE_PARTITION_H

#include <stdint.h>

#include "store_pg.h"

#define STORE_PARTITIONS  16

/* One statement for each partition and, behind them, one for the whole. */
#define STORE_PARTITIONED(X)                                                  \
    X("_00"), X("_01"), X("_02"), X("_03"), X("_04"), X("_05"), X("_06"),     \
    X("_07"), X("_08"), X("_09"), X("_10"), X("_11"), X("_12"), X("_13"),     \
    X("_14"), X("_15"), X("")

/* Once on every new connection: sets pg->partitions. */
store_e store_partition_check(store_pg_t *pg);

/* The place of the chat's statement in STORE_PARTITIONED(). */
unsigned store_partition(const store_pg_t *pg, const uint8_t chat[16]);

/* The number of the partition, 0 to 15. */
unsigned store_partition_hash(const uint8_t chat[16]);

#endif
