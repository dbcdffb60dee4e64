/*
 * store_contract.c: what every chat store must do, whatever it is made of.
 *
 * Run by test_store_contract.py, which sets the configuration's environment
 * variables, with the accounts 1 to 9 in place. Uses the interfaces that the
 * workers use (store_chat.h, store_read.h, store_sync.h) and nothing else.
 * Each test makes a chat of its own.
 */

#include <stdio.h>

#include "../unit/chat_test.h"
#include "store_chat.h"
#include "store_pg.h"
#include "store_read.h"
#include "store_shards.h"
#include "store_sync.h"
#include "store_user.h"

#define ALICE   1
#define BOB     2
#define CAROL   3
#define PHONE   11                  /* a device of Alice's */

#define TEST(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)

static worker_conf_t    conf;
static store_chat_t    *st, *other;
static store_pg_t       accounts;
static store_reader_t  *reader;
static store_sync_t    *syncs;
static uint8_t          chat[16];
static uint64_t         last, version;

static const uint64_t   members[] = { ALICE, BOB };


static void
connected(store_chat_t *store)
{
    int  new;

    assert_int_equal(store_chat_connect(store, &new), STORE_OK);
}


static void
committed(void)
{
    assert_int_equal(store_chat_commit(st), STORE_OK);
}


static int
setup(void **state)
{
    int64_t     created;
    chat_str_t  title = str("T");

    static uint8_t  number;

    st = store_chat_open(&conf, "contract-a");
    other = store_chat_open(&conf, "contract-b");
    connected(st);

    memset(chat, 7, sizeof(chat));
    chat[0] = ++number;
    last = 0;
    version = 1;

    assert_int_equal(store_chat_create(st, chat, STORE_GROUP, &title, ALICE,
                                       ALICE, members, 2, &created),
                     STORE_OK);
    assert_true(created > 0);
    committed();

    memset(&accounts, 0, sizeof(accounts));
    accounts.dsn = conf.pg;
    accounts.name = "contract";
    accounts.session = store_session_api;
    assert_int_equal(store_pg_connect(&accounts), STORE_OK);

    reader = store_reader_open(&conf, &accounts);
    assert_int_equal(store_reader_connect(reader), STORE_OK);

    syncs = store_sync_open(&conf, "contract sync");
    assert_int_equal(store_sync_connect(syncs), STORE_OK);

    return 0;
}


static int
teardown(void **state)
{
    store_sync_free(&syncs);
    store_reader_free(&reader);
    store_pg_free(&accounts);
    store_chat_free(&other);
    store_chat_free(&st);

    return 0;
}


/* ----------------------------------------------------------------- loading */

typedef struct {
    int             rows;
    uint64_t        last, version;
    uint64_t        joined, left, delivered, read;  /* of `user`            */
    uint64_t        user;
    size_t          nhidden;
    store_span_t    hidden[4];
} loaded_t;


static void
load_row(void *arg, const store_chat_row_t *row)
{
    size_t     i;
    loaded_t  *l = arg;

    l->rows++;
    l->last = row->last_seq;
    l->version = row->members_version;

    if (row->user != l->user) {
        return;
    }

    l->joined = row->joined;
    l->left = row->left;
    l->delivered = row->delivered;
    l->read = row->read;
    l->nhidden = row->nhidden;

    for (i = 0; i < row->nhidden && i < 4; i++) {
        l->hidden[i] = row->hidden[i];
    }
}


static loaded_t
loaded(uint64_t user)
{
    loaded_t  l;

    memset(&l, 0, sizeof(l));
    l.user = user;
    assert_int_equal(store_chat_load(st, (const uint8_t (*)[16]) chat, 1,
                                     load_row, &l),
                     STORE_OK);

    return l;
}


/* --------------------------------------------------------------- appending */

static store_append_t
item(const char *message_id, const char *content)
{
    loaded_t        l;
    store_append_t  it;

    l = loaded(0);

    memset(&it, 0, sizeof(it));
    memcpy(it.e.chat, chat, 16);
    it.e.kind = CHAT_KIND_MESSAGE;
    it.e.sender = ALICE;
    it.e.sender_device = PHONE;
    it.e.message_id.data = message_id;
    it.e.message_id.len = strlen(message_id);
    it.e.content.data = content;
    it.e.content.len = strlen(content);
    it.digest = chat_entry_digest(&it.e);
    it.last = l.last;
    it.version = l.version;

    return it;
}


