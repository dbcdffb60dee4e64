/*
 * batch_test.c: chat_batch.c.
 */

#include "chat_batch.h"
#include "chat_test.h"


static chat_rec_t
rec_of(uint8_t type)
{
    chat_rec_t  rec;

    memset(&rec, 0, sizeof(rec));

    rec.type = type;
    rec.flags = CHAT_REC_F_REDO;
    memcpy(rec.chat, "0123456789abcdef", 16);
    rec.seq = 11;
    rec.epoch = 12;
    rec.timestamp = -13;
    rec.session = 14;
    rec.user = 15;
    rec.device = UINT64_MAX;
    rec.status = 4403;
    rec.expires = 17;
    rec.message_id = str("mid");
    rec.frame = str("{\"type\":\"x\"}");

    return rec;
}


static void
add_plain(chat_buf_t *buf, uint8_t type)
{
    size_t      mark;
    chat_rec_t  rec;

    rec = rec_of(type);
    assert_int_equal(chat_batch_rec(buf, &rec, &mark), 0);
    assert_int_equal(chat_batch_end(buf, mark), 0);
}


/* one record of each type, in the order of the enum */

static void
full_batch(chat_buf_t *buf)
{
    size_t            mark, inner;
    chat_rec_t        rec;
    chat_presence_t   presence = { 9, CHAT_PRESENCE_ONLINE, -10 };
    chat_list_item_t  item = { "fedcba987654321", 5, 6 };

    assert_int_equal(chat_batch_begin(buf), 0);

    rec = rec_of(CHAT_REC_ENTRY);
    assert_int_equal(chat_batch_rec(buf, &rec, &mark), 0);
    assert_int_equal(chat_batch_target(buf, 100, 0), 0);
    assert_int_equal(chat_batch_target(buf, UINT64_MAX, CHAT_TARGET_HIDDEN),
                     0);
    assert_int_equal(chat_batch_end(buf, mark), 0);

    add_plain(buf, CHAT_REC_ACK);
    add_plain(buf, CHAT_REC_FRAME);
    add_plain(buf, CHAT_REC_HTTP);

    rec = rec_of(CHAT_REC_NOTICE);
    assert_int_equal(chat_batch_rec(buf, &rec, &mark), 0);
    assert_int_equal(chat_batch_target(buf, 7, CHAT_TARGET_CHECK), 0);
    assert_int_equal(chat_batch_end(buf, mark), 0);

    add_plain(buf, CHAT_REC_KICK);
    add_plain(buf, CHAT_REC_REVOKE);

    rec = rec_of(CHAT_REC_SYNC_LIST);
    assert_int_equal(chat_batch_rec(buf, &rec, &mark), 0);
    assert_int_equal(chat_batch_item(buf, &item), 0);
    assert_int_equal(chat_batch_end(buf, mark), 0);

    rec = rec_of(CHAT_REC_SYNC_PAGE);
    assert_int_equal(chat_batch_rec(buf, &rec, &mark), 0);
    rec = rec_of(CHAT_REC_ENTRY);
    assert_int_equal(chat_batch_rec(buf, &rec, &inner), 0);
    assert_int_equal(chat_batch_end(buf, inner), 0);
    rec.seq = 99;
    assert_int_equal(chat_batch_rec(buf, &rec, &inner), 0);
    assert_int_equal(chat_batch_target(buf, 8, 0), 0);
    assert_int_equal(chat_batch_end(buf, inner), 0);
    assert_int_equal(chat_batch_end(buf, mark), 0);

    rec = rec_of(CHAT_REC_PRESENCE);
    assert_int_equal(chat_batch_rec(buf, &rec, &mark), 0);
    assert_int_equal(chat_batch_presence(buf, &presence), 0);
    presence.user = UINT64_MAX;
    assert_int_equal(chat_batch_presence(buf, &presence), 0);
    assert_int_equal(chat_batch_end(buf, mark), 0);
}


