/*
 * buf_test.c: chat_buf.c.
 */

#include "chat_buf.h"
#include "chat_test.h"


static void
bytes_are_kept_while_the_buffer_grows(void **state)
{
    size_t      i;
    uint8_t     c;
    chat_buf_t  buf = CHAT_BUF_INIT;

    for (i = 0; i < 100000; i++) {
        c = (uint8_t) (i * 31);
        assert_int_equal(chat_buf_add(&buf, &c, 1), 0);
    }

    assert_int_equal(buf.len, 100000);

    for (i = 0; i < 100000; i++) {
        assert_int_equal(buf.data[i], (uint8_t) (i * 31));
    }

    chat_buf_free(&buf);
}


static void
reserved_space_is_not_counted(void **state)
{
    chat_buf_t  buf = CHAT_BUF_INIT;

    assert_non_null(chat_buf_reserve(&buf, 1000));
    assert_int_equal(buf.len, 0);
    assert_true(buf.cap >= 1000);

    chat_buf_free(&buf);
}


static void
zero_bytes_can_be_added(void **state)
{
    chat_buf_t  buf = CHAT_BUF_INIT;

    assert_int_equal(chat_buf_add(&buf, NULL, 0), 0);
    assert_int_equal(buf.len, 0);

    chat_buf_free(&buf);
}


static void
too_large_reservation_fails_and_stays_failed(void **state)
{
    chat_buf_t  buf = CHAT_BUF_INIT;

    assert_int_equal(chat_buf_add(&buf, "abc", 3), 0);
    assert_null(chat_buf_reserve(&buf, SIZE_MAX));
    assert_true(buf.failed);
    assert_int_equal(chat_buf_add(&buf, "d", 1), -1);
    assert_int_equal(buf.len, 3);

    chat_buf_reset(&buf);
    assert_int_equal(chat_buf_add(&buf, "d", 1), 0);
    assert_bytes(buf.data, buf.len, "d");

    chat_buf_free(&buf);
    assert_null(buf.data);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(bytes_are_kept_while_the_buffer_grows),
        cmocka_unit_test(reserved_space_is_not_counted),
        cmocka_unit_test(zero_bytes_can_be_added),
        cmocka_unit_test(too_large_reservation_fails_and_stays_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
