/*
 * load_setup.c: users, devices, chats and history, by SQL.
 *
 * Called from chatload.c for `chatload setup`; calls libpq. The rows have
 * computed ids (load_names.c), so that later runs find them without a list,
 * and inserting them again changes nothing. Only for a stack that is used for
 * benchmarks alone, because it writes without the workers.
 *
 *     --setup-users N               users and devices, in pairs of chats
 *     --groups G --members M        groups of M, users from --first on
 *     --archives A --depth D        chats of two with D entries each
 *     --forget                      every device has received everything
 *     --behind                      readers of archives have received nothing
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "chat_id.h"
#include "load_setup.h"

#define LOAD_ROWS  2000         /* chats per statement */

static int load_sql(PGconn *pg, const char *sql, const char *p1,
    const char *p2, const char *p3);
static int load_setup_users(PGconn *pg, const load_opt_t *opt);
static int load_setup_pairs(PGconn *pg, const load_opt_t *opt);
static int load_setup_groups(PGconn *pg, const load_opt_t *opt);
static int load_setup_archives(PGconn *pg, const load_opt_t *opt);
static int load_setup_marks(PGconn *pg, const load_opt_t *opt);


int
load_setup(const load_opt_t *opt)
{
    int      rc;
    PGconn  *pg;

    pg = PQconnectdb(opt->pg);
    if (PQstatus(pg) != CONNECTION_OK) {
        fprintf(stderr, "chatload: %s", PQerrorMessage(pg));
        PQfinish(pg);
        return -1;
    }
    rc = load_sql(pg, "SET synchronous_commit = off", NULL, NULL, NULL) != 0
         || load_setup_users(pg, opt) != 0
         || load_setup_pairs(pg, opt) != 0
         || (opt->groups > 0 && opt->members > 0
             && load_setup_groups(pg, opt) != 0)
         || load_setup_archives(pg, opt) != 0
         || load_setup_marks(pg, opt) != 0
         || ((opt->setup_users > 0 || opt->archives > 0)
             && !opt->forget && !opt->behind
             && load_sql(pg, "ANALYZE", NULL, NULL, NULL) != 0) ? -1 : 0;
    PQfinish(pg);
    return rc;
}


static int
load_sql(PGconn *pg, const char *sql, const char *p1, const char *p2,
    const char *p3)
{
    int          n;
    PGresult    *res;
    const char  *params[] = { p1, p2, p3 };

    n = p1 == NULL ? 0 : p2 == NULL ? 1 : p3 == NULL ? 2 : 3;
    res = PQexecParams(pg, sql, n, NULL, params, NULL, NULL, 0);
    if (PQresultStatus(res) != PGRES_COMMAND_OK
        && PQresultStatus(res) != PGRES_TUPLES_OK)
    {
        fprintf(stderr, "chatload: %s", PQerrorMessage(pg));
        PQclear(res);
        return -1;
    }
    PQclear(res);
    return 0;
}


static int
load_setup_users(PGconn *pg, const load_opt_t *opt)
{
    char  lo[32], hi[32];

    if (opt->setup_users == 0) {
        return 0;
    }
    snprintf(lo, sizeof(lo), "%llu", (unsigned long long)
             load_user_id((uint32_t) opt->first));
    snprintf(hi, sizeof(hi), "%llu", (unsigned long long)
             load_user_id((uint32_t) (opt->first + opt->setup_users - 1)));
    return load_sql(pg, "INSERT INTO users (id, phone_number, username) "
                    "SELECT i, '+999' || i, 'load ' || i "
                    "FROM generate_series($1::bigint, $2::bigint) i "
                    "ON CONFLICT DO NOTHING", lo, hi, NULL) != 0
           || load_sql(pg, "INSERT INTO devices (id, user_id, name, platform)"
                       " SELECT i, i, 'load', 'test' "
                       "FROM generate_series($1::bigint, $2::bigint) i "
                       "ON CONFLICT DO NOTHING", lo, hi, NULL) != 0 ? -1 : 0;
}


/* Arrays "{a,b,...}" of chat ids and first users, for unnest(). */
static int
load_setup_pairs(PGconn *pg, const load_opt_t *opt)
{
    int        i, n, rc;
    char      *ids, *users, *d, *u;

    ids = malloc(LOAD_ROWS * (CHAT_ID_TEXT + 1) + 3);
    users = malloc(LOAD_ROWS * 21 + 3);
    rc = ids == NULL || users == NULL ? -1 : 0;
    for (i = 0; i + 1 < opt->setup_users && rc == 0; ) {
        d = ids;
        u = users;
        for (n = 0; n < LOAD_ROWS && i + 1 < opt->setup_users; n++, i += 2) {
            *d++ = n ? ',' : '{';
            load_chat_direct((uint32_t) (opt->first + i),
                             (uint32_t) (opt->first + i + 1), d);
            d += CHAT_ID_TEXT;
            u += sprintf(u, "%c%llu", n ? ',' : '{', (unsigned long long)
                         load_user_id((uint32_t) (opt->first + i)));
        }
        strcpy(d, "}");
        strcpy(u, "}");
        rc = load_sql(pg, "INSERT INTO chats (id, type, created_by) "
                      "SELECT c, 1, u "
                      "FROM unnest($1::uuid[], $2::bigint[]) t (c, u) "
                      "ON CONFLICT DO NOTHING", ids, users, NULL) != 0
             || load_sql(pg, "INSERT INTO chat_members "
                         "(chat_id, user_id, role, joined_seq) "
                         "SELECT c, u + k, 3, 1 "
                         "FROM unnest($1::uuid[], $2::bigint[]) t (c, u), "
                         "generate_series(0, 1) k ON CONFLICT DO NOTHING",
                         ids, users, NULL) != 0 ? -1 : 0;
    }
    free(ids);
    free(users);
    return rc;
}


