/*
 * message_test.c: the pure parts of the message worker: rounds of a batch
 * (message_round.c), the cache of chats (message_chat.c), and the targets of a
 * record (fanout_build.c).
 */

#include "chat_test.h"
#include "fanout_private.h"
#include "message.h"

static message_cache_t  *cache;
static message_item_t    items[8];


static int
setup(void **state)
{
    cache = message_cache_new(1000);
    memset(items, 0, sizeof(items));

    return 0;
}


static int
teardown(void **state)
{
    message_cache_free(&cache);

    return 0;
}


static message_chat_t *
chat_of(char c)
{
    int              missing;
    uint8_t          id[16];
    message_chat_t  *chat;

    memset(id, c, sizeof(id));
    chat = message_cache_get(cache, id, &missing);
    chat->exists = 1;

    return chat;
}


static void
item(int i, uint8_t type, char chat, uint64_t device, chat_str_t id)
{
    items[i].ev.type = type;
    items[i].ev.device = device;
    items[i].ev.message_id = id;
    items[i].chat = chat_of(chat);
}


static void
sends_of_all_chats_are_one_round(void **state)
{
    item(0, CHAT_EV_SEND, 'a', 1, str("1"));
    item(1, CHAT_EV_SEND, 'b', 1, str("1"));
    item(2, CHAT_EV_SEND, 'a', 1, str("2"));
    item(3, CHAT_EV_SEND, 'a', 2, str("1"));

    assert_int_equal(message_rounds(items, 4), 1);
    assert_int_equal(items[3].round, 0);
}


static void
a_duplicate_is_in_a_later_round(void **state)
{
    item(0, CHAT_EV_SEND, 'a', 1, str("1"));
    item(1, CHAT_EV_SEND, 'a', 1, str("2"));
    item(2, CHAT_EV_SEND, 'a', 1, str("1"));
    item(3, CHAT_EV_SEND, 'a', 1, str("2"));
    item(4, CHAT_EV_SEND, 'a', 1, str("1"));
    item(5, CHAT_EV_SEND, 'b', 1, str("1"));

    assert_int_equal(message_rounds(items, 6), 3);
    assert_int_equal(items[1].round, 0);
    assert_int_equal(items[2].round, 1);
    assert_int_equal(items[3].round, 1);
    assert_int_equal(items[4].round, 2);
    assert_int_equal(items[5].round, 0);
}


static void
a_change_separates_rounds_of_its_own_chat_only(void **state)
{
    item(0, CHAT_EV_SEND, 'a', 1, str("1"));
    item(1, CHAT_EV_MEMBER_REMOVE, 'a', 1, str(""));
    item(2, CHAT_EV_CHAT_CHANGE, 'a', 1, str(""));
    item(3, CHAT_EV_SEND, 'a', 1, str("2"));
    item(4, CHAT_EV_SEND, 'b', 1, str("1"));
    item(5, CHAT_EV_CHAT_CREATE, 'c', 1, str(""));
    item(6, CHAT_EV_SEND, 'c', 1, str("1"));

    assert_int_equal(message_rounds(items, 7), 4);
    assert_int_equal(items[0].round, 0);
    assert_int_equal(items[1].round, 1);
    assert_int_equal(items[2].round, 2);
    assert_int_equal(items[3].round, 3);
    assert_int_equal(items[4].round, 0);
    assert_int_equal(items[5].round, 0);
    assert_int_equal(items[6].round, 1);
}


static void
rounds_start_again_with_every_batch(void **state)
{
    item(0, CHAT_EV_SEND, 'a', 1, str("1"));

    assert_int_equal(message_rounds(items, 1), 1);
    assert_int_equal(message_rounds(items, 1), 1);
    assert_int_equal(items[0].round, 0);
}


