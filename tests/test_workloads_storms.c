// SPDX-License-Identifier: Apache-2.0
// Every workload does what it says: those that bring a pool to its limits once, and measure how it starts,
// grows, shrinks, gives back and ends.
#include "base/clock.h"
#include "bench/get_trace.h"
#include "bench/speed.h"
#include "tests/gbench_run.h"
#include "tests/watched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void check_cold(json_t *one)
{
    assert_true(watched_counter(one, "faults_each") >= 0);
    assert_true(watched_counter(one, "open_ns") >= 0);
    assert_true(watched_counter(one, "huge_bytes") >= 0);
}

static void test_cold_opens_a_pool_for_each_iteration(void **state)
{
    (void)state;
    watched_run("cold", 0, 2, check_cold);
    assert_int_equal(watch.opens, 2);
    assert_int_equal(watch.gets, 2 * 4096);
    assert_int_equal(watch.peak, 4096);
    assert_int_equal(watch.last_initial, 0);
    watched_run("cold_preheated", 0, 1, check_cold);
    assert_true(watch.last_initial >= 4096);
    assert_true(watch.last_touch);
    watched_run("cold_untouched", 0, 1, check_cold);
    assert_true(watch.last_initial >= 4096);
    assert_false(watch.last_touch);
    watched_run("cold_huge", 0, 1, check_cold);
    watched_run("cold_preheated_huge", 0, 1, check_cold);
}

static void check_percentiles(json_t *one)
{
    static const char *const names[] = {"p50_ns", "p90_ns", "p99_ns", "p99_9_ns", "p99_99_ns", "longest_ns"};
    double before = 0;
    // Of 50 000 samples it would be the longest by another name.
    assert_null(json_object_get(one, "p99_999_ns"));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        double value = watched_counter(one, names[i]);
        assert_true(value >= before);
        before = value;
    }
    assert_true(before > 0);
    assert_true(watched_counter(one, "preempted") >= 0);
    assert_true(watched_counter(one, "undisturbed_longest_ns") > 0);
    assert_true(watched_counter(one, "undisturbed_longest_ns") <=
                watched_counter(one, "uncorrected_longest_ns") * 1.01);
}

static void check_grow(json_t *one)
{
    check_percentiles(one);
    assert_true(watched_counter(one, "faults_get") >= 0);
    assert_true(watched_counter(one, "faults_touch") >= 0);
}

static void test_grow_times_each_get_of_a_pool_that_starts_small(void **state)
{
    (void)state;
    watched_run("grow", 0, 0, check_grow);
    assert_int_equal(watch.last_initial, 1024);
    assert_int_equal(watch.gets, 50064); // 64 before the storm
    assert_int_equal(watch.peak, 50000);
}

enum { STALL_AT = 20000 };
#define STALL_NS (50 * NS_PER_MS)

static void stall(int64_t number)
{
    if (number == STALL_AT)
        clock_sleep_until_ns(clock_now_ns() + STALL_NS);
}

// 5000 of 50 000 gets are due meanwhile; the 500 that wait longest do so for most of it, and each call but
// one is short.
static void check_stalled(json_t *one)
{
    check_grow(one);
    assert_true(watched_counter(one, "any_speed_longest_ns") >= STALL_NS);
    assert_true(watched_counter(one, "any_speed_p99_ns") >= 0.8 * STALL_NS);
    assert_true(watched_counter(one, "uncorrected_longest_ns") >= STALL_NS);
    assert_true(watched_counter(one, "uncorrected_p99_ns") < 0.5 * STALL_NS);
}

static void test_a_stall_counts_for_every_get_that_was_due_in_it(void **state)
{
    (void)state;
    watch.on_get = stall;
    watched_run("grow", 0, 0, check_stalled);
    watched_run("shrink", 0, 0, NULL);
    watch.on_get = NULL;
}

enum { PRIMING = 64, SLOW_FROM = 40000 };

// Until get SLOW_FROM, within it, every probe is at full speed; after that none is.
static void slow_down(int64_t number)
{
    speed_set_step_ns(number < PRIMING + SLOW_FROM ? 1e8 : 1e-5);
}

