// SPDX-License-Identifier: Apache-2.0
#include "loadgen/schedule.h"

#include "base/clock.h"

#include <math.h>
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

// From 100 to 500 a second in 10 s, 500 after that; a Poisson process of 500.
static struct schedule shaped(enum schedule_kind kind)
{
    struct schedule schedule = {.start_ns = 77, .rate_per_s = 500, .shape = {.kind = kind}};
    if (kind == SCHEDULE_POISSON)
        schedule.shape.seed = 7;
    if (kind == SCHEDULE_RAMP || kind == SCHEDULE_STAIRS) {
        schedule.shape.from_per_s = 100;
        schedule.shape.over_ns = 10 * NS_PER_S;
        schedule.shape.steps = 5;
    }
    return schedule;
}

// Acts with an intended time from one second after the start to another.
static int64_t acts_between(struct schedule *schedule, int64_t from_s, int64_t to_s)
{
    int64_t count = 0, at_ns = 0;
    for (int64_t act = 0; at_ns < to_s * NS_PER_S; act++) {
        at_ns = schedule_at(schedule, act) - schedule->start_ns;
        count += at_ns >= from_s * NS_PER_S && at_ns < to_s * NS_PER_S;
    }
    return count;
}

static void test_a_ramp_has_the_acts_below_its_line(void **state)
{
    (void)state;
    struct schedule schedule = shaped(SCHEDULE_RAMP);
    assert_int_equal(schedule_at(&schedule, 0), 77);
    assert_int_equal(acts_between(&schedule, 0, 10), 3000); // 10 s with a mean of 300
    assert_int_equal(acts_between(&schedule, 0, 5), 1000);
    assert_int_equal(acts_between(&schedule, 10, 12), 1000);
    assert_true(fabs(schedule_mean_per_s(&schedule, 77, 77 + 10 * NS_PER_S) - 300) < 1e-9);
    assert_true(fabs(schedule_mean_per_s(&schedule, 77 + 5 * NS_PER_S, 77 + 15 * NS_PER_S) - 450) < 1e-9);
    schedule.shape.from_per_s = 900; // downwards
    assert_int_equal(acts_between(&schedule, 0, 10), 7000);
    schedule.shape.from_per_s = 0;
    assert_int_equal(schedule_at(&schedule, 0), 77);
    assert_int_equal(acts_between(&schedule, 0, 10), 2500);
}

static void test_stairs_have_a_rate_on_each_step(void **state)
{
    (void)state;
    struct schedule schedule = shaped(SCHEDULE_STAIRS);
    for (int64_t step = 0; step < 5; step++) {
        assert_int_equal(acts_between(&schedule, 2 * step, 2 * step + 2), 2 * (100 + 100 * step));
        assert_true(
            fabs(schedule_mean_per_s(&schedule, 77 + 2 * step * NS_PER_S, 77 + (2 * step + 2) * NS_PER_S) -
                 (double)(100 + 100 * step)) < 1e-9);
    }
    assert_int_equal(acts_between(&schedule, 10, 12), 1000);
    assert_true(fabs(schedule_mean_per_s(&schedule, 77, 77 + 10 * NS_PER_S) - 300) < 1e-9);
    assert_true(fabs(schedule_mean_per_s(&schedule, 77 + 3 * NS_PER_S, 77 + 5 * NS_PER_S) - 250) < 1e-9);
}

static void test_a_lead_has_the_first_rate(void **state)
{
    (void)state;
    for (int kind = SCHEDULE_RAMP; kind <= SCHEDULE_STAIRS; kind++) {
        struct schedule schedule = shaped((enum schedule_kind)kind);
        schedule.shape.lead_ns = 3 * NS_PER_S;
        assert_int_equal(acts_between(&schedule, 0, 3), 300);
        assert_int_equal(acts_between(&schedule, 3, 13), 3000);
        assert_true(fabs(schedule_mean_per_s(&schedule, 77, 77 + 2 * NS_PER_S) - 100) < 1e-9);
        assert_true(fabs(schedule_mean_per_s(&schedule, 77, 77 + 4 * NS_PER_S) -
                         (kind == SCHEDULE_RAMP ? 105 : 100)) < 1e-9);
    }
}

static void test_a_lead_without_a_rate_is_silent(void **state)
{
    (void)state;
    struct schedule schedule = shaped(SCHEDULE_RAMP);
    schedule.shape.from_per_s = 0;
    schedule.shape.lead_ns = 3 * NS_PER_S;
    assert_int_equal(acts_between(&schedule, 0, 3), 0);
    assert_int_equal(acts_between(&schedule, 3, 13), 2500);
}

// The time of an act is where the integral of the rate reaches its number, and no act is due before the one before it.
static void test_intended_times_rise_by_the_integral_of_the_rate(void **state)
{
    (void)state;
    for (int kind = 0; kind < SCHEDULE_KINDS; kind++) {
        struct schedule schedule = shaped((enum schedule_kind)kind), other = schedule;
        int64_t before_ns = 0;
        for (int64_t act = 0; act < 10000; act++) {
            int64_t at_ns = schedule_at(&schedule, act), past_ns = at_ns - 77;
            assert_true(at_ns >= before_ns);
            before_ns = at_ns;
            if (kind == SCHEDULE_POISSON || past_ns == 0)
                continue;
            double acts = schedule_mean_per_s(&other, 77, at_ns) * (double)past_ns / 1e9;
            assert_true(fabs(acts - (double)act) < 1e-4);
        }
    }
}

