// SPDX-License-Identifier: Apache-2.0
// Every workload does what it says: those that do as servers do, with objects that are used, many threads,
// bounds, and several sizes; and the ways that have no pool.
#include "bench/way.h"
#include "tests/gbench_run.h"
#include "tests/watched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_objects_are_used_as_far_as_the_row_says(void **state)
{
    (void)state;
    unsigned char object[512];
    static const struct {
        enum bench_touch touch;
        size_t written;
    } rows[] = {{TOUCH_NOTHING, 0}, {TOUCH_LINE, 8}, {TOUCH_320, 320}, {TOUCH_ALL, sizeof object}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(object, 0xee, sizeof object);
        bench_touch_object(object, sizeof object, rows[i].touch);
        size_t written = 0;
        while (written < sizeof object && object[written] != 0xee)
            written++;
        assert_int_equal(written, rows[i].written);
    }
    static const char *const names[] = {"lifo_touch_line", "lifo_touch_320", "lifo_touch_all",
                                        "burst_1000_touch_320"};
    static const enum bench_touch touches[] = {TOUCH_LINE, TOUCH_320, TOUCH_ALL, TOUCH_320};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        watched_run(names[i], 0, 4, NULL);
        assert_int_equal(watched_workload(names[i])->touch, touches[i]);
    }
}

static void test_remote_objects_are_used_on_both_sides(void **state)
{
    (void)state;
    static const char *const names[] = {"remote_1_1_touch_line", "remote_1_1_touch_320",
                                        "remote_1_1_touch_all", "remote_short_touch_all"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        watched_run(names[i], 2, 5000, NULL);
        assert_int_equal(watch.gets, 5000);
        assert_int_equal(watch.remote_puts, 5000);
    }
    // A ring holds no more than its depth; one is in each side's hand.
    assert_true(watch.peak <= watched_workload("remote_short_touch_all")->parameter + 2);
}

static void test_n_to_n_hands_every_object_over_and_holds_getters_back(void **state)
{
    (void)state;
    watched_run("remote_n_n", 4, 3000, NULL);
    assert_int_equal(watch.gets, 2 * 3000);
    assert_int_equal(watch.remote_puts, 2 * 3000);
    assert_true(watch.peak <= 4 * 64 + 4); // four rings
    watched_run("remote_n_n", 16, 500, NULL);
    assert_int_equal(watch.gets, 8 * 500);
    assert_int_equal(watch.remote_puts, 8 * 500);
}

static void check_crowd(json_t *one)
{
    assert_int_equal(watched_counter(one, "samples_due"), watch.gets);
    assert_int_equal(watched_counter(one, "samples_measured"), watch.gets);
    assert_true(watched_counter(one, "p99_99_ns") >= watched_counter(one, "p50_ns"));
    assert_true(watched_counter(one, "put_p99_99_ns") >= watched_counter(one, "put_p50_ns"));
}

static void test_a_crowd_times_every_get_of_every_thread(void **state)
{
    (void)state;
    watched_run("crowd", 16, 2000, check_crowd);
    assert_true(watch.gets >= 16 * 900 && watch.gets <= 16 * 2000);
    assert_int_equal(watch.remote_puts, 0);
}

static void check_realtime(json_t *one)
{
    assert_int_equal(watched_counter(one, "samples_due"), 20000);
    assert_int_equal(watched_counter(one, "samples_measured"), 20000);
    assert_true(watched_counter(one, "unfinished") >= 0);
}

// Where the right to it is missing, the run says so. The watching strategy has a mutex without inheritance:
// what comes of that is the bound's business.
static void test_realtime_counts_every_get_that_was_due_or_says_what_is_missing(void **state)
{
    (void)state;
    json_t *document;
    watched_reset();
    json_t *one = watched_run_way("realtime", WAY_DIRECT, 0, 0, &document);
    const char *error = json_string_value(json_object_get(one, "error_message"));
    if (error)
        assert_non_null(strstr(error, "SCHED_FIFO is refused"));
    else
        check_realtime(one);
    json_decref(document);
}

static void check_first(json_t *one)
{
    assert_int_equal(watched_counter(one, "samples_measured"), 72);
    assert_true(watched_counter(one, "longest_ns") >= watched_counter(one, "p50_ns"));
}

static void test_first_get_is_one_get_of_each_thread(void **state)
{
    (void)state;
    watched_run("first_get", 0, 0, check_first);
    assert_int_equal(watch.gets, 72);
    assert_int_equal(watch.peak, 1); // one after the other
    watched_run("first_get_at_once", 0, 0, check_first);
    assert_int_equal(watch.gets, 72);
}

static void check_idle(json_t *one)
{
    (void)watched_counter(one, "idle_bytes");
    (void)watched_counter(one, "idle_1s_bytes");
}

static void test_idle_threads_have_had_their_objects(void **state)
{
    (void)state;
    watched_run("idle_threads", 0, 0, check_idle);
    assert_int_equal(watch.gets, 1000 * 64);
    assert_int_equal(watch.peak, 1000 * 64);
    watched_run("idle_threads_in_turn", 0, 0, check_idle);
    assert_int_equal(watch.gets, 1000 * 64);
    assert_int_equal(watch.peak, 64);
    assert_int_equal(watch.remote_puts, 0);
    assert_true(watch.sweeps > 0);
}