static uint64_t
sent(const char *message_id)
{
    store_append_t  it;

    it = item(message_id, "text");
    assert_int_equal(store_chat_append(st, &it, 1, STORE_APPEND_NOW),
                     STORE_OK);
    assert_int_equal(it.inserted, 1);

    return it.e.seq;
}


static void
appended_entries_get_dense_seqs(void **state)
{
    int             i;
    char            id[3][4] = { "a", "b", "c" };
    store_append_t  items[3];

    for (i = 0; i < 3; i++) {
        items[i] = item(id[i], "text");
    }

    assert_int_equal(store_chat_append(st, items, 3, STORE_APPEND_NOW),
                     STORE_OK);

    for (i = 0; i < 3; i++) {
        assert_int_equal(items[i].e.seq, i + 1);
        assert_true(items[i].e.timestamp > 0);
    }

    assert_int_equal(sent("d"), 4);
    assert_int_equal(loaded(0).last, 4);
}


static void
a_duplicate_gets_the_first_seq_and_digest(void **state)
{
    int             i;
    uint64_t        seq, digest;
    store_append_t  items[2];

    seq = sent("a");
    digest = item("a", "text").digest;

    /* looked for beforehand, or found by the failure */
    for (i = 0; i < 2; i++) {
        items[0] = item("a", "other text");
        items[1] = item(i ? "c" : "b", "text");
        items[0].check_duplicate = (uint8_t) i;

        assert_int_equal(store_chat_append(st, items, 2, STORE_APPEND_NOW),
                         STORE_OK);
        assert_int_equal(items[0].inserted, 0);
        assert_int_equal(items[0].e.seq, seq);
        assert_int_equal(items[0].digest, digest);
        assert_int_equal(items[1].inserted, 1);
        assert_int_equal(items[1].e.seq, seq + 1 + (uint64_t) i);
    }
}


static void
the_same_message_id_of_another_device_is_no_duplicate(void **state)
{
    store_append_t  it;

    sent("a");
    it = item("a", "text");
    it.e.sender_device = PHONE + 1;
    it.check_duplicate = 1;

    assert_int_equal(store_chat_append(st, &it, 1, STORE_APPEND_NOW),
                     STORE_OK);
    assert_int_equal(it.inserted, 1);
    assert_int_equal(it.e.seq, 2);
}


static void
a_stale_chat_is_refused_and_nothing_is_written(void **state)
{
    store_append_t  it;
    chat_entry_t    e;

    sent("a");

    it = item("b", "text");
    it.version++;
    assert_int_equal(store_chat_append(st, &it, 1, STORE_APPEND_NOW),
                     STORE_STALE);

    it = item("b", "text");
    it.last--;
    assert_int_equal(store_chat_append(st, &it, 1, STORE_APPEND_NOW),
                     STORE_STALE);

    it = item("b", "text");
    it.e.chat[15] ^= 0xff;
    assert_int_equal(store_chat_append(st, &it, 1, STORE_APPEND_NOW),
                     STORE_STALE);

    assert_int_equal(loaded(0).last, 1);
    assert_int_equal(store_chat_entry(st, chat, 2, &e), STORE_NOT_FOUND);

    it = item("b", "text");
    it.version++;
    assert_int_equal(store_chat_append(st, &it, 1, STORE_APPEND_STAGED),
                     STORE_STALE);
    store_chat_rollback(st);
    assert_int_equal(loaded(0).last, 1);
}


static void
a_rollback_leaves_nothing(void **state)
{
    int64_t          created;
    uint8_t          id[16];
    uint64_t         seq, v;
    chat_str_t       title;
    store_append_t   it;

    it = item("a", "text");
    assert_int_equal(store_chat_append(st, &it, 1, STORE_APPEND_STAGED),
                     STORE_OK);
    seq = it.e.seq;
    assert_int_equal(store_chat_members_add(st, chat, (uint64_t[]) { CAROL },
                                            &seq, 1, &v),
                     STORE_OK);

    memcpy(id, chat, 16);
    id[15] = 99;
    title = str("U");
    assert_int_equal(store_chat_create(st, id, STORE_GROUP, &title, ALICE,
                                       ALICE, members, 2, &created),
                     STORE_OK);
    store_chat_rollback(st);

    assert_int_equal(loaded(CAROL).rows, 2);
    assert_int_equal(loaded(CAROL).joined, 0);
    assert_int_equal(loaded(0).last, 0);
    assert_int_equal(loaded(0).version, 1);

    memcpy(chat, id, 16);
    assert_int_equal(loaded(0).rows, 0);
}