// Orders after another go on where it ended, each from its own start.
static void test_a_shape_goes_on_in_the_next_order(void **state)
{
    (void)state;
    for (int kind = 0; kind < SCHEDULE_KINDS; kind++) {
        struct schedule whole = shaped((enum schedule_kind)kind), rest = whole;
        rest.shape.first = 700;
        int64_t from_ns = schedule_at(&whole, kind == SCHEDULE_POISSON ? 699 : 700);
        for (int64_t act = 0; act < 500; act++)
            assert_true(llabs(schedule_at(&whole, 700 + act) - from_ns - (schedule_at(&rest, act) - 77)) <=
                        1);
    }
}

enum { ACTS = 100000 };

static void test_poisson_intervals_are_exponential_and_independent(void **state)
{
    (void)state;
    struct schedule schedule = shaped(SCHEDULE_POISSON);
    double sum = 0, squares = 0, neighbours = 0, last = 0, mean = 1.0 / 500;
    int64_t above = 0, before_ns = 77, in_second[150] = {0};
    for (int64_t act = 0; act < ACTS; act++) {
        int64_t at_ns = schedule_at(&schedule, act);
        double gap = (double)(at_ns - before_ns) / 1e9 / mean; // in the mean 1
        sum += gap;
        squares += gap * gap;
        neighbours += act > 0 ? (gap - 1) * (last - 1) : 0;
        above += gap > 1;
        last = gap;
        before_ns = at_ns;
        int64_t second = (at_ns - 77) / NS_PER_S;
        in_second[second < 149 ? second : 149]++;
    }
    // Five standard deviations of each: 1, 1 (of the variance sqrt(8)), 0 and exp(-1).
    double root = sqrt(ACTS);
    assert_true(fabs(sum / ACTS - 1) < 5 / root);
    assert_true(fabs(squares / ACTS - 2) < 5 * sqrt(20) / root);
    assert_true(fabs(neighbours / ACTS) < 5 / root);
    assert_true(fabs((double)above / ACTS - exp(-1)) < 5 * 0.5 / root);
    // Counts of seconds have their mean as variance.
    double spread = 0;
    for (int i = 0; i < 100; i++)
        spread += ((double)in_second[i] - 500) * ((double)in_second[i] - 500) / 500;
    assert_true(spread > 100 - 5 * sqrt(200) && spread < 100 + 5 * sqrt(200));
}

static void test_poisson_times_are_those_of_the_seed(void **state)
{
    (void)state;
    struct schedule one = shaped(SCHEDULE_POISSON), again = one, other = one;
    other.shape.seed = 8;
    int64_t fifth_ns = schedule_at(&one, 5), last_ns = schedule_at(&one, 999);
    assert_int_equal(schedule_at(&again, 999), last_ns);
    assert_int_equal(schedule_at(&one, 999), last_ns);
    assert_int_equal(schedule_at(&one, 5), fifth_ns); // an act before
    assert_int_equal(schedule_at(&one, 999), last_ns);
    assert_int_not_equal(schedule_at(&other, 999), last_ns);
}

static void turns_of_all_workers_make_the_whole(struct schedule schedule)
{
    enum { PAIRS = 7, MESSAGES = 5 };
    static const struct {
        int64_t first, count;
    } workers[] = {{0, 3}, {3, 1}, {4, 3}};
    struct schedule whole = schedule;
    int seen[PAIRS * MESSAGES] = {0};
    for (size_t w = 0; w < sizeof workers / sizeof workers[0]; w++) {
        int64_t before_ns = 0;
        for (int64_t k = 0; k < workers[w].count * MESSAGES; k++) {
            struct schedule_turn turn =
                schedule_turn(&schedule, PAIRS, workers[w].first, workers[w].count, k);
            int64_t act = turn.message * PAIRS + turn.pair;
            assert_int_equal(turn.intended_ns, schedule_at(&whole, act));
            assert_true(turn.intended_ns >= before_ns);
            before_ns = turn.intended_ns;
            seen[act]++;
        }
    }
    for (int act = 0; act < PAIRS * MESSAGES; act++)
        assert_int_equal(seen[act], 1);
}

static void test_turns_of_all_workers_make_the_whole_schedule(void **state)
{
    (void)state;
    for (int kind = 0; kind < SCHEDULE_KINDS; kind++)
        turns_of_all_workers_make_the_whole(shaped((enum schedule_kind)kind));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_follow_from_start_rate_and_number_alone),
        cmocka_unit_test(test_without_a_rate_everything_is_due_at_the_start),
        cmocka_unit_test(test_a_ramp_has_the_acts_below_its_line),
        cmocka_unit_test(test_stairs_have_a_rate_on_each_step),
        cmocka_unit_test(test_a_lead_has_the_first_rate),
        cmocka_unit_test(test_a_lead_without_a_rate_is_silent),
        cmocka_unit_test(test_intended_times_rise_by_the_integral_of_the_rate),
        cmocka_unit_test(test_a_shape_goes_on_in_the_next_order),
        cmocka_unit_test(test_poisson_intervals_are_exponential_and_independent),
        cmocka_unit_test(test_poisson_times_are_those_of_the_seed),
        cmocka_unit_test(test_turns_of_all_workers_make_the_whole_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
