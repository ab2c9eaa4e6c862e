// SPDX-License-Identifier: Apache-2.0
// Every workload does what it says, run for a few iterations: those that get and put in a pattern, alone and
// among threads; what a pool that runs dry does to each; and which are registered under which names.
#include "tests/gbench_run.h"
#include "tests/watched.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_lifo_puts_what_it_got_last(void **state)
{
    (void)state;
    static const char *const names[] = {"lifo", "lifo_touch_line", "lifo_touch_all"};
    for (size_t i = 0; i < 3; i++) {
        watched_run(names[i], 0, 3000, NULL);
        assert_int_equal(watch.gets, 3000);
        assert_int_equal(watch.puts_of_latest, 3000);
        assert_int_equal(watch.peak, 1);
        assert_int_equal(watch.opens, 1);
        assert_true(watch.last_initial >= 1);
    }
    watched_run("lifo", 4, 1000, NULL);
    assert_int_equal(watch.gets, 4000);
    assert_int_equal(watch.remote_puts, 0);
    assert_true(watch.peak <= 4);
}

static void test_fifo_puts_the_oldest_of_1024(void **state)
{
    (void)state;
    static const char *const names[] = {"fifo", "fifo_touch_line", "fifo_touch_all"};
    for (size_t i = 0; i < 3; i++) {
        watched_run(names[i], 0, 5000, NULL);
        assert_int_equal(watch.gets, 5000 + 1024);
        assert_int_equal(watch.peak, 1024);
        // In the order of their gets throughout; the emptying at the end starts in the middle of the ring.
        assert_true(watch.puts_of_next >= 5000 + 1024 - 2);
    }
}

static void test_random_puts_in_no_order(void **state)
{
    (void)state;
    static const char *const names[] = {"random", "random_touch_line", "random_touch_all"};
    for (size_t i = 0; i < 3; i++) {
        watched_run(names[i], 0, 5000, NULL);
        assert_int_equal(watch.gets, 5000 + 1024);
        assert_int_equal(watch.peak, 1024);
        assert_true(watch.puts_of_next < 1024);
        assert_true(watch.puts_of_latest < 500);
    }
}

static void test_steady_wanders_around_half_of_its_depth(void **state)
{
    (void)state;
    watched_run("steady_256", 0, 20000, NULL);
    assert_true(watch.peak > 128 && watch.peak <= 256);
    assert_true(watch.gets > 8000 && watch.gets < 12000);
    watched_run("steady_16", 2, 1000, NULL);
    assert_true(watch.peak <= 32);
    watched_run("steady_4096", 0, 1000, NULL);
    watched_run("steady_65536", 0, 1000, NULL);
    assert_true(watch.peak >= 32768 && watch.peak <= 33768);
}

static void test_a_burst_gets_all_then_puts_all_in_their_order(void **state)
{
    (void)state;
    static const char *const names[] = {"burst_1000", "burst_1000_touch_line", "burst_1000_touch_all"};
    for (size_t i = 0; i < 3; i++) {
        watched_run(names[i], 0, 5, NULL);
        assert_int_equal(watch.gets, 6 * 1000); // one before the clock starts
        assert_int_equal(watch.peak, 1000);
        assert_int_equal(watch.puts_of_next, 6 * 1000);
    }
    watched_run("burst_10000", 0, 2, NULL);
    assert_int_equal(watch.peak, 10000);
    watched_run("burst_100000", 0, 1, NULL);
    assert_int_equal(watch.gets, 200000);
    assert_int_equal(watch.peak, 100000);
}

static void test_remote_objects_are_put_by_other_threads(void **state)
{
    (void)state;
    watched_run("remote_1_1", 2, 5000, NULL);
    assert_int_equal(watch.gets, 5000);
    assert_int_equal(watch.puts, 5000);
    assert_int_equal(watch.remote_puts, 5000);
    watched_run("remote_n_1", 4, 3000, NULL); // three getters
    assert_int_equal(watch.gets, 9000);
    assert_int_equal(watch.remote_puts, 9000);
    watched_run("remote_1_n", 4, 3000, NULL); // three receivers, each object put once
    assert_int_equal(watch.gets, 3000);
    assert_int_equal(watch.puts, 3000);
    assert_int_equal(watch.remote_puts, 3000);
}

static void check_owned_ratio(json_t *one)
{
    assert_float_equal(watched_counter(one, "owned_ratio"), 1, 1e-9);
}

