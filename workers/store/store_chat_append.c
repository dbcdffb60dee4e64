/*
 * store_chat_append.c: entries get their seq and are written.
 *
 * Called from message_append.c; hands to store_chat.c. One statement whatever
 * the number of entries and chats. The shard's owner is the only writer of a
 * chat, so nothing can slip between the look and the insert.
 *
 * The statement writes all or, when it finds a repeat among the items,
 * nothing, and then tells which they are: without them it is done once more.
 * Repeats are rare, and the common case needs neither sort nor join. It proves
 * what the caller believes of each chat, and fails as a whole where that is
 * wrong; so it may also stand alone, without a transaction around it, which
 * saves two round trips of three.
 */

#include <stdlib.h>
#include <string.h>

#include "store_chat_pg.h"
#include "worker.h"

/*
 * o  the items that are there already, each by its own look into the index
 *    (LATERAL and LIMIT leave no other plan);
 * u  the chats, counted up by the number of their items. A chat's time never
 *    falls, also when the server's clock does;
 * a  the same as arrays, by the chat's place k in $15: a join would compare
 *    every item with every chat. When one is missing or is not as the caller
 *    believes, the division fails, and with it everything.
 */
static const store_stmt_t  store_chat_append_stmt = {
    "chat_append",
    "WITH o AS MATERIALIZED ("
    " SELECT i.ord, e.* FROM unnest($1::uuid[], $4::int8[], $5::text[])"
    " WITH ORDINALITY AS i (chat, device, message_id, ord), LATERAL ("
    "  SELECT e.seq, e.created_at, e.digest FROM entries e"
    "  WHERE e.chat_id = i.chat AND e.sender_device = i.device"
    "  AND e.message_id = i.message_id LIMIT 1) e"
    "), u AS ("
    " UPDATE chats c SET last_seq = c.last_seq + g.n,"
    " last_message_time = greatest(c.last_message_time,"
    " date_trunc('milliseconds', clock_timestamp()))"
    " FROM unnest($15::uuid[], $16::int8[], $19::int8[], $20::int8[])"
    " WITH ORDINALITY AS g (id, n, last, version, k)"
    " WHERE c.id = g.id AND c.last_seq = g.last"
    " AND c.members_version = g.version AND NOT EXISTS (SELECT FROM o)"
    " RETURNING g.k, c.last_seq - g.n AS base, c.last_message_time AS at,"
    " c.members_version"
    "), a AS ("
    " SELECT array_agg(base ORDER BY k) AS base,"
    " array_agg(at ORDER BY k) AS at,"
    " 1 / (count(*) = cardinality($15::uuid[])"
    " OR EXISTS (SELECT FROM o))::int AS proof FROM u"
    "), x AS ("
    " INSERT INTO entries (chat_id, seq, kind, sender_id, sender_device,"
    " created_at, digest, message_id, content, content_type, reply_to,"
    " media_id, target, subject, role, expires_at)"
    " SELECT i.chat, a.base[i.k] + i.n, i.kind, i.sender, i.device, a.at[i.k],"
    " i.digest, i.message_id, i.content, i.content_type, i.reply_to,"
    " i.media_id, i.target, i.subject, i.role,"
    " a.at[i.k] + i.expires * interval '1 second'"
    " FROM a, unnest($1::uuid[], $2::int2[], $3::int8[], $4::int8[],"
    " $5::text[], $6::int8[], $7::text[], $8::text[], $9::int8[],"
    " $10::text[], $11::int8[], $12::int8[], $13::int2[], $14::int8[],"
    " $17::int4[], $18::int4[]) AS i (chat, kind, sender, device, message_id,"
    " digest, content, content_type, reply_to, media_id, target, subject,"
    " role, expires, k, n) WHERE a.base IS NOT NULL AND a.proof = 1"
    ")"
    "SELECT true, u.k, u.base, u.at, u.members_version FROM u "
    "UNION ALL SELECT false, o.ord, o.seq, o.created_at, o.digest FROM o",
    20, NULL
};

/* The same for one entry: of the sixteen partitions only its own is opened. */
static const store_stmt_t  store_chat_append_one_stmt = {
    "chat_append_one",
    "WITH o AS MATERIALIZED ("
    " SELECT e.seq, e.created_at, e.digest FROM entries e"
    " WHERE e.chat_id = $1::uuid AND e.sender_device = $4::int8"
    " AND e.message_id = $5::text"
    "), u AS ("
    " UPDATE chats c SET last_seq = c.last_seq + 1,"
    " last_message_time = greatest(c.last_message_time,"
    " date_trunc('milliseconds', clock_timestamp()))"
    " WHERE c.id = $1::uuid AND c.last_seq = $15::int8"
    " AND c.members_version = $16::int8 AND NOT EXISTS (SELECT FROM o)"
    " RETURNING c.last_seq AS seq, c.last_message_time AS at,"
    " c.members_version"
    "), x AS ("
    " INSERT INTO entries (chat_id, seq, kind, sender_id, sender_device,"
    " created_at, digest, message_id, content, content_type, reply_to,"
    " media_id, target, subject, role, expires_at)"
    " SELECT $1::uuid, u.seq, $2::int2, $3::int8, $4::int8, u.at, $6::int8,"
    " $5::text, $7::text, $8::text, $9::int8, $10::text, $11::int8,"
    " $12::int8, $13::int2, u.at + $14::int8 * interval '1 second' FROM u"
    ")"
    "SELECT true, 1::int8, u.seq - 1, u.at, u.members_version FROM u "
    "UNION ALL SELECT false, 1, o.seq, o.created_at, o.digest FROM o",
    16, NULL
};

