/*
 * store_chat_append.c: entries are written and their chats counted up.
 *
 * Called from message_append.c; hands to store_chat.c. One statement whatever
 * the number of entries and chats. The shard's owner is the only writer of a
 * chat, so the caller knows which seq is next, and nothing can slip in
 * between.
 *
 * The statement proves what the caller believes of each chat, and fails as a
 * whole where that is wrong or where an item repeats what is written already;
 * so it may also stand alone, without a transaction around it, which saves two
 * round trips of three. Only after such a failure, or when one may not be
 * risked, is it asked which the repeats are.
 */

#include <stdlib.h>
#include <string.h>

#include "store_chat_pg.h"
#include "worker.h"

#define STORE_NOW  "date_trunc('milliseconds', statement_timestamp())"

/*
 * u  the chats that are as the caller believes, counted up. A chat's time
 *    never falls, also when the server's clock does;
 * x  the entries. The index of message ids refuses a repeat: that costs
 *    nothing while there is none, and a look before would open all sixteen
 *    partitions.
 *
 * When a chat is missing or is another, the division fails, and with it
 * everything.
 */
#define STORE_COUNT_UP                                                       \
    "WITH u AS ("                                                            \
    " UPDATE chats c SET last_seq = g.last + g.n,"                           \
    " last_message_time = greatest(c.last_message_time, " STORE_NOW ")"      \
    " FROM unnest($1::uuid[], $2::int8[], $3::int8[], $4::int8[])"           \
    " AS g (id, last, version, n)"                                           \
    " WHERE c.id = g.id AND c.last_seq = g.last"                             \
    " AND c.members_version = g.version RETURNING 1"                         \
    "), x AS ("

#define STORE_VALIDATE                                                          \
    ") SELECT " STORE_NOW ", 1 / (count(*) = cardinality($1))::int FROM u"

static const store_stmt_t  store_chat_append_stmt = {
    "chat_append",
    STORE_COUNT_UP
    " INSERT INTO entries (chat_id, seq, kind, sender_id, sender_device,"
    " created_at, digest, message_id, content, content_type, reply_to,"
    " media_id, target, subject, role, expires_at)"
    " SELECT i.chat, i.seq, i.kind, i.sender, i.device,"
    " greatest(i.at, " STORE_NOW "), i.digest, i.message_id, i.content,"
    " i.content_type, i.reply_to, i.media_id, i.target, i.subject, i.role,"
    " greatest(i.at, " STORE_NOW ") + i.expires * interval '1 second'"
    " FROM unnest($5::uuid[], $6::int8[], $7::timestamptz[], $8::int2[],"
    " $9::int8[], $10::int8[], $11::text[], $12::int8[], $13::text[],"
    " $14::text[], $15::int8[], $16::text[], $17::int8[], $18::int8[],"
    " $19::int2[], $20::int8[]) AS i (chat, seq, at, kind, sender, device,"
    " message_id, digest, content, content_type, reply_to, media_id, target,"
    " subject, role, expires)"
    STORE_VALIDATE,
    20, NULL
};

/* The same for texts that say nothing but their content, as most do: each array
 * is a function scan with a store of its own. */
static const store_stmt_t  store_chat_append_plain_stmt = {
    "chat_append_plain",
    STORE_COUNT_UP
    " INSERT INTO entries (chat_id, seq, kind, sender_id, sender_device,"
    " created_at, digest, message_id, content)"
    " SELECT i.chat, i.seq, i.kind, i.sender, i.device,"
    " greatest(i.at, " STORE_NOW "), i.digest, i.message_id, i.content"
    " FROM unnest($5::uuid[], $6::int8[], $7::timestamptz[], $8::int2[],"
    " $9::int8[], $10::int8[], $11::text[], $12::int8[], $13::text[])"
    " AS i (chat, seq, at, kind, sender, device, message_id, digest,"
    " content)"
    STORE_VALIDATE,
    13, NULL
};

/* Items that are there already, each by its own look into the index (LATERAL
 * and LIMIT leave no other plan). */
static const store_stmt_t  store_chat_duplicates_stmt = {
    "chat_repeats",
    "SELECT i.ord, e.seq, e.created_at, e.digest"
    " FROM unnest($1::uuid[], $2::int8[], $3::text[])"
    " WITH ORDINALITY AS i (chat, device, message_id, ord), LATERAL ("
    "  SELECT e.seq, e.created_at, e.digest FROM entries e"
    "  WHERE e.chat_id = i.chat AND e.sender_device = i.device"
    "  AND e.message_id = i.message_id LIMIT 1) e",
    3, NULL
};

