/*
 * store_read_page.c: a page of a chat's history.
 *
 * Called from api_messages.c; hands to store_pg.c. One statement: the caller's
 * membership and, side by side, an index range of the chat's one partition, cut
 * to what the membership shows. One entry more than asked for is read to know
 * whether the page is the last.
 */

#include <string.h>

#include "store_entry.h"
#include "store_read.h"
#include "store_row.h"

/* m: the caller's row, whose ranges are null when there are none: asked for
 * each entry, null is the cheaper answer. OFFSET 0 keeps the two selects apart,
 * or the planner would write the expressions into every place they are used
 * in. The LEFT JOIN gives one row with nulls for an empty page, so a member of
 * an empty chat is told from a stranger. */
#define STORE_PAGE(compare, order)                                            \
    "SELECT m.left_seq, " STORE_ENTRY_CHAT_COLUMNS("e.unseen") " FROM ("      \
        "SELECT joined_seq, left_seq, "                                       \
            "nullif(hidden, '{}'::int8multirange) AS hidden "                 \
        "FROM chat_members WHERE chat_id = $1 AND user_id = $2 OFFSET 0) m "  \
    "LEFT JOIN LATERAL ("                                                     \
        "SELECT e.*, " STORE_ENTRY_HIDDEN " AS unseen "                       \
        "FROM entries e "                                                     \
        "WHERE e.chat_id = $1 AND e.seq " compare " $3 "                      \
            "AND e.seq >= m.joined_seq "                                      \
            "AND e.seq <= coalesce(m.left_seq, 9223372036854775807) "         \
        "ORDER BY e.seq " order " LIMIT $4) e ON true"

#define COL_LEFT   0
#define COL_ENTRY  1

static const Oid  store_page_types[] = {
    STORE_UUID, STORE_INT8, STORE_INT8, STORE_INT8
};
static const store_stmt_t  store_page_before = {
    "read_before", STORE_PAGE("<", "DESC"), 4, store_page_types
};
static const store_stmt_t  store_page_after = {
    "read_after", STORE_PAGE(">", "ASC"), 4, store_page_types
};


store_e
store_read_page(store_pg_t *pg, uint64_t user, const uint8_t chat[16],
    int backwards, uint64_t seq, unsigned n, store_page_t *page_r)
{
    char                 id[8], edge[8], limit[8];
    store_e              rc;
    const store_stmt_t  *stmt;

    static const int  lengths[] = { 16, 8, 8, 8 }, formats[] = { 1, 1, 1, 1 };
    const char  *params[] = { (const char *) chat, id, edge, limit };

    memset(page_r, 0, sizeof(*page_r));
    page_r->backwards = backwards;
    memcpy(page_r->chat, chat, 16);

    store_put_i64(id, (int64_t) user);
    store_put_i64(edge, (int64_t) seq);
    store_put_i64(limit, (int64_t) n + 1);

    stmt = backwards ? &store_page_before : &store_page_after;

    rc = store_pg_exec(pg, stmt, params, lengths, formats, 1, &page_r->res);
    if (rc != STORE_OK) {
        return rc;
    }

    page_r->n = PQntuples(page_r->res);
    if (page_r->n == 0) {
        page_r->sees = STORE_SEES_NOTHING;
        return STORE_OK;
    }

    page_r->sees = PQgetisnull(page_r->res, 0, COL_LEFT)
                   ? STORE_SEES_ALL : STORE_SEES_PAST;

    if (PQgetisnull(page_r->res, 0, COL_ENTRY)) {
        page_r->n = 0;
    }

    page_r->complete = page_r->n <= (int) n;
    if (!page_r->complete) {
        page_r->n = (int) n;
    }

    return STORE_OK;
}


void
store_page_entry(const store_page_t *page, int i, chat_entry_t *entry_r)
{
    store_entry_chat_read(page->res, page->backwards ? page->n - 1 - i : i,
                          COL_ENTRY, page->chat, entry_r);
}


void
store_page_free(store_page_t *page)
{
    PQclear(page->res);
    memset(page, 0, sizeof(*page));
}
