/*
 * store_chat_append.c: entries get their seq and are written.
 *
 * Called from message_append.c; hands to store_chat.c. One statement whatever
 * the number of entries and chats. The shard's owner is the only writer of a
 * chat, so nothing can slip between the look and the insert.
 *
 * The statement writes all or, when it finds a repeat among the items,
 * nothing, and then tells which they are: without them it is done once more.
 * Repeats are rare, and the common case needs neither sort nor join.
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
 *    every item with every chat. A chat that is missing would shift them, so
 *    then there is no `a` and nothing is written.
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
    " FROM unnest($15::uuid[], $16::int8[]) WITH ORDINALITY AS g (id, n, k)"
    " WHERE c.id = g.id AND NOT EXISTS (SELECT FROM o)"
    " RETURNING g.k, c.last_seq - g.n AS base, c.last_message_time AS at,"
    " c.members_version"
    "), a AS ("
    " SELECT array_agg(base ORDER BY k) AS base, array_agg(at ORDER BY k) AS at"
    " FROM u HAVING count(*) = cardinality($15::uuid[])"
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
    " role, expires, k, n)"
    ")"
    "SELECT true, u.k, u.base, u.at, u.members_version FROM u "
    "UNION ALL SELECT false, o.ord, o.seq, o.created_at, o.digest FROM o",
    18, NULL
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

static store_e store_append_once(store_chat_t *st, store_run_t *run);
static void store_append_group(store_run_t *run);
static void store_append_args(store_args_t *a, const store_run_t *run);
static store_e store_append_read(store_run_t *run, const PGresult *res);


store_e
store_chat_append(store_chat_t *st, store_append_t *items, size_t n)
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

    rc = store_append_once(st, &run);

    if (rc == STORE_OK && run.repeats > 0 && run.repeats < n) {

        for (i = 0, run.n = 0; i < n; i++) {
            if (items[i].fresh) {
                run.places[run.n++].item = (uint32_t) i;
            }
        }

        rc = store_append_once(st, &run);

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
store_append_once(store_chat_t *st, store_run_t *run)
{
    store_e    rc;
    PGresult  *res;

    store_append_group(run);
    store_append_args(store_chat_args(st), run);

    rc = store_chat_exec(st, &store_chat_append_stmt, &res);

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