static void
every_type_is_read_back(void **state)
{
    size_t            pos, at;
    chat_rec_t        rec, inner;
    chat_buf_t        buf = CHAT_BUF_INIT;
    chat_target_t     target;
    const uint8_t    *p;
    chat_presence_t   presence;
    chat_list_item_t  item;

    full_batch(&buf);
    assert_int_equal(chat_batch_open(buf.data, buf.len, &pos), 0);

#define next(t)                                                              \
    do {                                                                     \
        assert_int_equal(chat_batch_next(buf.data, buf.len, &pos, &rec), 1); \
        assert_int_equal(rec.type, t);                                       \
        assert_int_equal(rec.flags, CHAT_REC_F_REDO);                        \
    } while (0)

    next(CHAT_REC_ENTRY);
    assert_memory_equal(rec.chat, "0123456789abcdef", 16);
    assert_int_equal(rec.seq, 11);
    assert_int_equal(rec.epoch, 12);
    assert_true(rec.timestamp == -13);
    assert_int_equal(rec.session, 14);
    assert_true(rec.device == UINT64_MAX);
    assert_str(rec.message_id, "mid");
    assert_str(rec.frame, "{\"type\":\"x\"}");
    assert_int_equal(rec.nitems, 2);
    p = chat_batch_read_target(rec.items, &target);
    assert_int_equal(target.user, 100);
    assert_int_equal(target.flags, 0);
    (void) chat_batch_read_target(p, &target);
    assert_true(target.user == UINT64_MAX);
    assert_int_equal(target.flags, CHAT_TARGET_HIDDEN);

    next(CHAT_REC_ACK);
    assert_memory_equal(rec.chat, "0123456789abcdef", 16);
    assert_int_equal(rec.seq, 11);
    assert_true(rec.timestamp == -13);
    assert_int_equal(rec.session, 14);
    assert_str(rec.message_id, "mid");

    next(CHAT_REC_FRAME);
    assert_int_equal(rec.session, 14);
    assert_str(rec.message_id, "mid");
    assert_str(rec.frame, "{\"type\":\"x\"}");

    next(CHAT_REC_HTTP);
    assert_int_equal(rec.session, 14);
    assert_int_equal(rec.status, 4403);
    assert_str(rec.frame, "{\"type\":\"x\"}");

    next(CHAT_REC_NOTICE);
    assert_true(rec.device == UINT64_MAX);
    assert_str(rec.frame, "{\"type\":\"x\"}");
    assert_int_equal(rec.nitems, 1);
    (void) chat_batch_read_target(rec.items, &target);
    assert_int_equal(target.user, 7);
    assert_int_equal(target.flags, CHAT_TARGET_CHECK);

    next(CHAT_REC_KICK);
    assert_int_equal(rec.session, 14);
    assert_int_equal(rec.user, 15);
    assert_true(rec.device == UINT64_MAX);
    assert_int_equal(rec.status, 4403);

    next(CHAT_REC_REVOKE);
    assert_int_equal(rec.user, 15);
    assert_true(rec.device == UINT64_MAX);
    assert_int_equal(rec.expires, 17);

    next(CHAT_REC_SYNC_LIST);
    assert_int_equal(rec.session, 14);
    assert_int_equal(rec.seq, 11);
    assert_int_equal(rec.nitems, 1);
    (void) chat_batch_read_item(rec.items, &item);
    assert_memory_equal(item.chat, "fedcba987654321", 16);
    assert_int_equal(item.delivered, 5);
    assert_int_equal(item.last, 6);

    next(CHAT_REC_SYNC_PAGE);
    assert_int_equal(rec.session, 14);
    assert_int_equal(rec.seq, 11);

    at = 0;
    assert_int_equal(chat_batch_next(rec.items, rec.nitems, &at, &inner), 1);
    assert_int_equal(inner.seq, 11);
    assert_int_equal(inner.nitems, 0);
    assert_int_equal(chat_batch_next(rec.items, rec.nitems, &at, &inner), 1);
    assert_int_equal(inner.seq, 99);
    assert_int_equal(inner.nitems, 1);
    assert_int_equal(chat_batch_next(rec.items, rec.nitems, &at, &inner), 0);

    next(CHAT_REC_PRESENCE);
    assert_int_equal(rec.session, 14);
    assert_true(rec.timestamp == -13);
    assert_int_equal(rec.nitems, 2);
    p = chat_batch_read_presence(rec.items, &presence);
    assert_int_equal(presence.user, 9);
    assert_int_equal(presence.flags, CHAT_PRESENCE_ONLINE);
    assert_true(presence.last_seen == -10);
    (void) chat_batch_read_presence(p, &presence);
    assert_true(presence.user == UINT64_MAX);

    assert_int_equal(chat_batch_next(buf.data, buf.len, &pos, &rec), 0);

#undef next

    chat_buf_free(&buf);
}


static void
given_items_are_written_at_once(void **state)
{
    size_t      mark, pos;
    chat_rec_t  rec, got;
    chat_buf_t  buf = CHAT_BUF_INIT;

    assert_int_equal(chat_batch_begin(&buf), 0);

    rec = rec_of(CHAT_REC_NOTICE);
    rec.items = (const uint8_t *) "12345678\x01" "12345678\x02";
    rec.nitems = 2;
    assert_int_equal(chat_batch_rec(&buf, &rec, &mark), 0);
    assert_int_equal(chat_batch_end(&buf, mark), 0);

    assert_int_equal(chat_batch_open(buf.data, buf.len, &pos), 0);
    assert_int_equal(chat_batch_next(buf.data, buf.len, &pos, &got), 1);
    assert_int_equal(got.nitems, 2);
    assert_memory_equal(got.items, rec.items, 18);

    chat_buf_free(&buf);
}