static void test_bound_stays_below_it_or_was_past_it(void **state)
{
    (void)state;
    watched_run("bound", 0, 100, NULL);
    assert_int_equal(watch.peak, 801);
    assert_int_equal(watch.gets, 900);
    watched_run("bound_overflow", 0, 100, NULL);
    assert_int_equal(watch.peak, 1001);
    assert_int_equal(watch.gets, 1101);
    watched_run("bound_overflow_threads", 0, 100, NULL);
    assert_int_equal(watch.gets, 1101 + 900);
}

static void test_mixed_draws_every_size(void **state)
{
    (void)state;
    watched_run("mixed", 0, 3000, NULL);
    assert_int_equal(watch.opens, 6); // a pool for each size
    assert_int_equal(watch.gets, 1024 + 3000);
    assert_int_equal(watch.peak, 1024);
}

static void test_lifo_two_uses_a_second_pool_that_is_not_counted(void **state)
{
    (void)state;
    watched_run("lifo_two", 0, 500, NULL);
    assert_int_equal(watch.gets, 500);
    assert_int_equal(watch.puts_of_latest, 500);
}

static void test_lifo_constructed_gets_and_puts_each_time(void **state)
{
    (void)state;
    watched_run("lifo_constructed", 0, 500, NULL);
    assert_int_equal(watch.gets, 500);
    assert_int_equal(watch.puts_of_latest, 500);
}

static void check_wear(json_t *one)
{
    assert_true(watched_counter(one, "end_huge_share") >= 0);
    assert_true(watched_counter(one, "end_read_ns") > 0);
    (void)watched_counter(one, "end_ratio");
}

static void test_wear_lives_a_minute_in_a_second(void **state)
{
    (void)state;
    watched_run("wear", 0, 1, check_wear);
    assert_true(watch.gets >= 60 * 1000);
    assert_true(watch.peak > 2000 && watch.peak < 5000);
    assert_int_equal(watch.sweeps, 60 * 6);
}

// What is called directly has no pool: nothing is opened, got or put there, and there is a figure.
static void test_ways_without_a_pool_open_none(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t iterations; // 0: its own
    } rows[] = {{"lifo", 2000},
                {"burst_1000_touch_all", 5},
                {"steady_256", 2000},
                {"grow", 0},
                {"churn", 5},
                {"mixed", 2000},
                {"bleed", 2000},
                {"lifo_two", 2000},
                {"lifo_constructed", 2000},
                {"cold", 1}};
    static const enum bench_way ways[] = {WAY_DIRECT, WAY_BARE};
    for (size_t w = 0; w < 2; w++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            json_t *document;
            watched_reset();
            json_t *one = watched_run_way(rows[i].name, ways[w], 0, rows[i].iterations, &document);
            if (json_object_get(one, "error_occurred"))
                fail_msg("%s: %s", rows[i].name, json_string_value(json_object_get(one, "error_message")));
            assert_true(watched_counter(one, "per_op") > 0);
            assert_int_equal(watch.gets + watch.opens, 0);
            json_decref(document);
        }
    }
}

static void test_ready_gives_as_many_objects_as_can_be_out_in_turn(void **state)
{
    (void)state;
    bench_ready_open(NULL, WORKLOAD_BYTES, 1000);
    char *first = bench_ready.first, *last = first;
    assert_int_equal(bench_ready.stride / BENCH_LINE % 2, 1);
    for (int i = 0; i < 1000; i++) {
        char *object = bench_ready_get();
        assert_true(i == 0 ? object == first : object >= last + WORKLOAD_BYTES);
        last = object;
    }
    assert_ptr_equal(bench_ready_get(), first);
    bench_ready_close();
    bench_ready_close();

    static const char *const rows[] = {"burst_1000_touch_all", "remote_1_1_touch_all"};
    for (size_t i = 0; i < 2; i++) {
        json_t *document;
        watched_reset();
        json_t *one = watched_run_way(rows[i], WAY_READY, i == 0 ? 0 : 2, i == 0 ? 5 : 5000, &document);
        assert_null(json_object_get(one, "error_occurred"));
        assert_true(watched_counter(one, "per_op") > 0);
        assert_int_equal(watch.gets + watch.opens, 0);
        assert_null(bench_ready.first);
        json_decref(document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready_gives_as_many_objects_as_can_be_out_in_turn),
        cmocka_unit_test(test_objects_are_used_as_far_as_the_row_says),
        cmocka_unit_test(test_remote_objects_are_used_on_both_sides),
        cmocka_unit_test(test_n_to_n_hands_every_object_over_and_holds_getters_back),
        cmocka_unit_test(test_a_crowd_times_every_get_of_every_thread),
        cmocka_unit_test(test_realtime_counts_every_get_that_was_due_or_says_what_is_missing),
        cmocka_unit_test(test_first_get_is_one_get_of_each_thread),
        cmocka_unit_test(test_idle_threads_have_had_their_objects),
        cmocka_unit_test(test_bound_stays_below_it_or_was_past_it),
        cmocka_unit_test(test_mixed_draws_every_size),
        cmocka_unit_test(test_lifo_two_uses_a_second_pool_that_is_not_counted),
        cmocka_unit_test(test_lifo_constructed_gets_and_puts_each_time),
        cmocka_unit_test(test_wear_lives_a_minute_in_a_second),
        cmocka_unit_test(test_ways_without_a_pool_open_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