static void test_bleed_hands_objects_from_thread_to_thread(void **state)
{
    (void)state;
    watched_run("bleed", 0, 30000, check_owned_ratio);
    assert_int_equal(watch.gets, 30000);
    assert_true(watch.peak <= 1000 && watch.peak > 990);
    // What the second and third thread of the chain met first was got by others, and the last were put by
    // this one.
    assert_true(watch.remote_puts > 2500);
}

static void test_churn_is_whole_lives_of_threads(void **state)
{
    (void)state;
    watched_run("churn", 0, 20, NULL);
    assert_int_equal(watch.gets, 20 * 64);
    assert_int_equal(watch.peak, 64);
    assert_int_equal(watch.remote_puts, 0);
}

static void test_false_sharing_hands_neighbours_out(void **state)
{
    (void)state;
    watched_run("false_sharing_active", 2, 200, NULL);
    assert_int_equal(watch.gets, 400);
    assert_int_equal(watch.remote_puts, 0);
    watched_run("false_sharing_passive", 2, 200, NULL);
    assert_int_equal(watch.gets, 402);
    assert_int_equal(watch.remote_puts, 1); // the second thread's, got by the first
}

// A pool that runs dry at its `from`-th get: an error in the report, no figure, nothing lost, no hang.
static void check_dry(const char *name, int threads, int64_t from)
{
    json_t *document, *one;
    watched_reset();
    watch.fail_from = from;
    one = watched_run_row(name, threads, name[0] == 'b' || name[0] == 'c' ? 3 : 1000, &document);
    if (!json_is_true(json_object_get(one, "error_occurred")))
        fail_msg("%s did not notice that gets failed", name);
    json_decref(document);
}

static void test_a_dry_pool_is_an_error_and_not_a_figure(void **state)
{
    (void)state;
    check_dry("lifo", 0, 100);
    check_dry("lifo", 2, 100);
    check_dry("fifo", 0, 500);
    check_dry("fifo", 0, 1500);
    check_dry("random_touch_all", 0, 1500);
    check_dry("steady_16", 0, 200);
    check_dry("burst_1000", 0, 700);
    check_dry("burst_1000", 0, 2500);
    check_dry("remote_1_1", 2, 300);
    check_dry("remote_1_n", 3, 300);
    check_dry("bleed", 0, 2);
    check_dry("churn", 0, 70);
    check_dry("false_sharing_active", 2, 20);
    check_dry("cold", 0, 5000);
    check_dry("exhaust_heap", 0, 10);
}

static void test_every_fitting_row_is_registered_under_its_name(void **state)
{
    (void)state;
    struct gb_suite *suite;
    struct bench_case *cases;
    struct err err = {0};
    assert_int_equal(gb_suite_new(&suite), 0);
    assert_int_equal(workloads_register(suite, pool_strategies(), NULL, &cases, &err), 0);
    static const struct {
        const char *filter;
        int64_t count;
    } expected[] = {
        {"^lifo/(null|malloc)/(64|256|1024|3072|4096|16384)$", 12},
        {"^lifo/malloc/3072/threads:[24]$", 2},
        {"^remote_1_1/malloc/64/threads:2$", 1},
        {"^blowup/malloc/3072$", 1},
    };
    struct gb_outcome outcome;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        char filter[128];
        snprintf(filter, sizeof filter, "--benchmark_filter=%s", expected[i].filter);
        const char *flags[] = {filter, "--benchmark_list_tests=true", NULL};
        assert_int_equal(gbench_run(suite, flags, NULL, &outcome, &err), 0);
        assert_int_equal(outcome.run, expected[i].count);
    }
    // What cannot be measured of a strategy is not registered.
    const char *flags[] = {
        "--benchmark_filter=^(blowup|cold)/null/|^exhaust_refuse/malloc/|^burst_100000/malloc/16384", NULL};
    assert_int_equal(gbench_run(suite, flags, NULL, &outcome, &err), -EINVAL);
    gb_suite_free(suite);
    free(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lifo_puts_what_it_got_last),
        cmocka_unit_test(test_fifo_puts_the_oldest_of_1024),
        cmocka_unit_test(test_random_puts_in_no_order),
        cmocka_unit_test(test_steady_wanders_around_half_of_its_depth),
        cmocka_unit_test(test_a_burst_gets_all_then_puts_all_in_their_order),
        cmocka_unit_test(test_remote_objects_are_put_by_other_threads),
        cmocka_unit_test(test_bleed_hands_objects_from_thread_to_thread),
        cmocka_unit_test(test_churn_is_whole_lives_of_threads),
        cmocka_unit_test(test_false_sharing_hands_neighbours_out),
        cmocka_unit_test(test_a_dry_pool_is_an_error_and_not_a_figure),
        cmocka_unit_test(test_every_fitting_row_is_registered_under_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