/* one chat of the statement */
typedef struct {
    const uint8_t   *id;
    uint64_t         last;      /* believed by the caller                   */
    uint64_t         version;
    uint64_t         n;         /* items                                    */
} store_group_t;

typedef struct {
    store_append_t  *items;     /* the caller's, borrowed                   */
    size_t           n;
    size_t           inserted;     /* to be written                            */
    store_group_t   *groups;
    uint32_t        *slots;     /* hash of a chat: index of its group + 1   */
    size_t           mask;
    size_t           ngroups;
    int              plain;     /* texts, and nothing beside                */
} store_run_t;

static store_e store_append_find_duplicates(store_chat_t *st, store_run_t *run, int all);
static store_e store_append_write(store_chat_t *st, store_run_t *run,
    int alone);
static void store_append_group(store_run_t *run);
static store_group_t *store_append_chat(store_run_t *run,
    const store_append_t *it);
static int store_append_plain(const chat_entry_t *e);
static void store_append_args(store_args_t *a, const store_run_t *run);


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
    run.n = n;
    run.inserted = n;
    run.groups = worker_calloc(n, sizeof(*run.groups));
    run.slots = worker_calloc(run.mask, sizeof(*run.slots));
    run.mask--;

    for (i = 0; i < n; i++) {
        items[i].inserted = 1;
    }

    rc = store_append_find_duplicates(st, &run, 0);

    if (rc == STORE_OK) {
        rc = store_append_write(st, &run, alone);
    }

    /* unique_violation: a repeat that nobody thought of; in a transaction
     * there is no second try, it is lost */
    if (rc == STORE_FAILED && alone
        && strcmp(store_chat_sqlstate(st), "23505") == 0)
    {
        rc = store_append_find_duplicates(st, &run, 1);

        if (rc == STORE_OK) {
            rc = store_append_write(st, &run, alone);
        }
    }

    free(run.groups);
    free(run.slots);

    return rc;
}


/* Asks which items are written already: those that may be, or all. */

static store_e
store_append_find_duplicates(store_chat_t *st, store_run_t *run, int all)
{
    int              row;
    size_t           i, k, n;
    store_e          rc;
    uint32_t        *asked;
    PGresult        *res;
    store_args_t    *a;
    store_append_t  *it;

    asked = worker_calloc(run->n, sizeof(*asked));

    for (n = 0, i = 0; i < run->n; i++) {
        it = &run->items[i];

        if (it->inserted && (it->check_duplicate || all) && it->e.message_id.data != NULL) {
            asked[n++] = (uint32_t) i;
        }
    }

    if (n == 0) {
        free(asked);
        return STORE_OK;
    }

    a = store_chat_args(st);

#define EACH(oid, call)                                                      \
    store_args_array(a, oid);                                                \
    for (k = 0; k < n; k++) {                                                \
        it = &run->items[asked[k]];                                          \
        call;                                                                \
    }

    EACH(STORE_UUID, store_args_uuid(a, it->e.chat))
    EACH(STORE_INT8, store_args_i64_or_null(a, it->e.sender_device))
    EACH(STORE_TEXT, store_args_str(a, &it->e.message_id))

#undef EACH

    rc = store_chat_exec_alone(st, &store_chat_duplicates_stmt, &res);

    for (row = 0; rc == STORE_OK && row < PQntuples(res); row++) {
        it = &run->items[asked[store_row_i64(res, row, 0) - 1]];
        it->inserted = 0;
        it->e.seq = (uint64_t) store_row_i64(res, row, 1);
        it->e.timestamp = store_row_ms(res, row, 2);
        it->digest = (uint64_t) store_row_i64(res, row, 3);
        run->inserted--;
    }

    free(asked);

    return rc;
}


static store_e
store_append_write(store_chat_t *st, store_run_t *run, int alone)
{
    size_t               i;
    store_e              rc;
    int64_t              now;
    PGresult            *res;
    store_append_t      *it;
    const store_stmt_t  *stmt;

    if (run->inserted == 0) {
        return STORE_OK;
    }

    store_append_group(run);
    store_append_args(store_chat_args(st), run);

    stmt = run->plain ? &store_chat_append_plain_stmt
                      : &store_chat_append_stmt;

    rc = alone ? store_chat_exec_alone(st, stmt, &res)
               : store_chat_exec(st, stmt, &res);

    /* division_by_zero: that of the proof */
    if (rc == STORE_FAILED && strcmp(store_chat_sqlstate(st), "22012") == 0) {
        return STORE_NOT_FOUND;
    }

    if (rc != STORE_OK) {
        return rc;
    }

    now = store_row_ms(res, 0, 0);

    for (i = 0; i < run->n; i++) {
        it = &run->items[i];

        if (it->inserted) {
            it->e.timestamp = it->at > now ? it->at : now;
        }
    }

    return STORE_OK;
}


