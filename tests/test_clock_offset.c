// SPDX-License-Identifier: Apache-2.0
#include "loadgen/clock_offset.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct clock_offset unknown(void)
{
    return (struct clock_offset){.bound_ns = CLOCK_OFFSET_UNKNOWN};
}

// A round that takes so long there, at the other, and back, with a clock that is so far ahead.
static void add_round(struct clock_offset *offset, int64_t left_ns, int64_t ahead_ns, int64_t there_ns,
                      int64_t stay_ns, int64_t back_ns)
{
    int64_t came_ns = left_ns + there_ns + stay_ns + back_ns;
    clock_offset_add(offset, left_ns, left_ns + there_ns + ahead_ns, left_ns + there_ns + stay_ns + ahead_ns,
                     came_ns);
}

static void the_offset_is_within_its_bound_however_the_way_is_divided(void **state)
{
    (void)state;
    static const int64_t ahead[] = {0,  5 * NS_PER_MS,     -5 * NS_PER_MS,    3,
                                    -3, 900000 * NS_PER_S, -900000 * NS_PER_S};
    static const int64_t parts[][3] = {{10000, 500, 10000}, {1, 0, 20000}, {20000, 7, 0}, {0, 0, 0},
                                       {15, 1, 10},         {10, 1, 15},   {1, 1, 0},     {0, 1, 1}};
    for (size_t i = 0; i < sizeof ahead / sizeof *ahead; i++)
        for (size_t j = 0; j < sizeof parts / sizeof *parts; j++) {
            struct clock_offset offset = unknown();
            add_round(&offset, 1000 * NS_PER_S + 1, ahead[i], parts[j][0], parts[j][1], parts[j][2]);
            assert_int_equal(offset.rounds, 1);
            assert_int_equal(offset.bound_ns, (parts[j][0] + parts[j][2] + 1) / 2);
            assert_true(llabs(offset.offset_ns - ahead[i]) <= offset.bound_ns);
        }
}

static void the_round_with_the_least_time_on_the_way_is_taken(void **state)
{
    (void)state;
    struct clock_offset offset = unknown();
    add_round(&offset, 1000, 77, 50000, 0, 50000);
    add_round(&offset, 500000, 77, 20, 1000, 20);
    add_round(&offset, 900000, 77, 9000, 0, 0);
    assert_int_equal(offset.rounds, 3);
    assert_int_equal(offset.offset_ns, 77);
    assert_int_equal(offset.bound_ns, 20);
    assert_int_equal(offset.at_ns, 500000 + 520);
}

static void rounds_that_cannot_be_are_not_counted(void **state)
{
    (void)state;
    struct clock_offset offset = unknown();
    clock_offset_add(&offset, 1000, 2000, 1999, 1500); // left before it came
    clock_offset_add(&offset, 1000, 2000, 2600, 1500); // stayed longer than it was away
    clock_offset_add(&offset, 1000, 2000, 2000, 999);  // came back before it left
    assert_int_equal(offset.rounds, 0);
    assert_int_equal(offset.bound_ns, CLOCK_OFFSET_UNKNOWN);
}

static struct clock_offset measured(int64_t at_ns, int64_t offset_ns, int64_t bound_ns)
{
    return (struct clock_offset){.at_ns = at_ns, .offset_ns = offset_ns, .bound_ns = bound_ns, .rounds = 1};
}

static void a_clock_that_drifts_is_on_a_line(void **state)
{
    (void)state;
    struct clock_line line = {.count = 0};
    assert_int_equal(clock_line_at(&line, 5), 0);
    // 20 parts in a million: 20 us a second.
    struct clock_offset first = measured(0, 1000000, 100), last = measured(10 * NS_PER_S, 1200000, 300);
    clock_line_add(&line, &first);
    assert_int_equal(clock_line_at(&line, 7 * NS_PER_S), 1000000);
    assert_true(clock_line_drift_ppb(&line) == 0);
    clock_line_add(&line, &last);
    assert_int_equal(clock_line_at(&line, 10 * NS_PER_S), 1200000);
    assert_int_equal(clock_line_at(&line, 5 * NS_PER_S), 1100000);
    assert_int_equal(clock_line_at(&line, 11 * NS_PER_S), 1220000);
    assert_true(clock_line_drift_ppb(&line) == 20000);
    assert_true(clock_line_drift_bound_ppb(&line) == 40);
    assert_int_equal(line.worst_bound_ns, 300);
}

static void what_is_within_the_bounds_is_no_drift(void **state)
{
    (void)state;
    struct clock_line line = {.count = 0};
    struct clock_offset first = measured(0, 1000, 300), last = measured(NS_PER_MS, 1500, 200);
    clock_line_add(&line, &first);
    clock_line_add(&line, &last);
    assert_int_equal(clock_line_at(&line, 60 * NS_PER_S), 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_offset_is_within_its_bound_however_the_way_is_divided),
        cmocka_unit_test(the_round_with_the_least_time_on_the_way_is_taken),
        cmocka_unit_test(rounds_that_cannot_be_are_not_counted),
        cmocka_unit_test(a_clock_that_drifts_is_on_a_line),
        cmocka_unit_test(what_is_within_the_bounds_is_no_drift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
