/*
 * entry_test.c: chat_entry.c.
 */

#include "chat_entry.h"
#include "chat_test.h"

#define CHAT  "00112233-4455-7677-8899-aabbccddeeff"


static chat_entry_t
entry_of(uint8_t kind)
{
    chat_entry_t  e;

    memset(&e, 0, sizeof(e));

    memcpy(e.chat, "\x00\x11\x22\x33\x44\x55\x76\x77"
                   "\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
    e.seq = 42;
    e.kind = kind;
    e.sender = 5;
    e.sender_device = 6;
    e.timestamp = 1767323045678;
    e.message_id = str("m1");

    return e;
}


static void
check(const chat_entry_t *e, int as_frame, const char *expected)
{
    chat_buf_t  buf = CHAT_BUF_INIT;

    assert_int_equal(chat_entry_json(&buf, e, as_frame), 0);
    assert_int_equal(chat_buf_add(&buf, "", 1), 0);
    assert_string_equal((char *) buf.data, expected);

    chat_buf_free(&buf);
}


static void
message_as_frame_has_the_type(void **state)
{
    chat_entry_t  e;

    e = entry_of(CHAT_KIND_MESSAGE);
    e.content = str("hi \"you\"");

    check(&e, 1, "{\"type\":\"new_message\",\"chatId\":\"" CHAT "\","
          "\"seq\":42,\"kind\":\"message\",\"messageId\":\"m1\","
          "\"senderId\":\"5\",\"senderDeviceId\":\"6\","
          "\"content\":\"hi \\\"you\\\"\",\"contentType\":\"text\","
          "\"timestamp\":\"2026-01-02T03:04:05.678Z\"}");
}


static void
message_with_everything(void **state)
{
    chat_entry_t  e;

    e = entry_of(CHAT_KIND_MESSAGE);
    e.content = str("x");
    e.content_type = str("image");
    e.media_id = str("pic");
    e.reply_to = 3;
    e.expires_in = 60;
    e.edited = 1767323045679;

    check(&e, 0, "{\"chatId\":\"" CHAT "\","
          "\"seq\":42,\"kind\":\"message\",\"messageId\":\"m1\","
          "\"senderId\":\"5\",\"senderDeviceId\":\"6\",\"replyTo\":3,"
          "\"content\":\"x\",\"contentType\":\"image\",\"mediaId\":\"pic\","
          "\"expiresIn\":60,\"editedAt\":\"2026-01-02T03:04:05.679Z\","
          "\"timestamp\":\"2026-01-02T03:04:05.678Z\"}");
}


static void
deleted_message_has_no_content(void **state)
{
    chat_entry_t  e;

    e = entry_of(CHAT_KIND_MESSAGE);
    e.deleted = 1;
    e.content = str("secret");
    e.media_id = str("pic");

    check(&e, 0, "{\"chatId\":\"" CHAT "\","
          "\"seq\":42,\"kind\":\"message\",\"messageId\":\"m1\","
          "\"senderId\":\"5\",\"senderDeviceId\":\"6\",\"deleted\":true,"
          "\"timestamp\":\"2026-01-02T03:04:05.678Z\"}");
}


static void
hidden_has_chat_seq_and_kind_alone(void **state)
{
    chat_entry_t  e;

    e = entry_of(CHAT_KIND_HIDDEN);
    e.content = str("secret");

    check(&e, 1, "{\"type\":\"new_message\",\"chatId\":\"" CHAT "\","
          "\"seq\":42,\"kind\":\"hidden\"}");
}


static void
edit_delete_and_reaction_name_their_target(void **state)
{
    chat_entry_t  e;

    e = entry_of(CHAT_KIND_EDIT);
    e.target = 7;
    e.content = str("new");

    check(&e, 0, "{\"chatId\":\"" CHAT "\","
          "\"seq\":42,\"kind\":\"edit\",\"messageId\":\"m1\","
          "\"senderId\":\"5\",\"senderDeviceId\":\"6\",\"target\":7,"
          "\"content\":\"new\",\"contentType\":\"text\","
          "\"timestamp\":\"2026-01-02T03:04:05.678Z\"}");

    e.kind = CHAT_KIND_DELETE;

    check(&e, 0, "{\"chatId\":\"" CHAT "\","
          "\"seq\":42,\"kind\":\"delete\",\"messageId\":\"m1\","
          "\"senderId\":\"5\",\"senderDeviceId\":\"6\",\"target\":7,"
          "\"timestamp\":\"2026-01-02T03:04:05.678Z\"}");

    e.kind = CHAT_KIND_REACTION;
    e.content = str("");

    check(&e, 0, "{\"chatId\":\"" CHAT "\","
          "\"seq\":42,\"kind\":\"reaction\",\"messageId\":\"m1\","
          "\"senderId\":\"5\",\"senderDeviceId\":\"6\",\"target\":7,"
          "\"emoji\":\"\",\"timestamp\":\"2026-01-02T03:04:05.678Z\"}");
}


static void
member_entry_by_the_server_has_no_device(void **state)
{
    chat_entry_t  e;

    e = entry_of(CHAT_KIND_MEMBER_ADDED);
    memset(&e.message_id, 0, sizeof(e.message_id));
    e.sender_device = 0;
    e.subject = 9;
    e.role = str("member");

    check(&e, 0, "{\"chatId\":\"" CHAT "\","
          "\"seq\":42,\"kind\":\"member_added\",\"senderId\":\"5\","
          "\"userId\":\"9\",\"role\":\"member\","
          "\"timestamp\":\"2026-01-02T03:04:05.678Z\"}");
}


static void
changed_chat_has_its_title(void **state)
{
    chat_entry_t  e;

    e = entry_of(CHAT_KIND_CHAT_CHANGED);
    e.content = str("club");

    check(&e, 0, "{\"chatId\":\"" CHAT "\","
          "\"seq\":42,\"kind\":\"chat_changed\",\"messageId\":\"m1\","
          "\"senderId\":\"5\",\"senderDeviceId\":\"6\",\"title\":\"club\","
          "\"timestamp\":\"2026-01-02T03:04:05.678Z\"}");
}


static void
kinds_have_the_words_of_the_contract(void **state)
{
    assert_string_equal(chat_kind_word(CHAT_KIND_MESSAGE), "message");
    assert_string_equal(chat_kind_word(CHAT_KIND_HIDDEN), "hidden");
    assert_string_equal(chat_kind_word(0), "unknown");
    assert_string_equal(chat_kind_word(1000), "unknown");
}


static void
digest_sees_every_compared_field(void **state)
{
    uint64_t      first;
    chat_entry_t  e, other;

    e = entry_of(CHAT_KIND_MESSAGE);
    e.content = str("ab");
    e.media_id = str("c");
    first = chat_entry_digest(&e);

    assert_true(first != 0);
    assert_true(chat_entry_digest(&e) == first);

#define differs(change)                                                      \
    do {                                                                     \
        other = e;                                                           \
        change;                                                              \
        assert_true(chat_entry_digest(&other) != first);                     \
    } while (0)

    differs(other.kind = CHAT_KIND_EDIT);
    differs(other.target = 1);
    differs(other.reply_to = 1);
    differs(other.expires_in = 1);
    differs(other.content = str("ac"));
    differs(other.content_type = str("image"));
    differs(other.media_id = str("d"));
    differs((other.content = str("a"), other.media_id = str("bc")));

#undef differs
}


static void
digest_sees_nothing_else(void **state)
{
    chat_entry_t  e, other;

    e = entry_of(CHAT_KIND_MESSAGE);
    e.content = str("ab");

    other = e;
    other.seq = 1000;
    other.timestamp++;
    other.edited = 5;
    other.message_id = str("another");
    other.content_type = str("text");

    assert_true(chat_entry_digest(&e) == chat_entry_digest(&other));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(message_as_frame_has_the_type),
        cmocka_unit_test(message_with_everything),
        cmocka_unit_test(deleted_message_has_no_content),
        cmocka_unit_test(hidden_has_chat_seq_and_kind_alone),
        cmocka_unit_test(edit_delete_and_reaction_name_their_target),
        cmocka_unit_test(member_entry_by_the_server_has_no_device),
        cmocka_unit_test(changed_chat_has_its_title),
        cmocka_unit_test(kinds_have_the_words_of_the_contract),
        cmocka_unit_test(digest_sees_every_compared_field),
        cmocka_unit_test(digest_sees_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
