/*
 * store_chat_pg_append.c: entries are written and last_seq is advanced.
 *
 * Called from store_chat.c; hands to store_chat_pg.c. One statement, whatever
 * the number of entries and chats. The shard's owner is the only writer of a
 * chat, so the caller knows the next seq.
 *
 * The statement validates what the caller believes about each chat. It fails
 * as a whole when that is wrong, or when an item is a duplicate of a stored
 * entry; so it can also be its own transaction, which saves two round trips of
 * three. Duplicates are looked up only after such a failure, or beforehand for
 * items where a failure must not be risked.
 */

#include <stdlib.h>
#include <string.h>

#include "store_chat_pg.h"
#include "worker.h"

#define STORE_NOW  "date_trunc('milliseconds', statement_timestamp())"

/*
 * u  advances the chats that are as the caller believes. A chat's time never
 *    falls, even when the server's clock does;
 * x  inserts the entries. The unique index of message ids rejects a duplicate:
 *    that costs nothing while there is none, and a lookup beforehand would
 *    open all sixteen partitions.
 *
 * When a chat is missing or differs, the division by zero fails the whole
 * statement.
 */
#define STORE_APPEND_CHATS                                                   \
    "WITH u AS ("                                                            \
    " UPDATE chats c SET last_seq = g.last + g.n,"                           \
    " last_message_time = greatest(c.last_message_time, " STORE_NOW ")"      \
    " FROM unnest($1::uuid[], $2::int8[], $3::int8[], $4::int8[])"           \
    " AS g (id, last, version, n)"                                           \
    " WHERE c.id = g.id AND c.last_seq = g.last"                             \
    " AND c.members_version = g.version RETURNING 1"                         \
    "), x AS ("

#define STORE_APPEND_VALIDATE                                                \
    ") SELECT " STORE_NOW ", 1 / (count(*) = cardinality($1))::int FROM u"

static const store_stmt_t  store_chat_append_stmt = {
    "chat_append",
    STORE_APPEND_CHATS
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
    STORE_APPEND_VALIDATE,
    20
};

/* The same for entries that have content only, as most do: each array is a
 * function scan with a tuplestore of its own. */
static const store_stmt_t  store_chat_append_plain_stmt = {
    "chat_append_plain",
    STORE_APPEND_CHATS
    " INSERT INTO entries (chat_id, seq, kind, sender_id, sender_device,"
    " created_at, digest, message_id, content)"
    " SELECT i.chat, i.seq, i.kind, i.sender, i.device,"
    " greatest(i.at, " STORE_NOW "), i.digest, i.message_id, i.content"
    " FROM unnest($5::uuid[], $6::int8[], $7::timestamptz[], $8::int2[],"
    " $9::int8[], $10::int8[], $11::text[], $12::int8[], $13::text[])"
    " AS i (chat, seq, at, kind, sender, device, message_id, digest,"
    " content)"
    STORE_APPEND_VALIDATE,
    13
};

/* Items that are stored already, each by its own index lookup (LATERAL and
 * LIMIT leave no other plan). */
static const store_stmt_t  store_chat_duplicates_stmt = {
    "chat_duplicates",
    "SELECT i.ord, e.seq, e.created_at, e.digest"
    " FROM unnest($1::uuid[], $2::int8[], $3::text[])"
    " WITH ORDINALITY AS i (chat, device, message_id, ord), LATERAL ("
    "  SELECT e.seq, e.created_at, e.digest FROM entries e"
    "  WHERE e.chat_id = i.chat AND e.sender_device = i.device"
    "  AND e.message_id = i.message_id LIMIT 1) e",
    3
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
    size_t           inserted;  /* to be written                            */
    store_group_t   *groups;
    uint32_t        *slots;     /* hash of a chat: index of its group + 1   */
    size_t           mask;
    size_t           ngroups;
    int              plain;     /* content only                             */
} store_append_plan_t;

static store_e store_append_find_duplicates(store_chat_t *st,
    store_append_plan_t *plan, int all);
