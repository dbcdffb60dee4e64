/*
 * committed_test.c: chat_committed.c.
 */

#include "chat_test.h"

#include "chat_bytes.h"
#include "chat_committed.h"
#include "chat_entry.h"


static chat_committed_t
full_record(const uint8_t mentions[16])
{
    chat_committed_t  rec;

    memset(&rec, 0, sizeof(rec));
    memset(rec.chat, 0xab, 16);
    rec.seq = UINT64_MAX;
    rec.kind = CHAT_KIND_REACTION;
    rec.flags = CHAT_COMMITTED_F_REDO | CHAT_COMMITTED_F_MEDIA;
    rec.chat_type = 2;
    rec.sender = 3;
    rec.sender_device = 0x8000000000000001;
    rec.timestamp = -5;
    rec.target = 6;
    rec.subject = 7;
    rec.members_version = 8;
    rec.members = 100000;
    rec.content_type = str("image/png");
    rec.mentions = mentions;
    rec.nmentions = 2;

    return rec;
}


static void
records_are_read_back_in_order(void **state)
{
    size_t            pos;
    uint8_t           mentions[16];
    chat_buf_t        buf = CHAT_BUF_INIT;
    chat_committed_t  rec, got;

    (void) chat_put_u64(chat_put_u64(mentions, 11), UINT64_MAX);
    rec = full_record(mentions);
    assert_int_equal(chat_committed_add(&buf, &rec), 0);

    rec.seq = 1;
    rec.content_type.data = NULL;
    rec.nmentions = 0;
    assert_int_equal(chat_committed_add(&buf, &rec), 0);

    assert_int_equal(buf.data[0], CHAT_COMMITTED_VERSION);
    assert_int_equal(chat_committed_open(buf.data, buf.len, &pos), 0);

    memset(&got, 0x55, sizeof(got));
    assert_int_equal(chat_committed_next(buf.data, buf.len, &pos, &got), 1);
    assert_memory_equal(got.chat, rec.chat, 16);
    assert_true(got.seq == UINT64_MAX);
    assert_int_equal(got.kind, CHAT_KIND_REACTION);
    assert_int_equal(got.flags, rec.flags);
    assert_int_equal(got.chat_type, 2);
    assert_int_equal(got.sender, 3);
    assert_true(got.sender_device == 0x8000000000000001);
    assert_true(got.timestamp == -5);
    assert_int_equal(got.target, 6);
    assert_int_equal(got.subject, 7);
    assert_int_equal(got.members_version, 8);
    assert_int_equal(got.members, 100000);
    assert_str(got.content_type, "image/png");
    assert_int_equal(got.nmentions, 2);
    assert_int_equal(chat_committed_mention(&got, 0), 11);
    assert_true(chat_committed_mention(&got, 1) == UINT64_MAX);

    assert_int_equal(chat_committed_next(buf.data, buf.len, &pos, &got), 1);
    assert_int_equal(got.seq, 1);
    assert_absent(got.content_type);
    assert_int_equal(got.nmentions, 0);
    assert_int_equal(chat_committed_next(buf.data, buf.len, &pos, &got), 0);

    chat_buf_free(&buf);
}


static void
fields_of_a_later_version_are_skipped(void **state)
{
    size_t            pos;
    uint8_t           data[256];
    chat_buf_t        buf = CHAT_BUF_INIT;
    chat_committed_t  rec, got;

    rec = full_record(NULL);
    rec.nmentions = 0;
    assert_int_equal(chat_committed_add(&buf, &rec), 0);

    memset(data, 0, sizeof(data));
    memcpy(data, buf.data, buf.len);
    (void) chat_put_u16(data + 1, (uint16_t) (chat_get_u16(data + 1) + 9));

    assert_int_equal(chat_committed_open(data, buf.len + 9, &pos), 0);
    assert_int_equal(chat_committed_next(data, buf.len + 9, &pos, &got), 1);
    assert_str(got.content_type, "image/png");
    assert_int_equal(chat_committed_next(data, buf.len + 9, &pos, &got), 0);

    chat_buf_free(&buf);
}


static void
every_truncation_is_refused(void **state)
{
    size_t            n, pos;
    uint8_t           mentions[16] = { 0 };
    chat_buf_t        buf = CHAT_BUF_INIT;
    chat_committed_t  rec, got;

    rec = full_record(mentions);
    assert_int_equal(chat_committed_add(&buf, &rec), 0);

    assert_int_equal(chat_committed_open(buf.data, 0, &pos), -1);

    for (n = 2; n < buf.len; n++) {
        assert_int_equal(chat_committed_open(buf.data, n, &pos), 0);
        assert_int_equal(chat_committed_next(buf.data, n, &pos, &got), -1);
    }

    buf.data[0] = CHAT_COMMITTED_VERSION + 1;
    assert_int_equal(chat_committed_open(buf.data, buf.len, &pos), -1);

    chat_buf_free(&buf);
}


static void
fields_above_their_limits_are_not_written(void **state)
{
    char              type[66];
    uint8_t           mentions[16] = { 0 };
    chat_buf_t        buf = CHAT_BUF_INIT;
    chat_committed_t  rec;

    memset(type, 'x', sizeof(type));
    rec = full_record(mentions);
    rec.content_type.data = type;
    rec.content_type.len = 65;
    assert_int_equal(chat_committed_add(&buf, &rec), -1);

    rec.content_type.len = 64;
    rec.nmentions = CHAT_COMMITTED_MENTIONS_MAX + 1;
    assert_int_equal(chat_committed_add(&buf, &rec), -1);
    assert_int_equal(buf.len, 0);

    chat_buf_free(&buf);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(records_are_read_back_in_order),
        cmocka_unit_test(fields_of_a_later_version_are_skipped),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(fields_above_their_limits_are_not_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
