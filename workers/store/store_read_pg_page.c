/*
 * store_read_pg_page.c: a page of a chat's history.
 *
 * Called from store_read.c; hands to store_pg.h. One statement: the caller's
 * membership and, side by side, an index range of the chat's one partition, cut
 * to what the membership shows. One entry more than requested is read to know
 * whether the page is the last.
 */

#include <string.h>

#include "store_entry.h"
#include "store_read_ops.h"
#include "store_row.h"

/* m: the caller's row, whose ranges are null when there are none: compared
 * with each entry, null is cheaper. OFFSET 0 keeps the two selects apart,
 * or the planner would write the expressions into every place they are used
 * in. The LEFT JOIN gives one row with nulls for an empty page, which
 * distinguishes a member of an empty chat from a stranger. */
#define STORE_PAGE(compare, order)                                           \
    "SELECT m.left_seq, " STORE_ENTRY_CHAT_COLUMNS("e.unseen") " FROM ("     \
        "SELECT joined_seq, left_seq, "                                      \
            "nullif(hidden, '{}'::int8multirange) AS hidden "                \
        "FROM chat_members WHERE chat_id = $1 AND user_id = $2 OFFSET 0) m " \
    "LEFT JOIN LATERAL ("                                                    \
        "SELECT e.*, " STORE_ENTRY_HIDDEN " AS unseen "                      \
        "FROM entries e "                                                    \
        "WHERE e.chat_id = $1 AND e.seq " compare " $3 "                     \
            "AND e.seq >= m.joined_seq "                                     \
            "AND e.seq <= coalesce(m.left_seq, 9223372036854775807) "        \
        "ORDER BY e.seq " order " LIMIT $4) e ON true"

#define COL_LEFT   0
#define COL_ENTRY  1

static const store_stmt_t  store_page_before = {
    "read_before", STORE_PAGE("<", "DESC"), 4
};
static const store_stmt_t  store_page_after = {
    "read_after", STORE_PAGE(">", "ASC"), 4
};


store_e
store_read_pg_page(store_reader_t *reader, uint64_t user,
    const uint8_t chat[16], int backwards, uint64_t seq, unsigned n,
    store_page_t *page_r)
{
    store_e              rc;
    PGresult            *res;
    store_args_t        *a;
    const store_stmt_t  *stmt;

    memset(page_r, 0, sizeof(*page_r));
    page_r->backwards = backwards;
    memcpy(page_r->chat, chat, 16);

    stmt = backwards ? &store_page_before : &store_page_after;

    a = store_pg_args(reader->accounts);
    store_args_scalar_uuid(a, chat);
    store_args_scalar_i64(a, user);
    store_args_scalar_i64(a, seq);
    store_args_scalar_i64(a, (uint64_t) n + 1);

    rc = store_pg_query(reader->accounts, stmt, &res);
    if (rc != STORE_OK) {
        return rc;
    }

    page_r->ops = &store_read_pg_ops;
    page_r->rows = res;
    page_r->n = PQntuples(res);

    if (page_r->n == 0) {
        page_r->sees = STORE_SEES_NOTHING;
        return STORE_OK;
    }

    page_r->sees = PQgetisnull(res, 0, COL_LEFT)
                   ? STORE_SEES_ALL : STORE_SEES_PAST;

    if (PQgetisnull(res, 0, COL_ENTRY)) {
        page_r->n = 0;
    }

    page_r->complete = page_r->n <= (int) n;
    if (!page_r->complete) {
        page_r->n = (int) n;
    }

    return STORE_OK;
}


void
store_read_pg_page_entry(const store_page_t *page, int i,
    chat_entry_t *entry_r)
{
    store_entry_chat_read(page->rows, page->backwards ? page->n - 1 - i : i,
                          COL_ENTRY, page->chat, entry_r);
}
