// SPDX-License-Identifier: Apache-2.0
// What a benchmark's specification says: which combinations of arguments it has, and whether it is right.
#include "bench/gbench_spec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void run_nothing(struct gb_state *state, void *context)
{
    (void)state;
    (void)context;
}

// "1,2 1,3": every combination, as text.
static void assert_combinations(const struct gb_spec *spec, const char *expected)
{
    char text[512] = "";
    size_t used = 0;
    for (size_t nth = 0; nth < gb_spec_combinations(spec); nth++) {
        int64_t args[GB_ARGS_MAX];
        gb_spec_combination(spec, nth, args);
        for (size_t i = 0; i < spec->arg_count; i++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%lld",
                                     i > 0     ? ","
                                     : nth > 0 ? " "
                                               : "",
                                     (long long)args[i]);
    }
    assert_string_equal(text, expected);
}

static void assert_range(struct gb_range range, const char *expected)
{
    struct gb_spec spec = {.name = "x", .run = run_nothing, .args = {range}, .arg_count = 1};
    assert_int_equal(gb_spec_check(&spec, NULL), 0);
    assert_combinations(&spec, expected);
}

static void test_a_range_has_both_ends_and_the_powers_between(void **state)
{
    (void)state;
    assert_range((struct gb_range){.low = 1, .high = 100}, "1 8 64 100");
    assert_range((struct gb_range){.low = 8, .high = 64}, "8 64");
    assert_range((struct gb_range){.low = 0, .high = 10}, "0 1 8 10");
    assert_range((struct gb_range){.low = 3, .high = 40, .multiplier = 2}, "3 6 12 24 40");
    assert_range((struct gb_range){.low = 7, .high = 7}, "7");
    assert_range((struct gb_range){.low = 0, .high = 0}, "0");
    assert_range((struct gb_range){.low = INT64_C(1) << 61, .high = INT64_MAX},
                 "2305843009213693952 9223372036854775807");
}

static void test_steps_go_as_far_as_they_fit(void **state)
{
    (void)state;
    assert_range((struct gb_range){.low = 100, .high = 1000, .step = 300}, "100 400 700 1000");
    assert_range((struct gb_range){.low = 0, .high = 8, .step = 3}, "0 3 6");
    assert_range((struct gb_range){.low = 5, .high = 6, .step = 3}, "5");
    assert_range((struct gb_range){.low = INT64_MAX - 3, .high = INT64_MAX, .step = 2},
                 "9223372036854775804 9223372036854775806");
}

static void test_the_last_argument_changes_fastest(void **state)
{
    (void)state;
    static const int64_t sizes[] = {64, 16};
    struct gb_spec spec = {.args = {{.values = sizes, .value_count = 2},
                                    {.low = 1, .high = 3, .step = 1},
                                    {.low = 9, .high = 9}},
                           .arg_count = 3};
    assert_combinations(&spec, "64,1,9 64,2,9 64,3,9 16,1,9 16,2,9 16,3,9");
    spec.arg_count = 0;
    assert_int_equal(gb_spec_combinations(&spec), 1);
}

static void assert_wrong(const struct gb_spec *spec, const char *text)
{
    struct err err = {0};
    assert_int_equal(gb_spec_check(spec, &err), -EINVAL);
    assert_string_equal(err.text, text);
}

static void test_what_is_wrong_is_named(void **state)
{
    (void)state;
    const struct gb_spec good = {.name = "x", .run = run_nothing};
    assert_int_equal(gb_spec_check(&good, NULL), 0);
    struct gb_spec spec = good;
    spec.name = "";
    assert_wrong(&spec, "a benchmark has no name");
    spec = good;
    spec.run = NULL;
    assert_wrong(&spec, "benchmark x has no function");
    spec = good;
    spec.arg_count = GB_ARGS_MAX + 1;
    assert_wrong(&spec, "benchmark x: at most 4 arguments and 16 thread counts");
    spec = good;
    spec.arg_count = 2;
    spec.args[1] = (struct gb_range){.low = -1, .high = 4};
    assert_wrong(&spec, "benchmark x: argument 1 has no values");
    static const int64_t none[1];
    spec.args[1] = (struct gb_range){.values = none};
    assert_wrong(&spec, "benchmark x: argument 1 has no values");
    spec = good;
    spec.thread_count = 1;
    assert_wrong(&spec, "benchmark x: 0 threads");
    spec = good;
    spec.batch = -1;
    assert_wrong(&spec, "benchmark x: a count is negative");
    spec = good;
    spec.iterations = 1;
    spec.min_time_s = 0.1;
    assert_wrong(&spec, "benchmark x: iterations and a least time exclude each other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_range_has_both_ends_and_the_powers_between),
        cmocka_unit_test(test_steps_go_as_far_as_they_fit),
        cmocka_unit_test(test_the_last_argument_changes_fastest),
        cmocka_unit_test(test_what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