static void
absent_and_empty_strings_differ(void **state)
{
    size_t      mark, pos;
    chat_rec_t  rec, got;
    chat_buf_t  buf = CHAT_BUF_INIT;

    assert_int_equal(chat_batch_begin(&buf), 0);

    rec = rec_of(CHAT_REC_FRAME);
    memset(&rec.message_id, 0, sizeof(rec.message_id));
    rec.frame = str("");
    assert_int_equal(chat_batch_rec(&buf, &rec, &mark), 0);
    assert_int_equal(chat_batch_end(&buf, mark), 0);

    assert_int_equal(chat_batch_open(buf.data, buf.len, &pos), 0);
    assert_int_equal(chat_batch_next(buf.data, buf.len, &pos, &got), 1);
    assert_absent(got.message_id);
    assert_str(got.frame, "");

    chat_buf_free(&buf);
}


static void
unknown_types_are_skipped(void **state)
{
    size_t      pos;
    chat_rec_t  rec;
    chat_buf_t  buf = CHAT_BUF_INIT;

    assert_int_equal(chat_batch_begin(&buf), 0);
    chat_buf_add(&buf, "\x05\0\0\0\xff\0abc", 9);
    chat_buf_add(&buf, "\x02\0\0\0\0\0", 6);
    add_plain(&buf, CHAT_REC_ACK);

    assert_int_equal(chat_batch_open(buf.data, buf.len, &pos), 0);
    assert_int_equal(chat_batch_next(buf.data, buf.len, &pos, &rec), 1);
    assert_int_equal(rec.type, CHAT_REC_ACK);
    assert_int_equal(chat_batch_next(buf.data, buf.len, &pos, &rec), 0);

    chat_buf_free(&buf);
}


static void
unknown_type_is_not_written(void **state)
{
    size_t      mark;
    chat_rec_t  rec;
    chat_buf_t  buf = CHAT_BUF_INIT;

    rec = rec_of(200);
    assert_int_equal(chat_batch_begin(&buf), 0);
    assert_int_equal(chat_batch_rec(&buf, &rec, &mark), -1);
    assert_true(buf.failed);
    assert_int_equal(chat_batch_end(&buf, mark), -1);

    chat_buf_free(&buf);
}


static void
unknown_version_and_empty_batch_are_refused(void **state)
{
    size_t  pos;

    assert_int_equal(chat_batch_open((const uint8_t *) "", 0, &pos), -1);
    assert_int_equal(chat_batch_open((const uint8_t *) "\x02", 1, &pos), -1);
    assert_int_equal(chat_batch_open((const uint8_t *) "\x00", 1, &pos), -1);
}


static void
truncated_batch_ends_or_is_refused_without_overread(void **state)
{
    int         rc;
    size_t      len, pos;
    uint8_t    *copy;
    chat_rec_t  rec;
    chat_buf_t  buf = CHAT_BUF_INIT;

    full_batch(&buf);

    for (len = 1; len < buf.len; len++) {

        copy = malloc(len);
        memcpy(copy, buf.data, len);
        assert_int_equal(chat_batch_open(copy, len, &pos), 0);

        do {
            rc = chat_batch_next(copy, len, &pos, &rec);
        } while (rc == 1);

        assert_true(rc == -1 || pos == len);
        free(copy);
    }

    chat_buf_free(&buf);
}


static void
record_shorter_than_its_fields_is_refused(void **state)
{
    int         type;
    size_t      pos;
    uint8_t     data[7];
    chat_rec_t  rec;

    for (type = CHAT_REC_ENTRY; type <= CHAT_REC_PRESENCE; type++) {

        memcpy(data, "\x01\x02\0\0\0", 5);
        data[5] = (uint8_t) type;
        data[6] = 0;

        assert_int_equal(chat_batch_open(data, 7, &pos), 0);
        assert_int_equal(chat_batch_next(data, 7, &pos, &rec), -1);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(every_type_is_read_back),
        cmocka_unit_test(given_items_are_written_at_once),
        cmocka_unit_test(absent_and_empty_strings_differ),
        cmocka_unit_test(unknown_types_are_skipped),
        cmocka_unit_test(unknown_type_is_not_written),
        cmocka_unit_test(unknown_version_and_empty_batch_are_refused),
        cmocka_unit_test(truncated_batch_ends_or_is_refused_without_overread),
        cmocka_unit_test(record_shorter_than_its_fields_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