/* where an item stands in the statement */
typedef struct {
    uint32_t        item;       /* index of the caller's items              */
    uint32_t        chat;       /* index of its chat among the groups       */
    uint32_t        n;          /* number within the chat, from 1           */
} store_place_t;

typedef struct {
    const uint8_t  *id;
    uint32_t        n;          /* items                                    */
    uint64_t        last;       /* believed by the caller                   */
    uint64_t        base;       /* the chat's last_seq before               */
    uint64_t        version;
    int64_t         at;
} store_group_t;

typedef struct {
    store_append_t  *items;     /* the caller's, borrowed                   */
    store_place_t   *places;
    store_group_t   *groups;
    uint32_t        *slots;     /* hash of a chat: index of its group + 1   */
    size_t           mask;
    size_t           n;         /* places in use                            */
    size_t           ngroups;
    size_t           repeats;   /* found by the last execution              */
} store_run_t;

static store_e store_append_once(store_chat_t *st, store_run_t *run,
    int alone);
static void store_append_args_one(store_args_t *a, const store_append_t *it);
static void store_append_group(store_run_t *run);
static void store_append_args(store_args_t *a, const store_run_t *run);
static store_e store_append_read(store_run_t *run, const PGresult *res);


store_e
store_chat_append(store_chat_t *st, store_append_t *items, size_t n,
    int alone)
{
    size_t       i;
    store_e      rc;
    store_run_t  run;

    memset(&run, 0, sizeof(run));

    for (run.mask = 1; run.mask < 2 * n; run.mask <<= 1) { /* void */ }

    run.items = items;
    run.places = worker_calloc(n, sizeof(*run.places));
    run.groups = worker_calloc(n, sizeof(*run.groups));
    run.slots = worker_calloc(run.mask, sizeof(*run.slots));
    run.mask--;

    for (i = 0; i < n; i++) {
        items[i].fresh = 1;
        run.places[run.n++].item = (uint32_t) i;
    }

    rc = store_append_once(st, &run, alone);

    if (rc == STORE_OK && run.repeats > 0 && run.repeats < n) {

        for (i = 0, run.n = 0; i < n; i++) {
            if (items[i].fresh) {
                run.places[run.n++].item = (uint32_t) i;
            }
        }

        rc = store_append_once(st, &run, alone);

        if (rc == STORE_OK && run.repeats > 0) {
            worker_die("append: a repeat came up between two looks");
        }
    }

    free(run.places);
    free(run.groups);
    free(run.slots);

    return rc;
}


static store_e
store_append_once(store_chat_t *st, store_run_t *run, int alone)
{
    store_e              rc;
    PGresult            *res;
    const store_stmt_t  *stmt;

    store_append_group(run);

    if (run->n == 1) {
        stmt = &store_chat_append_one_stmt;
        store_append_args_one(store_chat_args(st),
                              &run->items[run->places[0].item]);

    } else {
        stmt = &store_chat_append_stmt;
        store_append_args(store_chat_args(st), run);
    }

    rc = alone ? store_chat_exec_alone(st, stmt, &res)
               : store_chat_exec(st, stmt, &res);

    /* the division of `a` */
    if (rc == STORE_WRONG && strcmp(store_chat_sqlstate(st), "22012") == 0) {
        return STORE_NONE;
    }

    return rc == STORE_OK ? store_append_read(run, res) : rc;
}


static void
store_append_group(store_run_t *run)
{
    size_t          i;
    uint64_t        slot;
    store_group_t  *g;
    store_place_t  *place;
    const uint8_t  *id;

    run->ngroups = 0;
    memset(run->slots, 0, (run->mask + 1) * sizeof(*run->slots));

    for (i = 0; i < run->n; i++) {
        place = &run->places[i];
        id = run->items[place->item].e.chat;

        /* the end of an id is random */
        memcpy(&slot, id + 8, sizeof(slot));
        slot ^= slot >> 32;

        for ( ;; ) {
            slot &= run->mask;

            if (run->slots[slot] == 0) {
                g = &run->groups[run->ngroups++];
                g->id = id;
                g->n = 0;
                g->last = run->items[place->item].last;
                g->version = run->items[place->item].version;
                run->slots[slot] = (uint32_t) run->ngroups;
                break;
            }

            g = &run->groups[run->slots[slot] - 1];

            if (memcmp(g->id, id, 16) == 0) {
                break;
            }

            slot++;
        }

        place->chat = (uint32_t) (g - run->groups);
        place->n = ++g->n;
    }
}


