// SPDX-License-Identifier: Apache-2.0
// The shim over Google Benchmark, how a benchmark runs: iterations and batches, set-up and tear-down, pauses,
// skipped runs.
#include "tests/gbench_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_iterations_asked_for_are_done_exactly_and_in_batches(void **unused)
{
    (void)unused;
    struct gbench_seen seen = {0};
    struct gb_spec spec = {
        .name = "exact", .run = gbench_count_up, .context = &seen, .iterations = 5001, .batch = 512};
    struct gb_outcome outcome;
    json_t *document, *benchmarks = gbench_report(&spec, 1, NULL, &outcome, &document);
    assert_int_equal(json_array_size(benchmarks), 1);
    assert_string_equal(gbench_name_at(benchmarks, 0), "exact"); // no /iterations:5001, no /real_time
    assert_int_equal(gbench_number_at(benchmarks, 0, "iterations"), 5001);
    assert_int_equal(seen.iterations, 5001);
    assert_int_equal(seen.longest_batch, 512);
    assert_int_equal(seen.runs, 1);
    assert_int_equal(outcome.run, 1);
    assert_int_equal(outcome.failed, 0);
    json_decref(document);
}

static void test_without_iterations_it_runs_until_the_time_asked_for(void **unused)
{
    (void)unused;
    struct gbench_seen seen = {0};
    struct gb_spec spec = {.name = "timed", .run = gbench_count_up, .context = &seen};
    struct gb_outcome outcome;
    json_t *document,
        *benchmarks = gbench_report(&spec, 1, "--benchmark_min_time=0.002", &outcome, &document);
    // The library takes iterations up to a thousand million, or as many as last for 2 ms.
    double iterations = gbench_number_at(benchmarks, 0, "iterations");
    assert_true(iterations >= 1e9 || iterations * gbench_number_at(benchmarks, 0, "real_time") >= 2e6 * 0.99);
    // Rounds that were too short came before; on a busy machine already the first may last long enough.
    assert_true((double)seen.iterations >= iterations);
    json_decref(document);
}

static void setup_seen(struct gb_state *state, void *context)
{
    struct gbench_seen *seen = context;
    assert_int_equal(gb_thread_index(state), 0);
    assert_int_equal(gb_threads(state), 3);
    assert_int_equal(gb_next_batch(state), 0); // no loop here
    if (atomic_load_explicit(&seen->in_run, memory_order_relaxed) != 0)
        atomic_fetch_add_explicit(&seen->setup_while_running, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&seen->setups, 1, memory_order_relaxed);
}

static void teardown_seen(struct gb_state *state, void *context)
{
    (void)state;
    struct gbench_seen *seen = context;
    if (atomic_load_explicit(&seen->in_run, memory_order_relaxed) != 0)
        atomic_fetch_add_explicit(&seen->setup_while_running, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&seen->teardowns, 1, memory_order_relaxed);
}

// All but the first thread have ended by then, their destructors done.
static void teardown_after_exits(struct gb_state *state, void *context)
{
    struct gbench_seen *seen = context;
    teardown_seen(state, context);
    assert_int_equal(gb_threads(state), 3);
    assert_int_equal(gb_next_batch(state), 0);
    assert_int_equal(atomic_load_explicit(&seen->thread_exits, memory_order_relaxed), 2 * seen->teardowns);
}

static void count_exit(void *context)
{
    struct gbench_seen *seen = context;
    atomic_fetch_add_explicit(&seen->thread_exits, 1, memory_order_relaxed);
}

static void run_between(struct gb_state *state, void *context)
{
    struct gbench_seen *seen = context;
    atomic_fetch_add_explicit(&seen->in_run, 1, memory_order_relaxed);
    if (gb_thread_index(state) > 0)
        assert_int_equal(pthread_setspecific(seen->at_exit, seen), 0);
    gbench_count_up(state, context);
    atomic_fetch_add_explicit(&seen->in_run, -1, memory_order_relaxed);
}

