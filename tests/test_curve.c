// SPDX-License-Identifier: Apache-2.0
#include "loadgen/curve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { BEFORE_NS = 60000000, EACH_NS = 20000, BYTES = 700 };

// A run to `all` connections; the first `free` of them take no memory.
static struct curve climb(int64_t all, int64_t free, int64_t cpu_before_ns)
{
    struct curve curve = {0};
    for (int64_t at = 0; at <= all; at += all / 40) {
        struct curve_point point = {at, 5000000 + (at > free ? (at - free) * BYTES : 0),
                                    cpu_before_ns + at * EACH_NS};
        curve_add(&curve, point, at > 0);
    }
    return curve;
}

static void test_memory_that_the_target_kept_is_found(void **state)
{
    (void)state;
    struct curve curve = climb(4000, 2000, BEFORE_NS);
    assert_int_equal(curve_kept(&curve, 400), 2000);
    curve = climb(9900, 8000, 8000 * (EACH_NS + EACH_NS / 2));
    assert_int_equal(curve_kept(&curve, 990), 8000);
}

static void test_memory_that_grows_from_the_first_is_a_figure(void **state)
{
    (void)state;
    struct curve curve = climb(4000, 0, BEFORE_NS);
    assert_int_equal(curve_kept(&curve, 400), 0);
    curve = climb(4000, 500, BEFORE_NS); // what it kept is used up soon after the slope begins
    assert_int_equal(curve_kept(&curve, 400), 0);
}

static void test_a_reserve_made_at_the_start_is_not_blamed(void **state)
{
    (void)state;
    struct curve curve = climb(4000, 2000, 10000000); // has not had the time to serve 2000
    assert_int_equal(curve_kept(&curve, 400), 0);
}

static void test_memory_that_never_grows_is_not_its_matter(void **state)
{
    (void)state;
    struct curve curve = climb(4000, 4000, BEFORE_NS * 10);
    assert_int_equal(curve_kept(&curve, 400), 0);
}

static void test_growth_by_pieces_is_a_figure(void **state)
{
    (void)state;
    struct curve curve = {0};
    int64_t owned = 1024;
    for (int64_t at = 0; at <= 10000; at += 250) {
        while (at * 10 >= owned * 8)
            owned += owned / 2;
        curve_add(&curve, (struct curve_point){at, owned * BYTES, 17000000 + at * EACH_NS}, at > 0);
    }
    assert_int_equal(curve_kept(&curve, 1000), 0);
}

// The time of 800 connections of this run: 1000 earlier ones may have taken no more.
static void test_the_time_before_the_run_bounds_how_many_were_served(void **state)
{
    (void)state;
    struct curve curve = climb(4000, 0, 800 * EACH_NS);
    assert_int_equal(curve_served_most(&curve), 1000);
    curve.slots = 256; // the target never had more than 256 descriptors
    assert_int_equal(curve_served_most(&curve), 256);
    curve.slots = 1 << 20;
    assert_int_equal(curve_served_most(&curve), 1000);
    struct curve none = {0};
    assert_int_equal(curve_served_most(&none), 0);
    assert_true(curve_is_fresh(&none, 0));
}

// A pool that preheats has used CPU time before the run, and has served nobody.
static void test_what_is_known_of_service_bounds_what_cpu_time_would_allow(void **state)
{
    (void)state;
    struct curve curve = climb(4000, 2000, BEFORE_NS * 10);
    assert_int_equal(curve_kept(&curve, 400), 2000);
    assert_false(curve_is_fresh(&curve, 3500));
    curve_bound(&curve, 5000); // all listeners of the host
    assert_int_equal(curve_kept(&curve, 400), 2000);
    curve_bound(&curve, 1900);
    assert_int_equal(curve_kept(&curve, 400), 2000); // where the curve rises is not known to the last one
    assert_int_equal(curve_served_most(&curve), 1900);
    curve_bound(&curve, 5000);
    assert_int_equal(curve_served_most(&curve), 1900);
    curve_bound(&curve, 0);
    assert_int_equal(curve_kept(&curve, 400), 0);
    assert_int_equal(curve_served_most(&curve), 0);
    assert_int_equal(curve_low(&curve, 400, 4000), 400);
    assert_true(curve_is_fresh(&curve, 400));
}

static void test_a_slope_begins_past_the_connections_that_may_have_been_served(void **state)
{
    (void)state;
    struct curve curve = climb(4000, 0, 800 * EACH_NS);
    assert_int_equal(curve_low(&curve, 400, 10000), 2000);
    assert_int_equal(curve_low(&curve, 400, 2400), 1200); // no further than half
    assert_int_equal(curve_low(&curve, 400, 1900), 400);  // too many for any place
    assert_int_equal(curve_low(&curve, 1000, 10000), 1000);
    assert_int_equal(curve_low(&curve, 400, curve_enough(&curve)), 2000);
}

static void test_too_flat_a_curve_leaves_a_fresh_target_to_its_cpu_time(void **state)
{
    (void)state;
    struct curve curve = climb(2000, 0, 800 * EACH_NS); // 1.4 MB: noise could hide a tenth
    assert_int_equal(curve_kept(&curve, 200), 0);
    assert_false(curve_is_fresh(&curve, 200)); // 1000 may have been served
    assert_true(curve_is_fresh(&curve, 1000));
    curve = climb(2000, 0, 160 * EACH_NS);
    assert_true(curve_is_fresh(&curve, 200)); // at most 200
    curve = climb(8000, 0, 4000 * EACH_NS);   // 5.6 MB: the curve would show what was kept
    assert_true(curve_is_fresh(&curve, 800));
}

static void test_pauses_cost_no_connection_and_a_full_curve_takes_no_more(void **state)
{
    (void)state;
    struct curve curve = {0};
    for (int64_t at = 0; at < 3 * CURVE_POINTS; at++) {
        curve_add(&curve, (struct curve_point){at, 1000, at * 1000000}, false); // after a pause
        curve_add(&curve, (struct curve_point){at + 1, 1000, at * 1000000 + 10}, true);
    }
    assert_int_equal(curve.count, CURVE_POINTS);
    curve_add(&curve, (struct curve_point){5, 1000, 0}, true); // fewer than before: clients left
    curve_add(&curve, (struct curve_point){1000, -1, -1}, true);
    assert_int_equal(curve.count, CURVE_POINTS);
    assert_true(curve.connects_cpu_ns / curve.connects == 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_that_the_target_kept_is_found),
        cmocka_unit_test(test_memory_that_grows_from_the_first_is_a_figure),
        cmocka_unit_test(test_a_reserve_made_at_the_start_is_not_blamed),
        cmocka_unit_test(test_memory_that_never_grows_is_not_its_matter),
        cmocka_unit_test(test_growth_by_pieces_is_a_figure),
        cmocka_unit_test(test_the_time_before_the_run_bounds_how_many_were_served),
        cmocka_unit_test(test_what_is_known_of_service_bounds_what_cpu_time_would_allow),
        cmocka_unit_test(test_a_slope_begins_past_the_connections_that_may_have_been_served),
        cmocka_unit_test(test_too_flat_a_curve_leaves_a_fresh_target_to_its_cpu_time),
        cmocka_unit_test(test_pauses_cost_no_connection_and_a_full_curve_takes_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
