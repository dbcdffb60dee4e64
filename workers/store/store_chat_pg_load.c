/*
 * store_chat_pg_load.c: chats with all their members, many in one statement.
 *
 * Called from store_chat.c; hands to store_chat_pg.c.
 */

#include <stdlib.h>
#include <string.h>

#include "store_chat_pg.h"
#include "store_entry.h"
#include "worker.h"

static const store_stmt_t  store_chat_load_stmt = {
    "chat_load",
    "SELECT c.id, c.type, c.last_seq, c.members_version, c.created_by,"
    " c.created_at, c.title, m.user_id, m.role, m.joined_seq, m.left_seq,"
    " m.delivered_seq, m.read_seq,"
    " CASE WHEN NOT isempty(m.hidden) THEN m.hidden::text END,"
    " c.last_message_time FROM unnest($1::uuid[]) WITH ORDINALITY i (id, ord)"
    " JOIN chats c ON c.id = i.id"
    " LEFT JOIN chat_members m ON m.chat_id = c.id"
    " ORDER BY i.ord, m.user_id",
    1
};

static const store_stmt_t  store_chat_entry_stmt = {
    "chat_entry",
    "SELECT " STORE_ENTRY_COLUMNS("e.expires_at < now()")
    " FROM entries e WHERE e.chat_id = $1::uuid AND e.seq = $2::int8",
    2
};

static size_t store_chat_pg_spans(const chat_str_t *text,
    store_span_t **spans, size_t *max);


store_e
store_chat_pg_load(store_chat_t *st, const uint8_t (*ids)[16], size_t n,
    store_chat_row_pt row, void *arg)
{
    int               i;
    size_t            k, max;
    store_e           rc;
    PGresult         *res;
    chat_str_t        hidden;
    store_args_t     *a;
    store_span_t     *spans;
    store_chat_row_t  r;

    a = store_chat_pg_args(st);
    store_args_array(a, STORE_UUID);

    for (k = 0; k < n; k++) {
        store_args_uuid(a, ids[k]);
    }

    rc = store_chat_pg_query(st, &store_chat_load_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    spans = NULL;
    max = 0;

    for (i = 0; i < PQntuples(res); i++) {
        memset(&r, 0, sizeof(r));

        store_row_uuid(res, i, 0, r.chat);
        r.type = (uint8_t) store_row_i16(res, i, 1);
        r.last_seq = (uint64_t) store_row_i64(res, i, 2);
        r.members_version = (uint64_t) store_row_i64(res, i, 3);
        r.created_by = (uint64_t) store_row_i64(res, i, 4);
        r.created_at = store_row_ms(res, i, 5);
        r.title = store_row_str(res, i, 6);
        r.user = (uint64_t) store_row_i64(res, i, 7);
        r.role = (uint8_t) store_row_i16(res, i, 8);
        r.joined = (uint64_t) store_row_i64(res, i, 9);
        r.left = (uint64_t) store_row_i64(res, i, 10);
        r.delivered = (uint64_t) store_row_i64(res, i, 11);
        r.read = (uint64_t) store_row_i64(res, i, 12);
        r.last_at = store_row_ms(res, i, 14);

        hidden = store_row_str(res, i, 13);
        r.nhidden = store_chat_pg_spans(&hidden, &spans, &max);
        r.hidden = spans;

        row(arg, &r);
    }

    free(spans);

    return STORE_OK;
}


store_e
store_chat_pg_entry(store_chat_t *st, const uint8_t id[16], uint64_t seq,
    chat_entry_t *e_r)
{
    store_e        rc;
    PGresult      *res;
    store_args_t  *a;

    a = store_chat_pg_args(st);
    store_args_scalar_uuid(a, id);
    store_args_scalar_i64(a, seq);

    rc = store_chat_pg_query(st, &store_chat_entry_stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    if (PQntuples(res) == 0) {
        return STORE_NOT_FOUND;
    }

    store_entry_read(res, 0, 0, e_r);

    return STORE_OK;
}


/* Reads a multirange as PostgreSQL prints it, {[5,9),[12,20)}: the upper bound
 * is exclusive. Absent: no spans. */

static size_t
store_chat_pg_spans(const chat_str_t *text, store_span_t **spans, size_t *max)
{
    size_t       n;
    uint64_t     from, number;
    const char  *p, *end;

    n = 0;
    from = 0;
    p = text->data;
    end = p + text->len;

    while (p < end) {

        if (*p < '0' || *p > '9') {
            p++;
            continue;
        }

        for (number = 0; p < end && *p >= '0' && *p <= '9'; p++) {
            number = number * 10 + (uint64_t) (*p - '0');
        }

        if (p < end && *p == ',') {
            from = number;
            continue;
        }

        if (n == *max) {
            *max = *max ? 2 * *max : 8;
            *spans = worker_realloc(*spans, *max * sizeof(**spans));
        }

        (*spans)[n].from = from;
        (*spans)[n].to = number - 1;
        n++;
    }

    return n;
}