static void
staged_changes_are_seen_by_others_after_the_commit(void **state)
{
    store_append_t  it;
    store_page_t    page;

    it = item("a", "text");
    assert_int_equal(store_chat_append(st, &it, 1, STORE_APPEND_STAGED),
                     STORE_OK);
    assert_int_equal(loaded(0).last, 1);

    assert_int_equal(store_read_page(reader, BOB, chat, 1, INT64_MAX, 10,
                                     &page), STORE_OK);
    assert_int_equal(page.n, 0);
    store_page_free(&page);

    committed();

    assert_int_equal(store_read_page(reader, BOB, chat, 1, INT64_MAX, 10,
                                     &page), STORE_OK);
    assert_int_equal(page.n, 1);
    store_page_free(&page);
}


/* ------------------------------------------------------------------ shards */

static uint64_t
owned(store_chat_t *store, unsigned shard, const char *worker)
{
    uint64_t  epochs[CHAT_SHARDS];

    memset(epochs, 0, sizeof(epochs));
    assert_int_equal(store_shard_take(store, &shard, 1, 1, worker, epochs),
                     STORE_OK);

    return epochs[shard];
}


static size_t
holder_of(unsigned shard, store_shard_holder_t *holder_r)
{
    size_t                i, n, found;
    store_shard_holder_t  holders[CHAT_SHARDS];

    found = 0;
    assert_int_equal(store_shard_holders(other, holders, &n), STORE_OK);

    for (i = 0; i < n; i++) {
        if (holders[i].shard == shard) {
            *holder_r = holders[i];
            found++;
        }
    }

    return found;
}


static void
a_shard_has_one_owner_and_its_epoch_rises(void **state)
{
    unsigned              shard;
    uint64_t              first, second;
    store_shard_t         list[CHAT_SHARDS];
    store_shard_holder_t  holder;

    shard = 5;
    connected(other);

    first = owned(st, shard, "contract-a");
    assert_true(first > 0);
    assert_int_equal(owned(other, shard, "contract-b"), 0);

    assert_int_equal(holder_of(shard, &holder), 1);
    assert_string_equal(holder.worker, "contract-a");

    assert_int_equal(store_shards_read(reader, list), STORE_OK);
    assert_int_equal(list[shard].epoch, first);
    assert_int_equal(list[shard].held, 1);
    assert_string_equal(list[shard].worker, "contract-a");

    assert_int_equal(store_shard_release(st, &shard, 1), STORE_OK);
    second = owned(other, shard, "contract-b");
    assert_true(second > first);
    assert_int_equal(owned(st, shard, "contract-a"), 0);
}


static void
no_more_shards_are_taken_than_allowed(void **state)
{
    int       i, n;
    unsigned  shards[] = { 1, 2, 3, 4 };
    uint64_t  epochs[CHAT_SHARDS];

    memset(epochs, 0, sizeof(epochs));
    assert_int_equal(store_shard_take(st, shards, 4, 2, "contract-a", epochs),
                     STORE_OK);

    for (n = 0, i = 0; i < CHAT_SHARDS; i++) {
        n += epochs[i] != 0;
    }

    assert_int_equal(n, 2);
}