static void
a_rejoined_member_does_not_see_entries_between(void **state)
{
    message_chat_t    *chat;
    message_member_t  *m;

    chat = chat_of('a');
    chat->last_seq = 20;

    m = message_chat_join(cache, chat, 7, STORE_MEMBER, 3);
    assert_false(message_member_sees(m, 2));
    assert_true(message_member_sees(m, 3));

    message_chat_leave(chat, m, 5);
    assert_true(message_member_sees(m, 5));
    assert_false(message_member_sees(m, 6));
    assert_int_equal(message_member_last(chat, m), 5);
    assert_int_equal(chat->active, 0);

    m = message_chat_join(cache, chat, 7, STORE_MEMBER, 9);
    assert_true(message_member_sees(m, 5));
    assert_false(message_member_sees(m, 6));
    assert_false(message_member_sees(m, 8));
    assert_true(message_member_sees(m, 9));
    assert_int_equal(m->joined, 3);
    assert_int_equal(chat->active, 1);

    /* a rejoin without entries between hides nothing */
    message_chat_leave(chat, m, 10);
    m = message_chat_join(cache, chat, 7, STORE_MEMBER, 11);
    assert_int_equal(m->nhidden, 1);
}


static void
members_are_read_with_their_hidden_ranges(void **state)
{
    uint64_t           seq;
    message_chat_t    *chat;
    store_chat_row_t   row;
    message_member_t  *m;

    static const store_span_t  hidden[] = { { 5, 8 }, { 12, 12 } };

    chat = chat_of('a');
    chat->exists = 0;

    memset(&row, 0, sizeof(row));
    memset(row.chat, 'a', 16);
    row.title = str("T");
    row.joined = 1;

    for (row.user = 9; row.user > 0; row.user--) {
        row.hidden = hidden;
        row.nhidden = row.user == 4 ? 2 : 0;
        message_cache_row(cache, &row);
    }

    assert_int_equal(chat->n, 9);
    assert_string_equal(chat->title, "T");
    assert_null(message_chat_member(chat, 10));

    m = message_chat_member(chat, 4);

    for (seq = 1; seq < 20; seq++) {
        assert_int_equal(message_member_sees(m, seq),
                         !((seq >= 5 && seq < 9) || seq == 12));
    }
}


static void
the_cache_is_bounded_and_evicts_the_least_recently_used(void **state)
{
    int        missing;
    size_t     i;
    uint8_t    id[16];

    for (i = 0; i < 1000; i++) {
        (void) chat_of('a');
        memset(id, 0, sizeof(id));
        memcpy(id, &i, sizeof(i));
        (void) message_cache_get(cache, id, &missing);
        message_cache_trim(cache);
    }

    assert_true(message_cache_count(cache) <= 125);
    memset(id, 'a', sizeof(id));
    (void) message_cache_get(cache, id, &missing);
    assert_false(missing);
}


static fanout_route_t *
on_edge(fanout_t *f, uint64_t user, uint64_t device, uint64_t edge)
{
    fanout_route_t  *route;

    route = fanout_route_get(f, user);

    if (edge != 0) {
        fanout_route_add(route, device, edge, device);
    }

    return route;
}


static size_t
records(fanout_t *f, uint64_t edge, chat_rec_t *recs, size_t max)
{
    size_t          n, pos;
    fanout_edge_t  *e;

    HASH_FIND(hh, f->edges, &edge, sizeof(edge), e);

    if (e == NULL || e->buf.len == 0) {
        return 0;
    }

    assert_int_equal(chat_batch_open(e->buf.data, e->buf.len, &pos), 0);

    for (n = 0; n < max; n++) {
        if (chat_batch_next(e->buf.data, e->buf.len, &pos, &recs[n]) != 1) {
            break;
        }
    }

    return n;
}


