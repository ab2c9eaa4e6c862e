// SPDX-License-Identifier: Apache-2.0
#include "loadgen/schedule.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_times_follow_from_start_rate_and_number_alone(void **state)
{
    (void)state;
    struct schedule schedule = {.start_ns = 5000, .rate_per_s = 1000};
    assert_int_equal(schedule_at(&schedule, 0), 5000);
    assert_int_equal(schedule_at(&schedule, 42), 5000 + 42 * NS_PER_MS);
    // A million seconds on, not a nanosecond lost.
    assert_int_equal(schedule_at(&schedule, 1000000000), 5000 + 1000000 * NS_PER_S);
}

static void test_without_a_rate_everything_is_due_at_the_start(void **state)
{
    (void)state;
    struct schedule schedule = {.start_ns = 5000};
    assert_int_equal(schedule_at(&schedule, 123456), 5000);
}

static void test_turns_of_all_workers_make_the_whole_schedule(void **state)
{
    (void)state;
    enum { PAIRS = 7, MESSAGES = 5 };
    static const struct {
        int64_t first, count;
    } workers[] = {{0, 3}, {3, 1}, {4, 3}};
    struct schedule schedule = {.start_ns = 77, .rate_per_s = 100};
    int seen[PAIRS * MESSAGES] = {0};
    for (size_t w = 0; w < sizeof workers / sizeof workers[0]; w++) {
        int64_t before_ns = 0;
        for (int64_t k = 0; k < workers[w].count * MESSAGES; k++) {
            struct schedule_turn turn =
                schedule_turn(&schedule, PAIRS, workers[w].first, workers[w].count, k);
            int64_t act = turn.message * PAIRS + turn.pair;
            assert_int_equal(turn.intended_ns, schedule_at(&schedule, act));
            assert_true(turn.intended_ns >= before_ns);
            before_ns = turn.intended_ns;
            seen[act]++;
        }
    }
    for (int act = 0; act < PAIRS * MESSAGES; act++)
        assert_int_equal(seen[act], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_follow_from_start_rate_and_number_alone),
        cmocka_unit_test(test_without_a_rate_everything_is_due_at_the_start),
        cmocka_unit_test(test_turns_of_all_workers_make_the_whole_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