static store_e store_append_write(store_chat_t *st, store_append_plan_t *plan,
    store_append_e when);
static void store_append_group(store_append_plan_t *plan);
static store_group_t *store_append_chat(store_append_plan_t *plan,
    const store_append_t *it);
static int store_append_plain(const chat_entry_t *e);
static void store_append_args(store_args_t *a, const store_append_plan_t *plan);


store_e
store_chat_pg_append(store_chat_t *st, store_append_t *items, size_t n,
    store_append_e when)
{
    size_t               i;
    store_e              rc;
    store_append_plan_t  plan;

    memset(&plan, 0, sizeof(plan));

    for (plan.mask = 1; plan.mask < 2 * n; plan.mask <<= 1) { /* void */ }

    plan.items = items;
    plan.n = n;
    plan.inserted = n;
    plan.groups = worker_calloc(n, sizeof(*plan.groups));
    plan.slots = worker_calloc(plan.mask, sizeof(*plan.slots));
    plan.mask--;

    for (i = 0; i < n; i++) {
        items[i].inserted = 1;
    }

    rc = store_append_find_duplicates(st, &plan, 0);

    if (rc == STORE_OK) {
        rc = store_append_write(st, &plan, when);
    }

    /* unique_violation: a duplicate that was not looked for; a transaction
     * that has failed cannot be continued, so only here is there a retry */
    if (rc == STORE_FAILED && when == STORE_APPEND_NOW
        && strcmp(store_chat_error(st), "23505") == 0)
    {
        rc = store_append_find_duplicates(st, &plan, 1);

        if (rc == STORE_OK) {
            rc = store_append_write(st, &plan, when);
        }
    }

    free(plan.groups);
    free(plan.slots);

    return rc;
}


/* Finds the items that are stored already, among those with check_duplicate or
 * among all. */

static store_e
store_append_find_duplicates(store_chat_t *st, store_append_plan_t *plan,
    int all)
{
    int              row;
    size_t           i, k, n;
    store_e          rc;
    uint32_t        *wanted;
    PGresult        *res;
    store_args_t    *a;
    store_append_t  *it;

    wanted = worker_calloc(plan->n, sizeof(*wanted));

    for (n = 0, i = 0; i < plan->n; i++) {
        it = &plan->items[i];

        if (it->inserted && (it->check_duplicate || all)
            && it->e.message_id.data != NULL)
        {
            wanted[n++] = (uint32_t) i;
        }
    }

    if (n == 0) {
        free(wanted);
        return STORE_OK;
    }

    a = store_chat_pg_args(st);

#define EACH(oid, call)                                                      \
    store_args_array(a, oid);                                                \
    for (k = 0; k < n; k++) {                                                \
        it = &plan->items[wanted[k]];                                        \
        call;                                                                \
    }

    EACH(STORE_UUID, store_args_uuid(a, it->e.chat))
    EACH(STORE_INT8, store_args_i64_or_null(a, it->e.sender_device))
    EACH(STORE_TEXT, store_args_str(a, &it->e.message_id))

#undef EACH

    rc = store_chat_pg_query(st, &store_chat_duplicates_stmt, &res);

    for (row = 0; rc == STORE_OK && row < PQntuples(res); row++) {
        it = &plan->items[wanted[store_row_i64(res, row, 0) - 1]];
        it->inserted = 0;
        it->e.seq = (uint64_t) store_row_i64(res, row, 1);
        it->e.timestamp = store_row_ms(res, row, 2);
        it->digest = (uint64_t) store_row_i64(res, row, 3);
        plan->inserted--;
    }

    free(wanted);

    return rc;
}