static void
an_owner_that_was_cut_off_cannot_commit(void **state)
{
    int                   tries;
    uint64_t              first, second;
    store_append_t        it;
    store_shard_holder_t  holder;

    connected(other);
    first = owned(st, 9, "contract-a");

    it = item("a", "text");
    assert_int_equal(store_chat_append(st, &it, 1, STORE_APPEND_STAGED),
                     STORE_OK);

    assert_int_equal(holder_of(9, &holder), 1);
    assert_int_equal(store_shard_cut(other, &holder), STORE_OK);

    for (second = 0, tries = 0; second == 0 && tries < 500; tries++) {
        second = owned(other, 9, "contract-b");
        worker_sleep(10);
    }

    assert_true(second > first);
    assert_int_equal(store_chat_commit(st), STORE_UNAVAILABLE);
    assert_int_equal(store_chat_connected(st), 0);

    /* lost, until it connects again: then it owns nothing */
    assert_int_equal(store_chat_append(st, &it, 1, STORE_APPEND_NOW),
                     STORE_UNAVAILABLE);
    assert_int_equal(store_chat_poll(st), STORE_UNAVAILABLE);
    assert_int_equal(store_chat_check(st), STORE_UNAVAILABLE);

    connected(st);
    assert_int_equal(owned(st, 9, "contract-a"), 0);
    assert_int_equal(loaded(0).last, 0);

    /* a holder that is gone already */
    assert_int_equal(store_shard_cut(other, &holder), STORE_OK);
}


/* ----------------------------------------------------------------- members */

static void
left_at(uint64_t user, uint64_t seq)
{
    assert_int_equal(store_chat_member_leave(st, chat, user, seq, &version),
                     STORE_OK);
    committed();
}


static void
joined_at(uint64_t user, uint64_t seq)
{
    assert_int_equal(store_chat_members_add(st, chat, &user, &seq, 1,
                                            &version), STORE_OK);
    committed();
}


static void
entries_between_leaving_and_returning_are_hidden(void **state)
{
    loaded_t  l;
    uint64_t  before;

    before = loaded(0).version;

    sent("a");                          /* 1 */
    left_at(BOB, 2);
    assert_int_equal(loaded(BOB).left, 2);
    assert_true(version > before);
    assert_int_equal(loaded(0).version, version);

    joined_at(BOB, 6);
    left_at(BOB, 8);
    joined_at(BOB, 10);

    l = loaded(BOB);
    assert_int_equal(l.joined, 1);
    assert_int_equal(l.left, 0);
    assert_int_equal(l.nhidden, 2);
    assert_int_equal(l.hidden[0].from, 3);
    assert_int_equal(l.hidden[0].to, 5);
    assert_int_equal(l.hidden[1].from, 9);
    assert_int_equal(l.hidden[1].to, 9);

    assert_int_equal(loaded(ALICE).nhidden, 0);
}


static void
members_of_no_chat_are_stale(void **state)
{
    uint64_t  user, seq;

    user = BOB;
    seq = 1;
    chat[15] ^= 0xff;

    assert_int_equal(store_chat_members_add(st, chat, &user, &seq, 0,
                                            &version), STORE_STALE);
    store_chat_rollback(st);
    assert_int_equal(store_chat_member_leave(st, chat, BOB, 1, &version),
                     STORE_STALE);
    store_chat_rollback(st);
}


static void
users_exist_or_not(void **state)
{
    assert_int_equal(store_account_exist(st, members, 2), STORE_OK);
    assert_int_equal(store_account_exist(st, (uint64_t[]) { ALICE, 404 }, 2),
                     STORE_NOT_FOUND);
}


static void
a_member_view_is_that_of_the_reader(void **state)
{
    store_sees_e         sees;
    store_member_view_t  view;
    store_chat_views_t   views;

    sent("a");
    sent("b");

    assert_int_equal(store_chat_member_view(st, chat, BOB, 0, &view),
                     STORE_OK);
    assert_int_equal(view.last, 2);
    assert_int_equal(view.unread, 2);
    assert_int_equal(view.members, 2);
    assert_int_equal(view.entry.seq, 2);
    assert_int_equal(store_chat_member_view(st, chat, CAROL, 0, &view),
                     STORE_NOT_FOUND);
    store_chat_rollback(st);

    assert_int_equal(store_read_chat(reader, BOB, 0, chat, &sees, &views),
                     STORE_OK);
    assert_int_equal(sees, STORE_SEES_ALL);
    assert_int_equal(views.items[0].unread, 2);
    assert_int_equal(views.items[0].entry.seq, 2);
    store_chat_views_free(&views);
}


/* ---------------------------------------------------------------- receipts */

static void
received(uint64_t delivered, uint64_t read)
{
    store_receipt_t  r;

    memset(&r, 0, sizeof(r));
    memcpy(r.chat, chat, 16);
    r.user = ALICE;
    r.device = PHONE;
    r.device_delivered = delivered;
    r.delivered = delivered;
    r.read = read;

    assert_int_equal(store_chat_receipts(st, &r, 1), STORE_OK);
}


