/*
 * event_test.c: chat_event.c.
 */

#include "chat_test.h"


static chat_event_t
full_event(void)
{
    size_t        i;
    chat_event_t  ev;

    memset(&ev, 0, sizeof(ev));

    ev.type = CHAT_EV_SEND;
    ev.flags = CHAT_EV_F_REST;
    ev.edge = 0x0102030405060708;
    ev.session = UINT64_MAX;
    ev.user = 1;
    ev.device = 0x8000000000000000;
    ev.received = -5;
    ev.seq = 7;
    ev.reply_to = 8;
    ev.expires_in = 9;
    ev.message_id = str("m-1");
    ev.content = str("hello\0there");
    ev.content_type = str("");
    ev.idempotency_key = str("key");
    ev.body = str("{}");

    for (i = 0; i < 16; i++) {
        ev.chat[i] = (uint8_t) (0xf0 + i);
    }

    return ev;
}


static void
event_is_read_back(void **state)
{
    size_t        size;
    uint8_t      *data;
    chat_event_t  ev, got;

    ev = full_event();
    size = chat_event_size(&ev);
    data = malloc(size);
    assert_ptr_equal(chat_event_encode(&ev, data), data + size);

    memset(&got, 0xaa, sizeof(got));
    assert_int_equal(chat_event_decode(data, size, &got), 0);

    assert_int_equal(got.type, ev.type);
    assert_int_equal(got.flags, ev.flags);
    assert_true(got.edge == ev.edge);
    assert_true(got.session == ev.session);
    assert_true(got.user == ev.user);
    assert_true(got.device == ev.device);
    assert_true(got.received == -5);
    assert_memory_equal(got.chat, ev.chat, 16);
    assert_int_equal(got.seq, 7);
    assert_int_equal(got.reply_to, 8);
    assert_int_equal(got.expires_in, 9);
    assert_str(got.message_id, "m-1");
    assert_str(got.content, "hello\0there");
    assert_str(got.content_type, "");
    assert_absent(got.media_id);
    assert_str(got.idempotency_key, "key");
    assert_str(got.body, "{}");

    free(data);
}


static void
first_byte_is_the_version_and_order_is_little_endian(void **state)
{
    uint8_t       data[512];
    chat_event_t  ev;

    ev = full_event();
    (void) chat_event_encode(&ev, data);

    assert_int_equal(data[0], 1);
    assert_int_equal(data[1], CHAT_EV_SEND);
    assert_memory_equal(data + 4, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
}


static void
truncated_event_is_refused_at_every_byte(void **state)
{
    size_t        size, len;
    uint8_t       data[512], *copy;
    chat_event_t  ev, got;

    ev = full_event();
    size = chat_event_size(&ev);
    (void) chat_event_encode(&ev, data);

    for (len = 0; len < size; len++) {

        /* exact size, so that a sanitizer detects an overread */
        copy = malloc(len ? len : 1);
        memcpy(copy, data, len);
        assert_int_equal(chat_event_decode(copy, len, &got), -1);
        free(copy);
    }
}


static void
unknown_version_is_refused(void **state)
{
    uint8_t       data[512];
    chat_event_t  ev, got;

    ev = full_event();
    (void) chat_event_encode(&ev, data);

    data[0] = 0;
    assert_int_equal(chat_event_decode(data, chat_event_size(&ev), &got), -1);
    data[0] = 2;
    assert_int_equal(chat_event_decode(data, chat_event_size(&ev), &got), -1);
}


static void
trailing_bytes_are_ignored(void **state)
{
    uint8_t       data[512];
    chat_event_t  ev, got;

    memset(data, 0x55, sizeof(data));
    ev = full_event();
    (void) chat_event_encode(&ev, data);

    assert_int_equal(chat_event_decode(data, sizeof(data), &got), 0);
    assert_str(got.body, "{}");
}


static void
receipt_is_read_back(void **state)
{
    uint8_t      data[CHAT_RECEIPT_SIZE];
    chat_receipt_t  got;
    chat_receipt_t  receipt = { 1, 2, 3, "0123456789abcde", 4, UINT64_MAX };

    assert_ptr_equal(chat_receipt_encode(&receipt, data),
                     data + CHAT_RECEIPT_SIZE);
    assert_ptr_equal(chat_receipt_decode(data, &got), data + CHAT_RECEIPT_SIZE);
    assert_memory_equal(&got, &receipt, sizeof(receipt));
}


static void
page_request_is_read_back(void **state)
{
    uint8_t      data[CHAT_PAGE_REQ_SIZE];
    chat_page_req_t  got, request = { "0123456789abcde", 4, UINT64_MAX };

    assert_ptr_equal(chat_page_req_encode(&request, data),
                     data + CHAT_PAGE_REQ_SIZE);
    assert_ptr_equal(chat_page_req_decode(data, &got),
                     data + CHAT_PAGE_REQ_SIZE);
    assert_memory_equal(&got, &request, sizeof(request));
}


static void
user_is_read_back(void **state)
{
    uint8_t   data[CHAT_USER_SIZE];
    uint64_t  got;

    assert_ptr_equal(chat_user_encode(UINT64_MAX - 1, data),
                     data + CHAT_USER_SIZE);
    assert_ptr_equal(chat_user_decode(data, &got), data + CHAT_USER_SIZE);
    assert_true(got == UINT64_MAX - 1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(event_is_read_back),
        cmocka_unit_test(first_byte_is_the_version_and_order_is_little_endian),
        cmocka_unit_test(truncated_event_is_refused_at_every_byte),
        cmocka_unit_test(unknown_version_is_refused),
        cmocka_unit_test(trailing_bytes_are_ignored),
        cmocka_unit_test(receipt_is_read_back),
        cmocka_unit_test(page_request_is_read_back),
        cmocka_unit_test(user_is_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
