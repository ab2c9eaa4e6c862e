// SPDX-License-Identifier: Apache-2.0
#include "loadgen/trend.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HOUR_S = 3600 };
static const int64_t MB = 1000000;

// A reading a second, `noise` bytes to both sides by a generator of its own, and `per_h` bytes of growth an hour.
static struct trend judged(int seconds, int64_t level, double per_h, int64_t noise,
                           int64_t (*extra)(int second))
{
    struct trend_point *points = calloc((size_t)seconds, sizeof *points);
    struct trend trend;
    uint64_t chance = 12345;
    for (int i = 0; i < seconds; i++) {
        chance = chance * 6364136223846793005U + 1442695040888963407U;
        int64_t random = noise > 0 ? (int64_t)(chance >> 33) % (2 * noise + 1) - noise : 0;
        points[i] = (struct trend_point){.at_ns = 7 + (int64_t)i * 1000000000,
                                         .bytes = level + (int64_t)(per_h * i / HOUR_S) + random +
                                                  (extra ? extra(i) : 0)};
    }
    trend_judge(&trend, points, (size_t)seconds);
    free(points);
    return trend;
}

static void test_level_memory_is_level(void **state)
{
    (void)state;
    struct trend trend = judged(2 * HOUR_S, 100 * MB, 0, 0, NULL);
    assert_int_equal(trend.verdict, TREND_LEVEL);
    assert_true(trend.slope == 0 && trend.low < 0 && trend.high > 0);
    assert_int_equal(judged(2 * HOUR_S, 100 * MB, 0, 50000, NULL).verdict, TREND_LEVEL);
    assert_int_equal(trend_exceeds(&trend, 20), 0);
}

static void test_growth_is_found_with_its_size(void **state)
{
    (void)state;
    struct trend trend = judged(2 * HOUR_S, 100 * MB, 30e6, 200000, NULL);
    assert_int_equal(trend.verdict, TREND_GROWING);
    assert_true(trend.low < 30.2e6 && trend.high > 29.8e6);
    assert_true(fabs(trend.slope - 30e6) < 0.3e6);
    assert_int_equal(trend_exceeds(&trend, 20), 1);
    assert_int_equal(trend_exceeds(&trend, 50), 0);
    assert_int_equal(judged(2 * HOUR_S, 100 * MB, -30e6, 200000, NULL).verdict, TREND_FALLING);
}

// Two readings of a level target differ by 64 KiB: in half a minute that is 7.9 MB an hour, more than matters.
static void test_a_short_run_does_not_tell(void **state)
{
    (void)state;
    assert_int_equal(judged(10, 100 * MB, 0, 0, NULL).verdict, TREND_TOO_SHORT);
    struct trend trend = judged(30, 20 * MB, 0, 0, NULL);
    assert_int_equal(trend.verdict, TREND_TOO_SHORT);
    assert_true(trend.bins >= TREND_BINS_MIN && trend.low < -5e6 && trend.high > 5e6);
    char text[300];
    assert_non_null(strstr(trend_text(&trend, text, sizeof text), " an hour ("));
    assert_null(strstr(text, "too short")); // the verdict stands before it
    struct trend none = {0};
    trend_judge(&none, NULL, 0);
    assert_int_equal(none.verdict, TREND_TOO_SHORT);
    assert_int_equal(trend_exceeds(&none, 20), -1);
}

static int64_t first_minutes(int second)
{
    return second < 600 ? -40 * MB + second * (40 * MB / 600) : 0; // grows to its size
}
static int64_t spikes(int second)
{
    return second % 100 < 20 ? 50 * MB : 0; // bursts: a fifth of the time
}

static void test_neither_the_beginning_nor_bursts_are_growth(void **state)
{
    (void)state;
    assert_int_equal(judged(2 * HOUR_S, 100 * MB, 0, 50000, first_minutes).verdict, TREND_LEVEL);
    assert_int_equal(judged(2 * HOUR_S, 100 * MB, 0, 50000, spikes).verdict, TREND_LEVEL);
}

// A wave as slow as the run: neighbours depend on each other, and independent readings would be sure of a slope.
static int64_t wave(int second)
{
    return (int64_t)(20e6 * sin(second * 2 * 3.14159265358979 / (2 * HOUR_S) * 1.3));
}

static void test_readings_that_depend_on_each_other_make_the_interval_wide(void **state)
{
    (void)state;
    struct trend trend = judged(2 * HOUR_S, 100 * MB, 0, 1000, wave);
    struct trend noise = judged(2 * HOUR_S, 100 * MB, 0, 20 * MB, NULL);
    assert_true(trend.correlation > 0.9);
    assert_true(noise.correlation < 0.5);
    assert_true(isnan(trend.low) || trend.high - trend.low > noise.high - noise.low);
    assert_int_not_equal(trend.verdict, TREND_LEVEL);
    assert_int_not_equal(trend.verdict, TREND_GROWING);
}

