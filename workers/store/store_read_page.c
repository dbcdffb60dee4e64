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

/* m: the caller's row. The LEFT JOIN gives one row with nulls for an empty
 * page, so a member of an empty chat is told from a stranger. */
#define STORE_PAGE(compare, order)                                            \
    "SELECT m.left_seq IS NULL, e.* FROM chat_members m LEFT JOIN LATERAL ("  \
        "SELECT " STORE_ENTRY_COLUMNS(STORE_ENTRY_HIDDEN) " FROM entries e "  \
        "WHERE e.chat_id = $1 AND e.seq " compare " $3 "                      \
            "AND e.seq >= m.joined_seq "                                      \
            "AND e.seq <= coalesce(m.left_seq, 9223372036854775807) "         \
        "ORDER BY e.seq " order " LIMIT $4) e ON true "                       \
    "WHERE m.chat_id = $1 AND m.user_id = $2"

#define COL_CURRENT  0
#define COL_ENTRY    1


store_e
store_read_page(store_pg_t *pg, uint64_t user, const uint8_t chat[16],
    int backwards, uint64_t seq, unsigned n, store_page_t *page_r)
{
    char     id[8], edge[8], limit[8];
    store_e  rc;

    static const Oid  types[] = { STORE_UUID, STORE_INT8, STORE_INT8,
                                  STORE_INT8 };
    static const int  lengths[] = { 16, 8, 8, 8 }, formats[] = { 1, 1, 1, 1 };
    static const store_stmt_t  before = {
        "read_before", STORE_PAGE("<", "DESC"), 4, types
    };
    static const store_stmt_t  after = {
        "read_after", STORE_PAGE(">", "ASC"), 4, types
    };
    const char  *params[] = { (const char *) chat, id, edge, limit };

    memset(page_r, 0, sizeof(*page_r));
    page_r->backwards = backwards;

    store_put_i64(id, (int64_t) user);
    store_put_i64(edge, (int64_t) seq);
    store_put_i64(limit, (int64_t) n + 1);

    rc = store_pg_exec(pg, backwards ? &before : &after, params, lengths,
                       formats, 1, &page_r->res);
    if (rc != STORE_OK) {
        return rc;
    }

    page_r->n = PQntuples(page_r->res);
    if (page_r->n == 0) {
        page_r->sees = STORE_SEES_NOTHING;
        return STORE_OK;
    }

    page_r->sees = store_row_bool(page_r->res, 0, COL_CURRENT)
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
    store_entry_read(page->res, page->backwards ? page->n - 1 - i : i,
                     COL_ENTRY, entry_r);
}


void
store_page_free(store_page_t *page)
{
    PQclear(page->res);
    memset(page, 0, sizeof(*page));
}
