// SPDX-License-Identifier: Apache-2.0
// The median of values and the rank of a percentile: one definition each. tests/py/test_medians.py has the same table for Python.
#include "base/hist.h"
#include "base/median.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_the_median_of_an_even_number_is_the_mean_of_the_middle_two(void **state)
{
    (void)state;
    double one[] = {7}, two[] = {4, 1}, three[] = {9, 1, 2}, four[] = {100, 1, 3, 2};
    assert_true(isnan(median_of(NULL, 0)));
    assert_true(median_of(one, 1) == 7);
    assert_true(median_of(two, 2) == 2.5);
    assert_true(median_of(three, 3) == 2);
    assert_true(median_of(four, 4) == 2.5);
}

static const struct {
    int64_t count;
    double percent;
    int64_t rank;
} ranks[] = {{1, 50, 1},       {2, 50, 1},     {3, 50, 2},     {4, 50, 2},        {100, 99, 99},
             {101, 99, 100},   {150, 99, 149}, {160, 99, 158}, {1000, 99.9, 999}, {1600, 99.9, 1598},
             {2000, 99, 1980}, {5, 100, 5},    {1000, 0, 1}};

static void test_a_percentile_is_the_sample_of_its_rank(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
        assert_int_equal(hist_percentile_rank(ranks[i].count, ranks[i].percent), ranks[i].rank);
        // A histogram holds numbers below 2000 exactly: of 1 to n the sample of that rank is the rank itself.
        void *memory = aligned_alloc(64, hist_bytes());
        assert_non_null(memory);
        memset(memory, 0, hist_bytes());
        struct hist *hist = hist_init(memory);
        for (int64_t value = 1; value <= ranks[i].count; value++)
            hist_add(hist, value);
        assert_int_equal(hist_percentile(hist, ranks[i].percent), ranks[i].rank);
        free(memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_median_of_an_even_number_is_the_mean_of_the_middle_two),
        cmocka_unit_test(test_a_percentile_is_the_sample_of_its_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
