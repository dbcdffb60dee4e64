/*
 * json_test.c: chat_json.c and chat_error.c. jansson and gmtime() are the
 * reference.
 */

#include <stdio.h>
#include <time.h>

#include <jansson.h>

#include "chat_error.h"
#include "chat_json.h"
#include "chat_test.h"


static void
check_string(const char *text, size_t len)
{
    json_t     *parsed;
    uint8_t     out[chat_json_string_max(512)], *end;

    end = chat_json_string(out, text, len);
    assert_true((size_t) (end - out) <= chat_json_string_max(len));

    parsed = json_loadb((char *) out, (size_t) (end - out),
                        JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    assert_non_null(parsed);
    assert_int_equal(json_string_length(parsed), len);
    assert_memory_equal(json_string_value(parsed), text, len);

    json_decref(parsed);
}


static void
every_byte_at_every_place_is_read_back(void **state)
{
    char    text[24];
    size_t  len, at;
    int     c;

    for (len = 0; len < sizeof(text); len++) {
        for (at = 0; at < len; at++) {
            for (c = 0; c < 0x80; c++) {
                memset(text, 'a', sizeof(text));
                text[at] = (char) c;
                check_string(text, len);
            }
        }

        memset(text, 0, sizeof(text));
        check_string(text, len);
    }
}


static void
multibyte_characters_are_written_as_they_are(void **state)
{
    uint8_t  out[200], *end;

    static const char  text[] = "\x7f \xd0\xb9\xe2\x82\xac\xf0\x9f\x98\x80"
                                "\xe2\x80\xa8 and more of it";

    end = chat_json_string(out, text, sizeof(text) - 1);

    assert_int_equal(end - out, sizeof(text) - 1 + 2);
    assert_memory_equal(out + 1, text, sizeof(text) - 1);
    check_string(text, sizeof(text) - 1);
}


static void
short_escapes_are_used(void **state)
{
    chat_buf_t  buf = CHAT_BUF_INIT;

    assert_int_equal(chat_json_add_string(&buf, "\b\f\n\r\t\"\\\x01\x1f", 9),
                     0);
    assert_bytes(buf.data, buf.len,
                 "\"\\b\\f\\n\\r\\t\\\"\\\\\\u0001\\u001f\"");

    chat_buf_free(&buf);
}


static void
impossible_string_fails(void **state)
{
    chat_buf_t  buf = CHAT_BUF_INIT;

    assert_int_equal(chat_json_add_string(&buf, "", SIZE_MAX / 2), -1);
    assert_true(buf.failed);

    chat_buf_free(&buf);
}


static void
time_agrees_with_gmtime(void **state)
{
    char       expected[64];
    time_t     s;
    int64_t    ms;
    uint8_t    out[CHAT_TIME_TEXT];
    struct tm  tm;

    /* a prime number of seconds, so that all hours and days are covered */

    for (s = -2208988800; s < 7258118400; s += 86399 * 7 + 11) {

        ms = (int64_t) s * 1000 + (s & 0x3ff) % 1000;

        assert_ptr_equal(chat_json_time(out, ms), out + CHAT_TIME_TEXT);

        gmtime_r(&s, &tm);
        snprintf(expected, sizeof(expected),
                 "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                 tm.tm_min, tm.tm_sec, (int) ((s & 0x3ff) % 1000));

        assert_memory_equal(out, expected, CHAT_TIME_TEXT);
    }
}


static void
check_time(int64_t ms, const char *expected)
{
    uint8_t  out[CHAT_TIME_TEXT];

    (void) chat_json_time(out, ms);
    assert_memory_equal(out, expected, CHAT_TIME_TEXT);
}


static void
limits_of_time(void **state)
{
    check_time(0, "1970-01-01T00:00:00.000Z");
    check_time(-1, "1969-12-31T23:59:59.999Z");
    check_time(951782400000, "2000-02-29T00:00:00.000Z");
    check_time(1709251199999, "2024-02-29T23:59:59.999Z");
    check_time(4107542400000, "2100-03-01T00:00:00.000Z");
    check_time(253402300799999, "9999-12-31T23:59:59.999Z");
    check_time(-62135596800000, "0001-01-01T00:00:00.000Z");
    check_time(INT64_MAX, "9999-12-31T23:59:59.999Z");
    check_time(INT64_MIN, "0001-01-01T00:00:00.000Z");
}


static void
limits_of_numbers(void **state)
{
    uint8_t  out[20];

    assert_bytes(out, chat_json_u64(out, 0) - out, "0");
    assert_bytes(out, chat_json_u64(out, 10) - out, "10");
    assert_bytes(out, chat_json_u64(out, UINT64_MAX) - out,
                 "18446744073709551615");
}


static void
problem_has_the_members_of_the_contract(void **state)
{
    json_t     *p;
    chat_buf_t  buf = CHAT_BUF_INIT;

    assert_int_equal(chat_json_problem(&buf, CHAT_E_RATE_LIMITED,
                                       "say \"less\"", 7), 0);

    p = json_loadb((char *) buf.data, buf.len, 0, NULL);
    assert_non_null(p);

    assert_string_equal(json_string_value(json_object_get(p, "code")),
                        "rate_limited");
    assert_int_equal(json_integer_value(json_object_get(p, "status")), 429);
    assert_string_equal(json_string_value(json_object_get(p, "detail")),
                        "say \"less\"");
    assert_int_equal(json_integer_value(json_object_get(p, "retryAfter")), 7);
    assert_string_equal(json_string_value(json_object_get(p, "title")),
                        chat_error_title(CHAT_E_RATE_LIMITED));
    assert_non_null(json_string_value(json_object_get(p, "type")));

    json_decref(p);
    chat_buf_reset(&buf);

    assert_int_equal(chat_json_problem(&buf, CHAT_E_NOT_FOUND, NULL, 0), 0);

    p = json_loadb((char *) buf.data, buf.len, 0, NULL);
    assert_non_null(p);
    assert_null(json_object_get(p, "detail"));
    assert_null(json_object_get(p, "retryAfter"));

    json_decref(p);
    chat_buf_free(&buf);
}


static void
every_error_has_a_code_a_status_and_a_title(void **state)
{
    int  e, other;

    for (e = 1; e < CHAT_E_COUNT; e++) {
        assert_true(chat_error_status(e) >= 400);
        assert_true(chat_error_status(e) < 600);
        assert_true(strlen(chat_error_title(e)) > 0);

        for (other = 1; other < e; other++) {
            assert_string_not_equal(chat_error_word(e),
                                    chat_error_word(other));
            assert_string_not_equal(chat_error_title(e),
                                    chat_error_title(other));
        }
    }
}


static void
numbers_outside_the_enum_are_internal(void **state)
{
    assert_string_equal(chat_error_word(CHAT_E_COUNT), "internal");
    assert_string_equal(chat_error_word(-1), "internal");
    assert_int_equal(chat_error_status(12345), 500);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(every_byte_at_every_place_is_read_back),
        cmocka_unit_test(multibyte_characters_are_written_as_they_are),
        cmocka_unit_test(short_escapes_are_used),
        cmocka_unit_test(impossible_string_fails),
        cmocka_unit_test(time_agrees_with_gmtime),
        cmocka_unit_test(limits_of_time),
        cmocka_unit_test(limits_of_numbers),
        cmocka_unit_test(problem_has_the_members_of_the_contract),
        cmocka_unit_test(every_error_has_a_code_a_status_and_a_title),
        cmocka_unit_test(numbers_outside_the_enum_are_internal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