static void
receipts_only_rise(void **state)
{
    loaded_t  l;

    received(3, 2);
    received(2, 1);

    l = loaded(ALICE);
    assert_int_equal(l.delivered, 3);
    assert_int_equal(l.read, 2);

    received(3, 3);
    l = loaded(ALICE);
    assert_int_equal(l.delivered, 3);
    assert_int_equal(l.read, 3);
}


static void
receipts_of_an_entry_are_read(void **state)
{
    store_members_t        list;
    store_entry_receipt_t  receipt;
    store_append_t         it;

    it = item("a", "text");
    it.e.sender = BOB;
    assert_int_equal(store_chat_append(st, &it, 1, STORE_APPEND_NOW),
                     STORE_OK);
    received(1, 0);

    assert_int_equal(store_read_receipts(reader, BOB, chat, 1, 0, 10, &list),
                     STORE_OK);
    assert_int_equal(list.n, 1);
    store_members_receipt(&list, 0, &receipt);
    assert_int_equal(receipt.user, ALICE);
    assert_int_equal(receipt.delivered, 1);
    assert_int_equal(receipt.read, 0);
    assert_true(receipt.delivered_at > 0);
    store_members_free(&list);

    assert_int_equal(store_read_receipts(reader, CAROL, chat, 1, 0, 10,
                                         &list), STORE_OK);
    assert_int_equal(list.sees, STORE_SEES_NOTHING);
    store_members_free(&list);
}


/* ------------------------------------------------------------ pages, lists */

static void
page_is(uint64_t user, int backwards, uint64_t seq, unsigned n,
    store_sees_e sees, int complete, const char *expected)
{
    int           i;
    char          text[64];
    size_t        len;
    chat_entry_t  e;
    store_page_t  page;

    assert_int_equal(store_read_page(reader, user, chat, backwards, seq, n,
                                     &page), STORE_OK);
    assert_int_equal(page.sees, sees);

    text[0] = '\0';

    for (len = 0, i = 0; i < page.n; i++) {
        store_page_entry(&page, i, &e);
        len += (size_t) snprintf(text + len, sizeof(text) - len, "%d%s ",
                                 (int) e.seq,
                                 e.kind == CHAT_KIND_HIDDEN ? "h" : "");
    }

    assert_string_equal(text, expected);

    if (sees != STORE_SEES_NOTHING) {
        assert_int_equal(page.complete, complete);
    }

    store_page_free(&page);
}


static void
six_entries(void)
{
    sent("a");
    sent("b");
    sent("c");
    sent("d");
    sent("e");
    sent("f");
}


static void
pages_go_both_ways_and_say_when_complete(void **state)
{
    six_entries();

    page_is(BOB, 1, INT64_MAX, 4, STORE_SEES_ALL, 0, "3 4 5 6 ");
    page_is(BOB, 1, 3, 4, STORE_SEES_ALL, 1, "1 2 ");
    page_is(BOB, 0, 0, 4, STORE_SEES_ALL, 0, "1 2 3 4 ");
    page_is(BOB, 0, 4, 2, STORE_SEES_ALL, 1, "5 6 ");
    page_is(BOB, 0, 6, 2, STORE_SEES_ALL, 1, "");
    page_is(CAROL, 0, 0, 4, STORE_SEES_NOTHING, 0, "");
}


static void
a_removed_member_sees_the_past_and_no_hidden_entry(void **state)
{
    store_sees_e        sees;
    store_members_t     list;
    store_chat_views_t  views;

    six_entries();
    left_at(BOB, 2);
    page_is(BOB, 1, INT64_MAX, 9, STORE_SEES_PAST, 1, "1 2 ");

    assert_int_equal(store_read_chat(reader, BOB, 0, chat, &sees, &views),
                     STORE_OK);
    assert_int_equal(sees, STORE_SEES_PAST);
    assert_int_equal(views.n, 0);
    store_chat_views_free(&views);

    assert_int_equal(store_read_members(reader, BOB, chat, 0, 9, &list),
                     STORE_OK);
    assert_int_equal(list.sees, STORE_SEES_PAST);
    assert_int_equal(list.n, 0);
    store_members_free(&list);

    joined_at(BOB, 5);
    page_is(BOB, 1, INT64_MAX, 9, STORE_SEES_ALL, 1, "1 2 3h 4h 5 6 ");

    joined_at(CAROL, 6);
    page_is(CAROL, 1, INT64_MAX, 9, STORE_SEES_ALL, 1, "6 ");
}


