// SPDX-License-Identifier: Apache-2.0
#include "loadgen/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_what_arrives_in_order_takes_no_memory(void **state)
{
    (void)state;
    struct stream stream = {0};
    for (uint64_t i = 0; i < 10000; i++)
        assert_int_equal(stream_take(&stream, i, 1), 1);
    assert_null(stream.gaps);
    assert_int_equal(stream_missing(&stream, 10000), 0);
    assert_int_equal(stream_missing(&stream, 10003), 3);
    assert_int_equal(stream_take(&stream, 9999, 1), 0);
    assert_int_equal(stream_take(&stream, 0, 1), 0);
    stream_free(&stream);
}

static void test_a_gap_is_known_by_what_overtook_it(void **state)
{
    (void)state;
    struct stream stream = {0};
    assert_int_equal(stream_take(&stream, 5, 77), 1);
    assert_int_equal(stream.gap_count, 1);
    assert_int_equal(stream.gaps[0].to, 5);
    assert_int_equal(stream.gaps[0].before_ns, 77);
    assert_int_equal(stream_take(&stream, 2, 60), 1); // late: the gap is two now
    assert_int_equal(stream.gap_count, 2);
    assert_int_equal(stream.gaps[1].before_ns, 77);
    assert_int_equal(stream_take(&stream, 2, 60), 0);
    assert_int_equal(stream_missing(&stream, 6), 4);
    stream_free(&stream);
}

// Against a table with a flag for each message: losses, late ones and doubles in any order.
static void test_it_counts_as_a_table_of_all_messages_would(void **state)
{
    (void)state;
    enum { MESSAGES = 500, ROUNDS = 200 };
    unsigned seed = 1;
    for (int round = 0; round < ROUNDS; round++) {
        struct stream stream = {0};
        bool seen[MESSAGES] = {false};
        uint64_t missing = MESSAGES;
        for (int i = 0; i < MESSAGES * 2; i++) {
            // Mostly rising, with jumps back and forth.
            uint64_t ahead = (uint64_t)rand_r(&seed) % 4 == 0 ? (uint64_t)rand_r(&seed) % 40 : 1;
            uint64_t sequence = (uint64_t)rand_r(&seed) % 3 == 0 ? (uint64_t)rand_r(&seed) % MESSAGES
                                                                 : stream.next + ahead - 1;
            if (sequence >= MESSAGES)
                continue;
            assert_int_equal(stream_take(&stream, sequence, i), !seen[sequence]);
            missing -= !seen[sequence];
            seen[sequence] = true;
            assert_int_equal(stream_missing(&stream, MESSAGES), missing);
        }
        for (uint32_t i = 0; i < stream.gap_count; i++)
            for (uint64_t lost = stream.gaps[i].from; lost < stream.gaps[i].to; lost++)
                assert_false(seen[lost]);
        stream_free(&stream);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_arrives_in_order_takes_no_memory),
        cmocka_unit_test(test_a_gap_is_known_by_what_overtook_it),
        cmocka_unit_test(test_it_counts_as_a_table_of_all_messages_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