static void test_setup_and_teardown_come_once_a_run_with_no_thread_inside(void **unused)
{
    (void)unused;
    struct gbench_seen seen = {0};
    assert_int_equal(pthread_key_create(&seen.at_exit, count_exit), 0);
    struct gb_spec spec = {.name = "fixture",
                           .run = run_between,
                           .setup = setup_seen,
                           .teardown = teardown_after_exits,
                           .context = &seen,
                           .threads = {3},
                           .thread_count = 1,
                           .iterations = 1000,
                           .repetitions = 4};
    struct gb_outcome outcome;
    json_t *document, *benchmarks = gbench_report(&spec, 1, NULL, &outcome, &document);
    assert_string_equal(gbench_name_at(benchmarks, 0), "fixture/threads:3");
    assert_int_equal(gbench_number_at(benchmarks, 0, "iterations"), 3000);
    assert_int_equal(seen.setups, 4);
    assert_int_equal(seen.teardowns, 4);
    assert_int_equal(seen.runs, 12);
    assert_int_equal(seen.setup_while_running, 0);
    json_decref(document);
    pthread_key_delete(seen.at_exit);
}

static void run_paused(struct gb_state *state, void *context)
{
    (void)context;
    int64_t n;
    while ((n = gb_next_batch(state)) > 0) {
        gb_pause(state);
        gb_pause(state); // twice is once
        if (gb_iterations(state) < gb_iterations_all(state))
            gb_resume(state); // the last batch leaves it paused
    }
}

static void test_a_loop_may_end_while_paused(void **unused)
{
    (void)unused;
    struct gb_spec spec = {.name = "paused", .run = run_paused, .iterations = 10, .batch = 3};
    struct gb_outcome outcome;
    json_t *document, *benchmarks = gbench_report(&spec, 1, NULL, &outcome, &document);
    assert_int_equal(gbench_number_at(benchmarks, 0, "iterations"), 10);
    assert_int_equal(outcome.failed, 0);
    json_decref(document);
}

static void skip_on_second_thread(struct gb_state *state, void *context)
{
    (void)context;
    int64_t n;
    while ((n = gb_next_batch(state)) > 0) {
        if (gb_thread_index(state) == 1) {
            gb_skip(state, "the pool is empty");
            gb_skip(state, "said later");
            assert_true(gb_skipped(state));
        }
    }
}

static void skip_in_setup(struct gb_state *state, void *context)
{
    (void)context;
    gb_skip(state, "no pool");
}

static void return_early(struct gb_state *state, void *context)
{
    (void)context;
    assert_int_equal(gb_next_batch(state), 10);
}

static void assert_error(json_t *benchmarks, size_t i, const char *text)
{
    json_t *one = json_array_get(benchmarks, i);
    assert_true(json_is_true(json_object_get(one, "error_occurred")));
    assert_string_equal(json_string_value(json_object_get(one, "error_message")), text);
}

static void test_a_skipped_run_gives_its_text_and_no_figure(void **unused)
{
    (void)unused;
    struct gbench_seen seen = {0};
    struct gb_spec specs[] = {
        {.name = "skips", .run = skip_on_second_thread, .threads = {3}, .thread_count = 1, .iterations = 100},
        {.name = "setup_fails",
         .run = run_between,
         .setup = skip_in_setup,
         .teardown = teardown_seen,
         .context = &seen,
         .threads = {2},
         .thread_count = 1},
        {.name = "early", .run = return_early, .iterations = 100, .batch = 10},
        {.name = "fine", .run = gbench_count_up, .context = &seen, .iterations = 7},
    };
    struct gb_outcome outcome;
    json_t *document, *benchmarks = gbench_report(specs, 4, NULL, &outcome, &document);
    assert_int_equal(outcome.run, 4);
    assert_int_equal(outcome.failed, 3);
    assert_error(benchmarks, 0, "the pool is empty");
    assert_error(benchmarks, 1, "no pool");
    assert_error(benchmarks, 2, "the benchmark returned before its last batch");
    assert_string_equal(gbench_name_at(benchmarks, 3), "fine");
    assert_int_equal(gbench_number_at(benchmarks, 3, "iterations"), 7);
    assert_int_equal(seen.teardowns, 1); // teardown follows a failed setup
    assert_int_equal(seen.runs, 1);      // run does not
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_iterations_asked_for_are_done_exactly_and_in_batches),
        cmocka_unit_test(test_without_iterations_it_runs_until_the_time_asked_for),
        cmocka_unit_test(test_setup_and_teardown_come_once_a_run_with_no_thread_inside),
        cmocka_unit_test(test_a_loop_may_end_while_paused),
        cmocka_unit_test(test_a_skipped_run_gives_its_text_and_no_figure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