// The same series are in tests/py/test_trend.py, with the same verdicts and shifts.
static int64_t step_in_the_last(int second, int per_mille)
{
    return second >= 2 * HOUR_S - 2 * HOUR_S / 1000 * per_mille ? 20 * MB : 0;
}
static int64_t step_2(int second)
{
    return step_in_the_last(second, 20);
}
static int64_t step_5(int second)
{
    return step_in_the_last(second, 50);
}
static int64_t step_8(int second)
{
    return step_in_the_last(second, 80);
}
static int64_t step_20(int second)
{
    return step_in_the_last(second, 200);
}
static int64_t leak_5(int second)
{
    return second >= 6840 ? (second - 6840) * (int64_t)100000 : 0;
}
static int64_t drop_5(int second)
{
    return -step_5(second);
}
static int64_t step_after_a_fall(int second)
{
    return step_5(second) - second * (int64_t)1000;
}
static int64_t drop_after_a_growth(int second)
{
    return drop_5(second) + second * (int64_t)1000;
}
static int64_t saw(int second)
{
    return second % 900 * (int64_t)2000;
}
static int64_t step_after_a_spike(int second)
{
    return step_5(second) + (second >= 3000 && second < 3110 ? 40 * MB : 0);
}

static void test_the_end_is_compared_with_all_before(void **state)
{
    (void)state;
    static const struct {
        int64_t (*extra)(int second);
        int64_t noise;
        enum trend_verdict verdict;
        double end_mb;
        int exceeds;
    } cases[] = {
        {step_2, 0, TREND_HIGHER, 20, -1},
        {step_5, 0, TREND_HIGHER, 20, -1},
        {step_8, 0, TREND_TOO_SHORT, 20, -1},
        {step_5, 3 * 1000000, TREND_HIGHER, 20, -1},
        {leak_5, 50000, TREND_HIGHER, 31, -1},
        {drop_5, 0, TREND_LOWER, -20, 0},
        {step_after_a_fall, 50000, TREND_HIGHER, 20, -1},
        {drop_after_a_growth, 50000, TREND_LOWER, -20, 0},
        {step_after_a_spike, 50000, TREND_HIGHER, 20, -1},
        {saw, 50000, TREND_LEVEL, 0, 0},
        {spikes, 50000, TREND_LEVEL, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trend trend = judged(2 * HOUR_S, 100 * MB, 0, cases[i].noise, cases[i].extra);
        print_message("%zu: %s, end %.1f MB\n", i, trend_verdict_name(trend.verdict), trend.end_bytes / 1e6);
        assert_int_equal(trend.verdict, cases[i].verdict);
        assert_true(fabs(trend.end_bytes / 1e6 - cases[i].end_mb) < 1.5);
        assert_int_equal(trend_exceeds(&trend, 20), cases[i].exceeds);
    }
    char text[300];
    struct trend trend = judged(2 * HOUR_S, 100 * MB, 0, 0, step_5);
    assert_non_null(strstr(trend_text(&trend, text, sizeof text), "B an hour ("));
    assert_non_null(strstr(text, "min are 19.1 MiB above the middle of all before"));
    assert_int_not_equal(judged(2 * HOUR_S, 100 * MB, 0, 0, step_20).verdict, TREND_LEVEL);
}

static void test_a_verdict_is_told_with_its_figures(void **state)
{
    (void)state;
    char text[300];
    struct trend trend = {.verdict = TREND_GROWING,
                          .level_bytes = 100 << 20,
                          .slope = 12 << 20,
                          .low = 10 << 20,
                          .high = 14 << 20};
    assert_string_equal(
        trend_text(&trend, text, sizeof text),
        "by 12.0 MiB an hour (10.0 MiB to 14.0 MiB with 95 % confidence; 12 % an hour of 100 MiB)");
    trend = (struct trend){
        .verdict = TREND_FALLING, .level_bytes = 1 << 20, .slope = -1024, .low = -2048, .high = -1};
    assert_non_null(strstr(trend_text(&trend, text, sizeof text), "by 1.00 KiB an hour (-2.00 KiB to -1 B"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level_memory_is_level),
        cmocka_unit_test(test_growth_is_found_with_its_size),
        cmocka_unit_test(test_a_short_run_does_not_tell),
        cmocka_unit_test(test_neither_the_beginning_nor_bursts_are_growth),
        cmocka_unit_test(test_readings_that_depend_on_each_other_make_the_interval_wide),
        cmocka_unit_test(test_the_end_is_compared_with_all_before),
        cmocka_unit_test(test_a_verdict_is_told_with_its_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