static void
store_append_group(store_run_t *run)
{
    size_t           i;
    store_group_t   *g;
    store_append_t  *it;

    run->ngroups = 0;
    run->plain = 1;
    memset(run->slots, 0, (run->mask + 1) * sizeof(*run->slots));

    for (i = 0; i < run->n; i++) {
        it = &run->items[i];

        if (!it->inserted) {
            continue;
        }

        g = store_append_chat(run, it);
        it->e.seq = g->last + ++g->n;

        if (!store_append_plain(&it->e)) {
            run->plain = 0;
        }
    }
}


static store_group_t *
store_append_chat(store_run_t *run, const store_append_t *it)
{
    uint64_t        slot;
    store_group_t  *g;

    /* the end of an id is random */
    memcpy(&slot, it->e.chat + 8, sizeof(slot));
    slot ^= slot >> 32;

    for (slot &= run->mask; run->slots[slot] != 0;
         slot = (slot + 1) & run->mask)
    {
        g = &run->groups[run->slots[slot] - 1];

        if (memcmp(g->id, it->e.chat, 16) == 0) {
            return g;
        }
    }

    g = &run->groups[run->ngroups++];
    g->id = it->e.chat;
    g->last = it->last;
    g->version = it->version;
    g->n = 0;
    run->slots[slot] = (uint32_t) run->ngroups;

    return g;
}


static int
store_append_plain(const chat_entry_t *e)
{
    return e->content_type.data == NULL && e->media_id.data == NULL
           && e->role.data == NULL && e->reply_to == 0 && e->target == 0
           && e->subject == 0 && e->expires_in == 0;
}


static void
store_append_args(store_args_t *a, const store_run_t *run)
{
    size_t                 i;
    const chat_entry_t    *e;
    const store_append_t  *it;

    /* each array in turn: one open at a time keeps the builder simple */

#define GROUPS(oid, call)                                                    \
    store_args_array(a, oid);                                                \
    for (i = 0; i < run->ngroups; i++) {                                     \
        call;                                                                \
    }

#define EACH(oid, call)                                                      \
    store_args_array(a, oid);                                                \
    for (i = 0; i < run->n; i++) {                                           \
        it = &run->items[i];                                                 \
        e = &it->e;                                                          \
        if (it->inserted) {                                                     \
            call;                                                            \
        }                                                                    \
    }

    GROUPS(STORE_UUID, store_args_uuid(a, run->groups[i].id))
    GROUPS(STORE_INT8, store_args_i64(a, run->groups[i].last))
    GROUPS(STORE_INT8, store_args_i64(a, run->groups[i].version))
    GROUPS(STORE_INT8, store_args_i64(a, run->groups[i].n))

    EACH(STORE_UUID, store_args_uuid(a, e->chat))
    EACH(STORE_INT8, store_args_i64(a, e->seq))
    EACH(STORE_TIMESTAMPTZ, store_args_ms(a, it->at))
    EACH(STORE_INT2, store_args_i16(a, e->kind))
    EACH(STORE_INT8, store_args_i64(a, e->sender))
    EACH(STORE_INT8, store_args_i64_or_null(a, e->sender_device))
    EACH(STORE_TEXT, store_args_str(a, &e->message_id))
    EACH(STORE_INT8, store_args_i64(a, it->digest))
    EACH(STORE_TEXT, store_args_str(a, &e->content))

    if (!run->plain) {
        EACH(STORE_TEXT, store_args_str(a, &e->content_type))
        EACH(STORE_INT8, store_args_i64_or_null(a, e->reply_to))
        EACH(STORE_TEXT, store_args_str(a, &e->media_id))
        EACH(STORE_INT8, store_args_i64_or_null(a, e->target))
        EACH(STORE_INT8, store_args_i64_or_null(a, e->subject))
        EACH(STORE_INT2, store_args_i16_or_null(a, (uint16_t)
                             store_role_number(e->role.data, e->role.len)))
        EACH(STORE_INT8, store_args_i64_or_null(a, e->expires_in))
    }

#undef EACH
#undef GROUPS
}