static int
load_setup_groups(PGconn *pg, const load_opt_t *opt)
{
    int   g, rc;
    char  id[CHAT_ID_TEXT + 1], lo[32], hi[32];

    rc = 0;
    for (g = 0; g < opt->groups && rc == 0; g++) {
        load_chat_group((uint32_t) opt->members, (uint32_t) g, id);
        snprintf(lo, sizeof(lo), "%llu", (unsigned long long) load_user_id(
                 (uint32_t) (opt->first + g * opt->members)));
        snprintf(hi, sizeof(hi), "%llu", (unsigned long long) load_user_id(
                 (uint32_t) (opt->first + (g + 1) * opt->members - 1)));
        rc = load_sql(pg, "INSERT INTO chats (id, type, title, created_by) "
                      "VALUES ($1, 2, 'load', $2::bigint) "
                      "ON CONFLICT DO NOTHING", id, lo, NULL) != 0
             || load_sql(pg, "INSERT INTO chat_members "
                         "(chat_id, user_id, role, joined_seq) "
                         "SELECT $1, i, CASE WHEN i = $2::bigint THEN 1 "
                         "ELSE 3 END, 1 "
                         "FROM generate_series($2::bigint, $3::bigint) i "
                         "ON CONFLICT DO NOTHING", id, lo, hi) != 0 ? -1 : 0;
    }
    return rc;
}


/* Archive a belongs to users 2a and 2a + 1. Inserts chat by chat, so that each
 * partition and each index grows at its end. */
static int
load_setup_archives(PGconn *pg, const load_opt_t *opt)
{
    int   a, rc;
    char  id[CHAT_ID_TEXT + 1], user[32], depth[32];

    rc = 0;
    snprintf(depth, sizeof(depth), "%d", opt->depth);
    for (a = 0; a < opt->archives && rc == 0; a++) {
        load_chat_archive((uint32_t) a, id);
        snprintf(user, sizeof(user), "%llu", (unsigned long long)
                 load_user_id((uint32_t) a * 2));
        rc = load_sql(pg, "BEGIN", NULL, NULL, NULL) != 0
             || load_sql(pg, "INSERT INTO chats "
                         "(id, type, title, created_by, created_at) "
                         "VALUES ($1, 2, 'archive', $2::bigint, "
                         "'2026-01-01') ON CONFLICT DO NOTHING",
                         id, user, NULL) != 0
             || load_sql(pg, "INSERT INTO chat_members "
                         "(chat_id, user_id, role, joined_seq) "
                         "SELECT $1, $2::bigint + k, 1 + 2 * k, 1 "
                         "FROM generate_series(0, 1) k "
                         "ON CONFLICT DO NOTHING", id, user, NULL) != 0
             || load_sql(pg, "INSERT INTO entries (chat_id, seq, kind, "
                         "sender_id, sender_device, created_at, message_id, "
                         "content) SELECT $1, s, 1, $2::bigint + s % 2, "
                         "$2::bigint + s % 2, timestamptz '2026-01-01' + "
                         "s * interval '1 minute', 'archive-' || s, "
                         "rpad('Entry ' || s, 100, '.') "
                         "FROM chats, generate_series(last_seq + 1, "
                         "$3::bigint) s WHERE id = $1",
                         id, user, depth) != 0
             || load_sql(pg, "UPDATE chats SET last_seq = $2::bigint, "
                         "last_message_time = timestamptz '2026-01-01' "
                         "+ $2::bigint * interval '1 minute' "
                         "WHERE id = $1 AND last_seq < $2::bigint",
                         id, depth, NULL) != 0
             || load_sql(pg, "COMMIT", NULL, NULL, NULL) != 0 ? -1 : 0;
        if (!opt->quiet && a % 100 == 99) {
            fprintf(stderr, "  %d of %d archives\n", a + 1, opt->archives);
        }
    }
    return rc;
}


/* A run without receipts leaves all entries undelivered, and the next run
 * would first have to catch up. */
static int
load_setup_marks(PGconn *pg, const load_opt_t *opt)
{
    int    a, rc;
    char   id[CHAT_ID_TEXT + 1], base[32];

    rc = 0;
    snprintf(base, sizeof(base), "%llu",
             (unsigned long long) LOAD_USER_BASE);
    if (opt->forget) {
        rc = load_sql(pg, "INSERT INTO device_marks "
                      "SELECT m.user_id, m.chat_id, c.last_seq "
                      "FROM chat_members m JOIN chats c ON c.id = m.chat_id "
                      "WHERE m.user_id >= $1::bigint AND c.last_seq > 0 "
                      "ON CONFLICT (device_id, chat_id) DO UPDATE "
                      "SET delivered_seq = excluded.delivered_seq "
                      "WHERE device_marks.delivered_seq "
                      "< excluded.delivered_seq", base, NULL, NULL);
    }
    for (a = 0; opt->behind && a < opt->archives && rc == 0; a++) {
        load_chat_archive((uint32_t) a, id);
        rc = load_sql(pg, "DELETE FROM device_marks WHERE chat_id = $1", id,
                      NULL, NULL) != 0
             || load_sql(pg, "UPDATE chat_members SET delivered_seq = 0, "
                         "read_seq = 0 WHERE chat_id = $1", id, NULL, NULL)
                != 0 ? -1 : 0;
    }
    return rc;
}