static void
members_are_listed_by_rising_user(void **state)
{
    int              role;
    uint64_t         user;
    store_members_t  list;

    joined_at(CAROL, 1);

    assert_int_equal(store_read_members(reader, ALICE, chat, ALICE, 1, &list),
                     STORE_OK);
    assert_int_equal(list.sees, STORE_SEES_ALL);
    assert_int_equal(list.n, 1);
    store_members_item(&list, 0, &user, &role);
    assert_int_equal(user, BOB);
    assert_int_equal(role, STORE_MEMBER);
    store_members_free(&list);
}


/* Whether the chat is among all chats of the user, page by page of one. */

static int
listed(uint64_t user)
{
    int                  found;
    store_chat_views_t   views;
    store_chat_cursor_t  cursor;

    found = 0;
    assert_int_equal(store_read_chats(reader, user, 0, NULL, 1, &views),
                     STORE_OK);

    while (views.n > 0) {
        found += memcmp(views.items[0].id, chat, 16) == 0;
        cursor.active = views.items[0].active;
        memcpy(cursor.id, views.items[0].id, 16);
        store_chat_views_free(&views);

        assert_int_equal(store_read_chats(reader, user, 0, &cursor, 1,
                                          &views), STORE_OK);
    }

    store_chat_views_free(&views);

    return found;
}


static void
a_list_has_the_chats_of_members_that_were_not_cleared(void **state)
{
    sent("a");
    assert_int_equal(listed(BOB), 1);
    assert_int_equal(listed(CAROL), 0);

    assert_int_equal(store_chat_clear(st, chat, BOB, 1), STORE_OK);
    committed();
    assert_int_equal(listed(BOB), 0);

    sent("b");
    assert_int_equal(listed(BOB), 1);

    left_at(BOB, 2);
    assert_int_equal(listed(BOB), 0);
}


static void
sync_item(void *ctx, const chat_list_item_t *it)
{
    if (memcmp(it->chat, chat, 16) == 0) {
        *(chat_list_item_t *) ctx = *it;
    }
}


static int
sync_entry(void *ctx, const chat_entry_t *e)
{
    int  *n = ctx;

    (*n)++;

    return 0;
}


static void
a_device_is_behind_until_its_receipt(void **state)
{
    int                n, more;
    chat_page_req_t    request;
    chat_list_item_t   it;

    six_entries();
    received(2, 0);
    memset(&it, 0, sizeof(it));
    assert_int_equal(store_sync_behind(syncs, ALICE, PHONE, 1000, sync_item,
                                       &it, &more), STORE_OK);
    assert_int_equal(it.delivered, 2);
    assert_int_equal(it.last, 6);

    memset(&request, 0, sizeof(request));
    memcpy(request.chat, chat, 16);
    request.after = it.delivered;
    request.to = 5;
    n = 0;
    assert_int_equal(store_sync_page(syncs, ALICE, &request, 1, 100,
                                     sync_entry, &n), STORE_OK);
    assert_int_equal(n, 3);

    received(6, 0);
    memset(&it, 0, sizeof(it));
    assert_int_equal(store_sync_behind(syncs, ALICE, PHONE, 1000, sync_item,
                                       &it, &more), STORE_OK);
    assert_int_equal(it.last, 0);

    assert_int_equal(store_sync_requested(syncs, ALICE, PHONE, &request, 1,
                                          sync_item, &it), STORE_OK);
    assert_int_equal(it.delivered, 6);
}


static void
a_new_device_starts_at_now(void **state)
{
    int                more;
    chat_list_item_t   it;

    six_entries();
    assert_int_equal(store_receipts_start_at_now(reader, ALICE, PHONE + 1),
                     STORE_OK);

    memset(&it, 0, sizeof(it));
    assert_int_equal(store_sync_behind(syncs, ALICE, PHONE + 1, 1000,
                                       sync_item, &it, &more), STORE_OK);
    assert_int_equal(it.last, 0);
}