static store_e
store_append_write(store_chat_t *st, store_append_plan_t *plan,
    store_append_e when)
{
    size_t               i;
    store_e              rc;
    int64_t              now;
    PGresult            *res;
    store_append_t      *it;
    const store_stmt_t  *stmt;

    if (plan->inserted == 0) {
        return STORE_OK;
    }

    store_append_group(plan);
    store_append_args(store_chat_pg_args(st), plan);

    stmt = plan->plain ? &store_chat_append_plain_stmt
                      : &store_chat_append_stmt;

    rc = when == STORE_APPEND_NOW ? store_chat_pg_query(st, stmt, &res)
                                  : store_chat_pg_change(st, stmt, &res);

    /* division_by_zero: a chat is not as believed */
    if (rc == STORE_FAILED && strcmp(store_chat_error(st), "22012") == 0) {
        return STORE_STALE;
    }

    if (rc != STORE_OK) {
        return rc;
    }

    now = store_row_ms(res, 0, 0);

    for (i = 0; i < plan->n; i++) {
        it = &plan->items[i];

        if (it->inserted) {
            it->e.timestamp = it->at > now ? it->at : now;
        }
    }

    return STORE_OK;
}


static void
store_append_group(store_append_plan_t *plan)
{
    size_t           i;
    store_group_t   *g;
    store_append_t  *it;

    plan->ngroups = 0;
    plan->plain = 1;
    memset(plan->slots, 0, (plan->mask + 1) * sizeof(*plan->slots));

    for (i = 0; i < plan->n; i++) {
        it = &plan->items[i];

        if (!it->inserted) {
            continue;
        }

        g = store_append_chat(plan, it);
        it->e.seq = g->last + ++g->n;

        if (!store_append_plain(&it->e)) {
            plan->plain = 0;
        }
    }
}


static store_group_t *
store_append_chat(store_append_plan_t *plan, const store_append_t *it)
{
    uint64_t        slot;
    store_group_t  *g;

    /* the end of an id is random */
    memcpy(&slot, it->e.chat + 8, sizeof(slot));
    slot ^= slot >> 32;

    for (slot &= plan->mask; plan->slots[slot] != 0;
         slot = (slot + 1) & plan->mask)
    {
        g = &plan->groups[plan->slots[slot] - 1];

        if (memcmp(g->id, it->e.chat, 16) == 0) {
            return g;
        }
    }

    g = &plan->groups[plan->ngroups++];
    g->id = it->e.chat;
    g->last = it->last;
    g->version = it->version;
    g->n = 0;
    plan->slots[slot] = (uint32_t) plan->ngroups;

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
store_append_args(store_args_t *a, const store_append_plan_t *plan)
{
    size_t                 i;
    const chat_entry_t    *e;
    const store_append_t  *it;

    /* one array after the other: the builder has one open at a time */

#define GROUPS(oid, call)                                                    \
    store_args_array(a, oid);                                                \
    for (i = 0; i < plan->ngroups; i++) {                                    \
        call;                                                                \
    }

#define EACH(oid, call)                                                      \
    store_args_array(a, oid);                                                \
    for (i = 0; i < plan->n; i++) {                                          \
        it = &plan->items[i];                                                \
        e = &it->e;                                                          \
        if (it->inserted) {                                                  \
            call;                                                            \
        }                                                                    \
    }

    GROUPS(STORE_UUID, store_args_uuid(a, plan->groups[i].id))
    GROUPS(STORE_INT8, store_args_i64(a, plan->groups[i].last))
    GROUPS(STORE_INT8, store_args_i64(a, plan->groups[i].version))
    GROUPS(STORE_INT8, store_args_i64(a, plan->groups[i].n))

    EACH(STORE_UUID, store_args_uuid(a, e->chat))
    EACH(STORE_INT8, store_args_i64(a, e->seq))
    EACH(STORE_TIMESTAMPTZ, store_args_ms(a, it->at))
    EACH(STORE_INT2, store_args_i16(a, e->kind))
    EACH(STORE_INT8, store_args_i64(a, e->sender))
    EACH(STORE_INT8, store_args_i64_or_null(a, e->sender_device))
    EACH(STORE_TEXT, store_args_str(a, &e->message_id))
    EACH(STORE_INT8, store_args_i64(a, it->digest))
    EACH(STORE_TEXT, store_args_str(a, &e->content))

    if (!plan->plain) {
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
