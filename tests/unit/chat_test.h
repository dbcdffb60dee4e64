/*
 * chat_test.h: shared by the unit tests of common/: cmocka with the headers it
 * requires, and borrowed strings from literals.
 */

#ifndef CHAT_TEST_H
#define CHAT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chat_event.h"

#define str(s)  ((chat_str_t) { (s), sizeof(s) - 1 })

#define assert_bytes(data, len, literal)                                     \
    do {                                                                     \
        assert_int_equal((len), sizeof(literal) - 1);                        \
        assert_memory_equal((data), (literal), sizeof(literal) - 1);         \
    } while (0)

#define assert_str(s, literal)                                               \
    do {                                                                     \
        assert_non_null((s).data);                                           \
        assert_bytes((s).data, (s).len, literal);                            \
    } while (0)

#define assert_absent(s)                                                     \
    do {                                                                     \
        assert_null((s).data);                                               \
        assert_int_equal((s).len, 0);                                        \
    } while (0)

#endif