/* -------------------------------------------------------------------- keys */

static void
an_idempotency_key_replays_its_answer(void **state)
{
    store_key_t  answer;
    chat_str_t   key = str("k"), body = str("{}");

    assert_int_equal(store_chat_key_take(st, ALICE, "route", &key, 42,
                                         &answer), STORE_OK);
    store_chat_rollback(st);

    assert_int_equal(store_chat_key_take(st, ALICE, "route", &key, 42,
                                         &answer), STORE_OK);
    assert_int_equal(store_chat_key_fill(st, ALICE, "route", &key, 201,
                                         &body), STORE_OK);
    committed();

    assert_int_equal(store_chat_key_take(st, ALICE, "route", &key, 43,
                                         &answer), STORE_NOT_FOUND);
    assert_int_equal(answer.digest, 42);
    assert_int_equal(answer.status, 201);
    assert_str(answer.body, "{}");
    store_chat_rollback(st);

    assert_int_equal(store_chat_key_take(st, BOB, "route", &key, 42, &answer),
                     STORE_OK);
    store_chat_rollback(st);
}


/* ----------------------------------------------------------------- targets */

static void
an_entry_is_edited_and_erased(void **state)
{
    chat_str_t      id = str("a"), content = str("new");
    chat_entry_t    e;
    store_target_t  target;

    sent("a");

    assert_int_equal(store_chat_target(st, chat, 1, PHONE, &id, &target),
                     STORE_OK);
    assert_int_equal(target.kind, CHAT_KIND_MESSAGE);
    assert_int_equal(target.sender, ALICE);
    assert_int_equal(target.gone, 0);
    assert_int_equal(target.duplicate, 1);

    assert_int_equal(store_chat_edit(st, chat, 1, &content), STORE_OK);
    committed();
    assert_int_equal(store_chat_entry(st, chat, 1, &e), STORE_OK);
    assert_str(e.content, "new");
    assert_true(e.edited > 0);

    assert_int_equal(store_chat_erase(st, chat, 1), STORE_OK);
    committed();
    assert_int_equal(store_chat_entry(st, chat, 1, &e), STORE_OK);
    assert_int_equal(e.deleted, 1);
    assert_absent(e.content);

    assert_int_equal(store_chat_target(st, chat, 1, PHONE, &id, &target),
                     STORE_OK);
    assert_int_equal(target.gone, 1);
    assert_int_equal(store_chat_target(st, chat, 2, PHONE, &id, &target),
                     STORE_OK);
    assert_int_equal(target.kind, 0);
    store_chat_rollback(st);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(appended_entries_get_dense_seqs),
        TEST(a_duplicate_gets_the_first_seq_and_digest),
        TEST(the_same_message_id_of_another_device_is_no_duplicate),
        TEST(a_stale_chat_is_refused_and_nothing_is_written),
        TEST(a_rollback_leaves_nothing),
        TEST(staged_changes_are_seen_by_others_after_the_commit),
        TEST(a_shard_has_one_owner_and_its_epoch_rises),
        TEST(no_more_shards_are_taken_than_allowed),
        TEST(an_owner_that_was_cut_off_cannot_commit),
        TEST(entries_between_leaving_and_returning_are_hidden),
        TEST(members_of_no_chat_are_stale),
        TEST(users_exist_or_not),
        TEST(a_member_view_is_that_of_the_reader),
        TEST(receipts_only_rise),
        TEST(receipts_of_an_entry_are_read),
        TEST(pages_go_both_ways_and_say_when_complete),
        TEST(a_removed_member_sees_the_past_and_no_hidden_entry),
        TEST(members_are_listed_by_rising_user),
        TEST(a_list_has_the_chats_of_members_that_were_not_cleared),
        TEST(a_device_is_behind_until_its_receipt),
        TEST(a_new_device_starts_at_now),
        TEST(an_idempotency_key_replays_its_answer),
        TEST(an_entry_is_edited_and_erased),
    };
    int  rc;

    if (worker_conf_load(NULL, &conf) != 0) {
        return 1;
    }

    rc = cmocka_run_group_tests(tests, NULL, NULL);
    worker_conf_free(&conf);

    return rc;
}