static void
targets_of_an_entry_are_the_members_who_may_see_it(void **state)
{
    size_t             i, n;
    fanout_t          *f;
    chat_rec_t         recs[4];
    chat_entry_t       e;
    chat_target_t      t;
    message_chat_t    *chat;
    const uint8_t     *p;
    const fanout_to_t  from = { 0xe1, 77 };

    f = fanout_new();
    chat = chat_of('a');

    /* 1 sends on edge e1; 2 has two devices on e2; 3 is on both; 4 offline;
     * 5 has left; 6 joins later; 7 rejoins with this entry */
    for (i = 1; i <= 5; i++) {
        (void) message_chat_join(cache, chat, i, STORE_MEMBER, 1);
    }

    message_chat_leave(chat, message_chat_member(chat, 5), 9);
    (void) message_chat_join(cache, chat, 6, STORE_MEMBER, 11);
    (void) message_chat_join(cache, chat, 7, STORE_MEMBER, 10);

    memset(&e, 0, sizeof(e));
    memset(e.chat, 'a', 16);
    e.kind = CHAT_KIND_MESSAGE;
    e.seq = 10;
    e.sender = 1;
    e.sender_device = 11;
    e.message_id = str("mid");
    e.content = str("x");

    fanout_entry(f, chat, &e, 5, from, 7, CHAT_REC_F_REDO);
    fanout_request_routes(f);

    (void) on_edge(f, 1, 11, 0xe1);
    (void) on_edge(f, 2, 21, 0xe2);
    (void) on_edge(f, 2, 22, 0xe2);
    (void) on_edge(f, 3, 31, 0xe1);
    (void) on_edge(f, 3, 32, 0xe2);
    (void) on_edge(f, 5, 51, 0xe2);
    (void) on_edge(f, 6, 61, 0xe2);
    (void) on_edge(f, 7, 71, 0xe2);

    fanout_build(f);

    assert_int_equal(records(f, 0xe1, recs, 4), 1);
    assert_int_equal(recs[0].type, CHAT_REC_ENTRY);
    assert_int_equal(recs[0].flags, CHAT_REC_F_REDO);
    assert_int_equal(recs[0].session, 77);
    assert_int_equal(recs[0].epoch, 5);
    assert_str(recs[0].message_id, "mid");
    assert_int_equal(recs[0].nitems, 2);

    n = records(f, 0xe2, recs, 4);
    assert_int_equal(n, 1);
    assert_int_equal(recs[0].session, 0);
    assert_int_equal(recs[0].nitems, 3);

    p = chat_batch_read_target(recs[0].items, &t);
    assert_int_equal(t.user, 2);
    assert_int_equal(t.flags, 0);
    p = chat_batch_read_target(p, &t);
    assert_int_equal(t.user, 3);
    (void) chat_batch_read_target(p, &t);
    assert_int_equal(t.user, 7);
    assert_int_equal(t.flags, CHAT_TARGET_CHECK);

    fanout_free(&f);
}


static void
notices_leave_out_the_user_they_are_about(void **state)
{
    size_t            i;
    fanout_t         *f;
    uint64_t          users[] = { 1, 2 };
    chat_rec_t        recs[4];
    chat_buf_t        json = CHAT_BUF_INIT;
    message_chat_t   *chat;

    f = fanout_new();
    chat = chat_of('a');
    (void) chat_buf_add(&json, "{}", 2);

    for (i = 1; i <= 3; i++) {
        (void) message_chat_join(cache, chat, i, STORE_MEMBER, 1);
    }

    message_chat_leave(chat, message_chat_member(chat, 3), 2);

    fanout_notice_others(f, chat, 1, &json);
    fanout_notice_users(f, users, 2, 42, &json);
    fanout_http(f, (fanout_to_t) { 0xe1, 9 }, 204, &json);
    fanout_http(f, (fanout_to_t) { 0, 9 }, 204, &json);
    fanout_request_routes(f);

    for (i = 1; i <= 3; i++) {
        (void) on_edge(f, i, i * 10, 0xe1);
    }

    fanout_build(f);

    assert_int_equal(records(f, 0xe1, recs, 4), 3);
    assert_int_equal(recs[0].nitems, 1);
    assert_int_equal(recs[0].device, 0);
    assert_int_equal(recs[1].nitems, 2);
    assert_int_equal(recs[1].device, 42);
    assert_int_equal(recs[2].type, CHAT_REC_HTTP);
    assert_int_equal(recs[2].session, 9);
    assert_int_equal(recs[2].status, 204);

    /* what is collected and not published is discarded by a reset */
    fanout_notice_others(f, chat, 1, &json);
    fanout_reset(f);
    fanout_request_routes(f);
    assert_int_equal(f->nouts, 0);

    chat_buf_free(&json);
    fanout_free(&f);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
#define TEST(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(sends_of_all_chats_are_one_round),
        TEST(a_duplicate_is_in_a_later_round),
        TEST(a_change_separates_rounds_of_its_own_chat_only),
        TEST(rounds_start_again_with_every_batch),
        TEST(a_rejoined_member_does_not_see_entries_between),
        TEST(members_are_read_with_their_hidden_ranges),
        TEST(the_cache_is_bounded_and_evicts_the_least_recently_used),
        TEST(targets_of_an_entry_are_the_members_who_may_see_it),
        TEST(notices_leave_out_the_user_they_are_about),
#undef TEST
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
