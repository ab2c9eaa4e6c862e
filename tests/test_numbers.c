// SPDX-License-Identifier: Apache-2.0
#include "pools/strategies/numbers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_ranges_are_whole_segments_one_after_the_other(void **state)
{
    (void)state;
    struct numbers numbers = {0};
    struct number_range one, two;
    assert_null(numbers_take(&numbers, &one, 1));
    assert_null(numbers_take(&numbers, &two, 257));
    assert_int_equal(one.first, 0);
    assert_int_equal(one.count, 256);
    assert_int_equal(two.first, 256);
    assert_int_equal(two.count, 512);
}

static void test_what_was_given_back_is_used_again(void **state)
{
    (void)state;
    struct numbers numbers = {0};
    struct number_range ranges[4], again, rest;
    for (int i = 0; i < 4; i++)
        assert_null(numbers_take(&numbers, &ranges[i], 256));
    assert_null(numbers_give(&numbers, &ranges[0]));
    assert_null(numbers_give(&numbers, &ranges[2]));
    assert_ptr_equal(numbers_give(&numbers, &ranges[1]),
                     &ranges[1]); // they are one, and two records left over
    assert_ptr_equal(ranges[1].next, &ranges[2]);
    assert_int_equal(ranges[0].count, 3 * 256);
    assert_null(numbers_take(&numbers, &again, 512));
    assert_int_equal(again.first, 0);
    assert_ptr_equal(numbers_take(&numbers, &rest, 200), &ranges[0]);
    assert_int_equal(rest.first, 512);
    assert_null(numbers.free);
    assert_int_equal(numbers.end, 4 * 256);
}

static void test_there_is_an_end_to_them(void **state)
{
    (void)state;
    struct numbers numbers = {0};
    struct number_range all, more;
    assert_null(numbers_take(&numbers, &all, NUMBERS_MAX + 1));
    assert_int_equal(all.count, 0);
    assert_null(numbers_take(&numbers, &all, NUMBERS_MAX));
    assert_int_equal(all.count, NUMBERS_MAX);
    assert_null(numbers_take(&numbers, &more, 1));
    assert_int_equal(more.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges_are_whole_segments_one_after_the_other),
        cmocka_unit_test(test_what_was_given_back_is_used_again),
        cmocka_unit_test(test_there_is_an_end_to_them),
    };
    return cmocka_run_group_tests_name("numbers", tests, NULL, NULL);
}
