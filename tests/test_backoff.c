// SPDX-License-Identifier: Apache-2.0
#include "loadgen/backoff.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_a_wait_doubles_up_to_its_bound(void **state)
{
    (void)state;
    struct backoff backoff = {.first_ns = 100, .most_ns = 700};
    static const int64_t waits[] = {100, 200, 400, 700, 700};
    for (int64_t i = 0; i < 5; i++)
        assert_int_equal(backoff_wait_ns(&backoff, i, UINT64_MAX), waits[i]);
    backoff.most_ns = INT64_MAX;
    assert_int_equal(backoff_wait_ns(&backoff, 1000, 0), INT64_MAX); // and does not overflow
}

static void test_without_growth_it_stays_the_same(void **state)
{
    (void)state;
    struct backoff backoff = {.first_ns = 100, .most_ns = 100};
    for (int64_t i = 0; i < 5; i++)
        assert_int_equal(backoff_wait_ns(&backoff, i, 0), 100);
}

static void test_jitter_shortens_by_a_random_share(void **state)
{
    (void)state;
    struct backoff backoff = {.first_ns = 1000, .most_ns = 1000, .jitter = 0.25};
    int64_t least = INT64_MAX, most = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        int64_t wait_ns = backoff_wait_ns(&backoff, 0, chance_bits(7, i));
        least = wait_ns < least ? wait_ns : least;
        most = wait_ns > most ? wait_ns : most;
    }
    assert_in_range(least, 750, 755);
    assert_in_range(most, 995, 1000);
    backoff.jitter = 1;
    assert_in_range(backoff_wait_ns(&backoff, 0, UINT64_MAX), 0, 1);
    assert_int_equal(backoff_wait_ns(&backoff, 0, 0), 1000);
}

static void test_chance_is_a_function_of_its_numbers_and_even(void **state)
{
    (void)state;
    enum { NUMBERS = 100000 };
    double sum = 0;
    for (uint64_t i = 0; i < NUMBERS; i++) {
        double unit = chance_unit(chance_bits(1, i));
        assert_true(unit >= 0 && unit < 1);
        sum += unit;
    }
    assert_true(sum / NUMBERS > 0.495 && sum / NUMBERS < 0.505);
    assert_true(chance_bits(1, 5) == chance_bits(1, 5));
    assert_true(chance_bits(1, 5) != chance_bits(2, 5));
    assert_true(chance_bits(1, 5) != chance_bits(1, 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_wait_doubles_up_to_its_bound),
        cmocka_unit_test(test_without_growth_it_stays_the_same),
        cmocka_unit_test(test_jitter_shortens_by_a_random_share),
        cmocka_unit_test(test_chance_is_a_function_of_its_numbers_and_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