// On a busy host some after it are late, and have no probe of their own: then they count as well.
static void check_books(json_t *one)
{
    double measured = watched_counter(one, "samples_measured");
    assert_int_equal(watched_counter(one, "samples_due"), 50000);
    assert_true(measured >= SLOW_FROM);
    assert_int_equal(watched_counter(one, "samples_left_out"), 50000 - measured);
    assert_int_equal(watched_counter(one, "samples_failed"), 0);
    assert_float_equal(watched_counter(one, "full_speed_share"), measured / 50000, 1e-9);
}

// The get that makes the processor slow counts: its probe, which came before it, was at full speed.
static void test_a_get_is_left_out_for_what_was_known_before_it(void **state)
{
    (void)state;
    speed_set_step_ns(1e8);
    speed_set_patience_ns(0); // nothing is learned before
    watch.on_get = slow_down;
    watched_run("grow", 0, 0, check_books);
    watch.on_get = NULL;
    speed_set_step_ns(0);
    speed_set_patience_ns(SPEED_PATIENCE_NS);
}

// Columns, order and number of the rows; the last line is `last`.
static void check_trace(const char *path, long last)
{
    char line[128];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    assert_string_equal(line, "get,time_ns,owned_objects\n");
    long rows = 0, before = -1, get, time_ns, owned;
    for (; fgets(line, sizeof line, file); rows++, before = get) {
        assert_int_equal(sscanf(line, "%ld,%ld,%ld\n", &get, &time_ns, &owned), 3);
        assert_true(get > before && time_ns >= 0 && owned >= 0);
    }
    fclose(file);
    assert_int_equal(before, last);
    assert_in_range(rows, last / TRACE_EACH + 1, TRACE_ROWS_MAX);
}

static void test_grow_writes_what_each_get_cost(void **state)
{
    (void)state;
    char path[64];
    watch.trace = gbench_temporary_path(path);
    watched_run("grow", 0, 0, check_grow);
    watch.trace = NULL;
    check_trace(path, 49999);
    unlink(path);
}

static void test_a_trace_that_cannot_be_written_is_named_before_anything_is_measured(void **state)
{
    (void)state;
    json_t *document;
    watched_reset();
    watch.trace = "/nonexistent/trace.csv";
    json_t *one = watched_run_row("grow", 0, 0, &document);
    watch.trace = NULL;
    assert_true(json_is_true(json_object_get(one, "error_occurred")));
    assert_non_null(
        strstr(json_string_value(json_object_get(one, "error_message")), "/nonexistent/trace.csv"));
    assert_int_equal(watch.opens, 0);
    json_decref(document);
}

static void test_shrink_times_gets_while_objects_go_back(void **state)
{
    (void)state;
    watched_run("shrink", 0, 0, check_percentiles);
    assert_int_equal(watch.peak, 50000);
    assert_int_equal(watch.gets, 50000 + (50000 - 1024)); // each step puts two and gets one
    assert_true(watch.sweeps > 0);
}

static void check_blowup(json_t *one)
{
    assert_true(watched_counter(one, "before_bytes") > 0);
    // In a process that ran other tests, the heap may have all of it already: how much more, `poolmark bench`
    // measures.
    assert_true(watched_counter(one, "peak_bytes") > 0);
    (void)watched_counter(one, "peak_ratio");
    assert_true(watched_counter(one, "after_0s_ratio") > 0);
    assert_true(watched_counter(one, "after_1s_ratio") > 0);
    assert_null(json_object_get(one, "after_10s_ratio"));
    assert_true(watched_counter(one, "again_ns") > 0);
    assert_true(watched_counter(one, "again_faults") >= 0);
}

static void test_blowup_reads_memory_before_in_and_after_a_storm(void **state)
{
    (void)state;
    watched_run("blowup", 0, 0, check_blowup);
    assert_int_equal(watch.gets, 2 * 20000); // two storms
    assert_int_equal(watch.peak, 20000);
    assert_true(watch.sweeps > 0);
    watched_run("blowup_sparse", 0, 0, check_blowup);
    assert_int_equal(watch.gets, 20000 + 20000 - 200); // the survivors are there already
    assert_int_equal(watch.peak, 20000);
    assert_int_equal(watched_workload("blowup_10s")->parameter, 10);
}