static void
store_append_args(store_args_t *a, const store_run_t *run)
{
    size_t                i;
    const chat_entry_t   *e;
    const store_place_t  *p;

    /* each array in turn: one open at a time keeps the builder simple */

#define EACH(oid, call)                                                      \
    store_args_array(a, oid);                                                \
    for (i = 0; i < run->n; i++) {                                           \
        p = &run->places[i];                                                 \
        e = &run->items[p->item].e;                                          \
        call;                                                                \
    }

    EACH(STORE_UUID, store_args_uuid(a, e->chat))
    EACH(STORE_INT2, store_args_i16(a, e->kind))
    EACH(STORE_INT8, store_args_i64(a, e->sender))
    EACH(STORE_INT8, store_args_i64_or_null(a, e->sender_device))
    EACH(STORE_TEXT, store_args_str(a, &e->message_id))
    EACH(STORE_INT8, store_args_i64(a, run->items[p->item].digest))
    EACH(STORE_TEXT, store_args_str(a, &e->content))
    EACH(STORE_TEXT, store_args_str(a, &e->content_type))
    EACH(STORE_INT8, store_args_i64_or_null(a, e->reply_to))
    EACH(STORE_TEXT, store_args_str(a, &e->media_id))
    EACH(STORE_INT8, store_args_i64_or_null(a, e->target))
    EACH(STORE_INT8, store_args_i64_or_null(a, e->subject))
    EACH(STORE_INT2, store_args_i16_or_null(a, (uint16_t)
                         store_role_number(e->role.data, e->role.len)))
    EACH(STORE_INT8, store_args_i64_or_null(a, e->expires_in))

#undef EACH

    store_args_array(a, STORE_UUID);

    for (i = 0; i < run->ngroups; i++) {
        store_args_uuid(a, run->groups[i].id);
    }

    store_args_array(a, STORE_INT8);

    for (i = 0; i < run->ngroups; i++) {
        store_args_i64(a, run->groups[i].n);
    }

    store_args_array(a, STORE_INT4);

    for (i = 0; i < run->n; i++) {
        store_args_i32(a, run->places[i].chat + 1);
    }

    store_args_array(a, STORE_INT4);

    for (i = 0; i < run->n; i++) {
        store_args_i32(a, run->places[i].n);
    }

    store_args_array(a, STORE_INT8);

    for (i = 0; i < run->ngroups; i++) {
        store_args_i64(a, run->groups[i].last);
    }

    store_args_array(a, STORE_INT8);

    for (i = 0; i < run->ngroups; i++) {
        store_args_i64(a, run->groups[i].version);
    }
}


static void
store_append_args_one(store_args_t *a, const store_append_t *it)
{
    const chat_entry_t  *e;

    e = &it->e;

    store_args_scalar_uuid(a, e->chat);
    store_args_scalar_i16(a, e->kind);
    store_args_scalar_i64(a, e->sender);
    store_args_scalar_i64_or_null(a, e->sender_device);
    store_args_scalar_str(a, &e->message_id);
    store_args_scalar_i64(a, it->digest);
    store_args_scalar_str(a, &e->content);
    store_args_scalar_str(a, &e->content_type);
    store_args_scalar_i64_or_null(a, e->reply_to);
    store_args_scalar_str(a, &e->media_id);
    store_args_scalar_i64_or_null(a, e->target);
    store_args_scalar_i64_or_null(a, e->subject);
    store_args_scalar_i16_or_null(a, (uint16_t)
                                  store_role_number(e->role.data,
                                                    e->role.len));
    store_args_scalar_i64_or_null(a, e->expires_in);
    store_args_scalar_i64(a, it->last);
    store_args_scalar_i64(a, it->version);
}


static store_e
store_append_read(store_run_t *run, const PGresult *res)
{
    int              row;
    size_t           i, k;
    store_group_t   *g;
    store_append_t  *it;

    run->repeats = 0;

    for (row = 0; row < PQntuples(res); row++) {
        k = (size_t) store_row_i64(res, row, 1) - 1;

        if (store_row_bool(res, row, 0)) {
            g = &run->groups[k];
            g->base = (uint64_t) store_row_i64(res, row, 2);
            g->at = store_row_ms(res, row, 3);
            g->version = (uint64_t) store_row_i64(res, row, 4);
            continue;
        }

        it = &run->items[run->places[k].item];
        it->fresh = 0;
        it->e.seq = (uint64_t) store_row_i64(res, row, 2);
        it->e.timestamp = store_row_ms(res, row, 3);
        it->digest = (uint64_t) store_row_i64(res, row, 4);
        run->repeats++;
    }

    if (run->repeats > 0) {
        return STORE_OK;
    }

    if ((size_t) PQntuples(res) != run->ngroups) {
        return STORE_NONE;
    }

    for (i = 0; i < run->n; i++) {
        g = &run->groups[run->places[i].chat];
        it = &run->items[run->places[i].item];

        it->e.seq = g->base + run->places[i].n;
        it->e.timestamp = g->at;
        it->version = g->version;
    }

    return STORE_OK;
}
