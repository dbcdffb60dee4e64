/*
 * id_test.c: chat_id.c.
 */

#include "chat_id.h"
#include "chat_proto.h"
#include "chat_test.h"

static const char     text[] = "0123abcd-4567-89ef-8000-fedcba987654";
static const uint8_t  bytes[16] = {
    0x01, 0x23, 0xab, 0xcd, 0x45, 0x67, 0x89, 0xef,
    0x80, 0x00, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54
};


static void
uuid_is_parsed_and_printed(void **state)
{
    char     out[CHAT_ID_TEXT];
    uint8_t  id[16];

    assert_int_equal(chat_id_parse(text, 36, id), 0);
    assert_memory_equal(id, bytes, 16);
    assert_ptr_equal(chat_id_print(id, out), out + 36);
    assert_memory_equal(out, text, 36);
}


static void
upper_case_digits_are_accepted_and_printed_lower_case(void **state)
{
    char     out[CHAT_ID_TEXT];
    uint8_t  id[16];

    assert_int_equal(chat_id_parse("0123ABCD-4567-89EF-8000-FEDCBA987654", 36,
                                   id), 0);
    (void) chat_id_print(id, out);
    assert_memory_equal(out, text, 36);
}


static void
any_wrong_byte_is_not_a_uuid(void **state)
{
    int      c;
    char     copy[37];
    size_t   i;
    uint8_t  id[16];

    for (i = 0; i < 36; i++) {
        for (c = 0; c < 256; c++) {
            memcpy(copy, text, 37);
            copy[i] = (char) c;

            if (text[i] == '-') {
                assert_int_equal(chat_id_parse(copy, 36, id),
                                 c == '-' ? 0 : -1);

            } else if (c == '-' || c < '0' || (c > '9' && c < 'A')
                       || (c > 'F' && c < 'a') || c > 'f')
            {
                assert_int_equal(chat_id_parse(copy, 36, id), -1);
            }
        }
    }
}


static void
wrong_length_is_not_a_uuid(void **state)
{
    size_t   len;
    uint8_t  id[16];

    for (len = 0; len < 36; len++) {
        assert_int_equal(chat_id_parse(text, len, id), -1);
    }

    assert_int_equal(chat_id_parse("0123abcd-4567-89ef-8000-fedcba9876540",
                                   37, id), -1);
}


static void
version_7_holds_the_time(void **state)
{
    char     out[CHAT_ID_TEXT];
    uint8_t  id[16], random[10];

    memset(random, 0xff, sizeof(random));

    /* the example of RFC 9562, appendix A.6 */
    chat_id_v7(0x017F22E279B0, random, id);
    (void) chat_id_print(id, out);
    assert_memory_equal(out, "017f22e2-79b0-7fff-bfff-ffffffffffff", 36);

    memset(random, 0, sizeof(random));
    chat_id_v7(0x017F22E279B0, random, id);
    (void) chat_id_print(id, out);
    assert_memory_equal(out, "017f22e2-79b0-7000-8000-000000000000", 36);
}


static void
direct_chat_is_the_same_from_both_sides(void **state)
{
    uint8_t  key[CHAT_ID_KEY] = { 1 }, other_key[CHAT_ID_KEY] = { 2 };
    uint8_t  a[16], b[16];

    chat_id_direct(key, 12, 99, a);
    chat_id_direct(key, 99, 12, b);
    assert_memory_equal(a, b, 16);
    assert_int_equal(a[6] >> 4, 7);
    assert_int_equal(a[8] >> 6, 2);

    chat_id_direct(key, 12, 98, b);
    assert_memory_not_equal(a, b, 16);

    chat_id_direct(other_key, 12, 99, b);
    assert_memory_not_equal(a, b, 16);
}


static void
direct_chat_never_changes(void **state)
{
    char     out[CHAT_ID_TEXT];
    size_t   i;
    uint8_t  key[CHAT_ID_KEY], id[16];

    /* chats in a database depend on it: Python's
     * blake2b(pack("<QQ", 1, 2), key=bytes(range(32)), digest_size=16) */

    for (i = 0; i < CHAT_ID_KEY; i++) {
        key[i] = (uint8_t) i;
    }

    chat_id_direct(key, 1, 2, id);
    (void) chat_id_print(id, out);
    assert_memory_equal(out, "ff480ec4-cdf5-75ae-84c4-f2c5351ce62a", 36);
}


static void
shard_is_the_low_six_bits(void **state)
{
    uint8_t  id[16] = { 0 };

    id[15] = 0xff;
    assert_int_equal(chat_id_shard(id), 63);
    id[15] = 0x40;
    assert_int_equal(chat_id_shard(id), 0);
    id[15] = 0x85;
    assert_int_equal(chat_id_shard(id), 5);
}


static int
num(const char *s, uint64_t *n)
{
    return chat_num_parse(s, strlen(s), n);
}


static void
numbers_from_1_to_2_63_are_accepted(void **state)
{
    uint64_t  n;

    assert_int_equal(num("1", &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(num("9223372036854775807", &n), 0);
    assert_true(n == INT64_MAX);
}


static void
other_numbers_are_refused(void **state)
{
    size_t    i;
    uint64_t  n;

    static const char  *bad[] = {
        "", "0", "01", "-1", "+1", " 1", "1 ", "1a", "1.0", "1e3", "0x1",
        "9223372036854775808", "9999999999999999999", "18446744073709551616",
        "10000000000000000000",
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        n = 77;
        assert_int_equal(num(bad[i], &n), -1);
        assert_int_equal(n, 77);
    }

    assert_int_equal(chat_num_parse("1\0", 2, &n), -1);
}


static void
key_file_is_64_digits_and_a_newline(void **state)
{
    char     hex[] = "000102030405060708090a0b0c0d0e0f"
                     "101112131415161718191A1B1C1D1E1F\n";
    size_t   i;
    uint8_t  key[CHAT_ID_KEY];

    assert_int_equal(chat_id_key_parse(hex, 65, key), 0);
    assert_int_equal(chat_id_key_parse(hex, 64, key), 0);

    for (i = 0; i < CHAT_ID_KEY; i++) {
        assert_int_equal(key[i], i);
    }

    assert_int_equal(chat_id_key_parse(hex, 63, key), -1);
    assert_int_equal(chat_id_key_parse("", 0, key), -1);
    hex[64] = 'x';
    assert_int_equal(chat_id_key_parse(hex, 65, key), -1);
    hex[10] = 'g';
    assert_int_equal(chat_id_key_parse(hex, 64, key), -1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(uuid_is_parsed_and_printed),
        cmocka_unit_test(upper_case_digits_are_accepted_and_printed_lower_case),
        cmocka_unit_test(any_wrong_byte_is_not_a_uuid),
        cmocka_unit_test(wrong_length_is_not_a_uuid),
        cmocka_unit_test(version_7_holds_the_time),
        cmocka_unit_test(direct_chat_is_the_same_from_both_sides),
        cmocka_unit_test(direct_chat_never_changes),
        cmocka_unit_test(shard_is_the_low_six_bits),
        cmocka_unit_test(numbers_from_1_to_2_63_are_accepted),
        cmocka_unit_test(other_numbers_are_refused),
        cmocka_unit_test(key_file_is_64_digits_and_a_newline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