enum { RELIEF_POOLS = 8, RELIEF_EACH = 2500, RELIEF_USES = 1000 };

static void check_relief(json_t *one)
{
    double before = 0;
    assert_int_equal(watched_counter(one, "back_bytes"), RELIEF_POOLS / 2 * RELIEF_EACH * 64);
    static const char *const points[] = {"back_25_ns", "back_50_ns", "back_75_ns", "back_100_ns"};
    for (size_t i = 0; i < 4; i++) {
        assert_true(watched_counter(one, points[i]) > before); // one pool each
        before = watched_counter(one, points[i]);
    }
    assert_int_equal(watched_counter(one, "samples_due"), RELIEF_POOLS * RELIEF_EACH);
    assert_int_equal(watched_counter(one, "samples_measured"), RELIEF_POOLS * RELIEF_EACH);
    assert_true(watched_counter(one, "before_p50_ns") > 0);
    assert_true(watched_counter(one, "p50_ns") > 0);
    assert_true(watched_counter(one, "kept_longest_ns") > 0);
}

static void test_pressure_trims_half_of_the_pools_and_gets_from_all(void **state)
{
    (void)state;
    watched_run("pressure", 0, 0, check_relief);
    assert_int_equal(watch.opens, RELIEF_POOLS);
    assert_int_equal(watch.last_initial, RELIEF_EACH);
    assert_int_equal(watch.trims, RELIEF_POOLS / 2);
    assert_int_equal(watch.peak, RELIEF_POOLS * RELIEF_EACH);
    int64_t uses = RELIEF_USES * (RELIEF_POOLS * (RELIEF_POOLS - 1) / 2);
    assert_int_equal(watch.gets, 3 * RELIEF_POOLS * RELIEF_EACH + uses);
    assert_int_equal(watch.puts, watch.gets);
}

static void check_fresh(json_t *one)
{
    assert_true(watched_counter(one, "owned_ratio") >= 1);
    assert_true(watched_counter(one, "expansions") >= 0);
    assert_true(watched_counter(one, "misses") >= 0);
}

static void test_burst_fresh_gets_all_of_a_pool_that_starts_small(void **state)
{
    (void)state;
    watched_run("burst_fresh", 0, 0, check_fresh);
    assert_int_equal(watch.last_initial, 1024);
    assert_int_equal(watch.gets, 20000);
    assert_int_equal(watch.peak, 20000);
}

static void test_exhaust_gets_past_the_bound(void **state)
{
    (void)state;
    watched_run("exhaust_refuse", 0, 500, NULL);
    assert_int_equal(watch.gets, 1500);
    assert_int_equal(watch.puts, 1000); // the refused had nothing to put
    watched_run("exhaust_heap", 0, 500, NULL);
    assert_int_equal(watch.gets, 1500);
    assert_int_equal(watch.peak, 1001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cold_opens_a_pool_for_each_iteration),
        cmocka_unit_test(test_grow_times_each_get_of_a_pool_that_starts_small),
        cmocka_unit_test(test_a_stall_counts_for_every_get_that_was_due_in_it),
        cmocka_unit_test(test_a_get_is_left_out_for_what_was_known_before_it),
        cmocka_unit_test(test_grow_writes_what_each_get_cost),
        cmocka_unit_test(test_a_trace_that_cannot_be_written_is_named_before_anything_is_measured),
        cmocka_unit_test(test_shrink_times_gets_while_objects_go_back),
        cmocka_unit_test(test_blowup_reads_memory_before_in_and_after_a_storm),
        cmocka_unit_test(test_pressure_trims_half_of_the_pools_and_gets_from_all),
        cmocka_unit_test(test_burst_fresh_gets_all_of_a_pool_that_starts_small),
        cmocka_unit_test(test_exhaust_gets_past_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
