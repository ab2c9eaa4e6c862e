// SPDX-License-Identifier: Apache-2.0
// The shim over Google Benchmark: counts, names, counters, reports and errors, on benchmarks run in this
// process.
#include "bench/gbench.h"

#include <jansson.h>
#include <pthread.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ARGV_MAX = 16 };

// What the benchmarks below were seen to do. Threads of a run share it, so its counts are atomic; relaxed
// order is enough, since they are read after the run has joined its threads.
struct seen {
    _Atomic int64_t iterations, longest_batch, runs, setups, teardowns, in_run, setup_while_running;
    _Atomic int64_t thread_exits;
    pthread_key_t at_exit; // its destructor counts thread_exits
};

static int quiet_stdout(const char *path)
{
    fflush(stdout);
    int kept = dup(STDOUT_FILENO);
    assert_true(kept >= 0);
    assert_non_null(freopen(path, "w", stdout));
    return kept;
}

static void restore_stdout(int kept)
{
    fflush(stdout);
    assert_true(dup2(kept, STDOUT_FILENO) >= 0);
    close(kept);
}

static char *temporary_path(char path[static 64])
{
    strcpy(path, "/tmp/test_gbench_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    return path;
}

// gb_run with `flags` (NULL-terminated); stdout goes to `out` or nowhere.
static int run_suite(struct gb_suite *suite, const char *const *flags, const char *out,
                     struct gb_outcome *outcome, struct err *err)
{
    char *argv[ARGV_MAX + 1] = {"test_gbench"};
    int argc = 1;
    for (; flags[argc - 1]; argc++) {
        assert_in_range(argc, 1, ARGV_MAX - 1);
        argv[argc] = (char *)flags[argc - 1];
    }
    int kept = quiet_stdout(out ? out : "/dev/null");
    int code = gb_run(suite, &argc, argv, outcome, err);
    restore_stdout(kept);
    return code;
}

// Runs one spec and gives the "benchmarks" of its JSON; the caller drops the document.
static json_t *report_of(const struct gb_spec *specs, size_t count, const char *extra,
                         struct gb_outcome *outcome, json_t **document)
{
    struct gb_suite *suite;
    assert_int_equal(gb_suite_new(&suite), 0);
    struct err err = {0};
    for (size_t i = 0; i < count; i++)
        assert_int_equal(gb_add(suite, &specs[i], &err), 0);
    char path[64], out[96];
    snprintf(out, sizeof out, "--benchmark_out=%s", temporary_path(path));
    const char *flags[] = {out,
                           "--benchmark_out_format=json",
                           "--benchmark_filter=all",
                           "--benchmark_list_tests=false",
                           extra ? extra : "--benchmark_min_time=0.001",
                           NULL};
    int code = run_suite(suite, flags, NULL, outcome, &err);
    if (code != 0)
        fail_msg("gb_run: %d: %s", code, err.text);
    gb_suite_free(suite);
    json_error_t error;
    *document = json_load_file(path, 0, &error);
    unlink(path);
    assert_non_null(*document);
    json_t *benchmarks = json_object_get(*document, "benchmarks");
    assert_true(json_is_array(benchmarks));
    return benchmarks;
}

static const char *name_at(json_t *benchmarks, size_t i)
{
    return json_string_value(json_object_get(json_array_get(benchmarks, i), "name"));
}

static double number_at(json_t *benchmarks, size_t i, const char *key)
{
    json_t *value = json_object_get(json_array_get(benchmarks, i), key);
    if (!json_is_number(value))
        fail_msg("no number '%s' in benchmark %zu", key, i);
    return json_number_value(value);
}

static void count_up(struct gb_state *state, void *context)
{
    struct seen *seen = context;
    atomic_fetch_add_explicit(&seen->runs, 1, memory_order_relaxed);
    int64_t n;
    while ((n = gb_next_batch(state)) > 0) {
        for (int64_t i = 0; i < n; i++)
            gb_use(&n);
        atomic_fetch_add_explicit(&seen->iterations, n, memory_order_relaxed);
        if (n > atomic_load_explicit(&seen->longest_batch, memory_order_relaxed))
            atomic_store_explicit(&seen->longest_batch, n, memory_order_relaxed);
    }
    assert_int_equal(gb_iterations(state), gb_iterations_all(state));
}

static void test_iterations_asked_for_are_done_exactly_and_in_batches(void **unused)
{
    (void)unused;
    struct seen seen = {0};
    struct gb_spec spec = {
        .name = "exact", .run = count_up, .context = &seen, .iterations = 5001, .batch = 512};
    struct gb_outcome outcome;
    json_t *document, *benchmarks = report_of(&spec, 1, NULL, &outcome, &document);
    assert_int_equal(json_array_size(benchmarks), 1);
    assert_string_equal(name_at(benchmarks, 0), "exact"); // no /iterations:5001, no /real_time
    assert_int_equal(number_at(benchmarks, 0, "iterations"), 5001);
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
    struct seen seen = {0};
    struct gb_spec spec = {.name = "timed", .run = count_up, .context = &seen};
    struct gb_outcome outcome;
    json_t *document, *benchmarks = report_of(&spec, 1, "--benchmark_min_time=0.002", &outcome, &document);
    // The library takes iterations up to a thousand million, or as many as last for 2 ms.
    double iterations = number_at(benchmarks, 0, "iterations");
    assert_true(iterations >= 1e9 || iterations * number_at(benchmarks, 0, "real_time") >= 2e6 * 0.99);
    // Rounds that were too short came before; on a busy machine already the first may last long enough.
    assert_true((double)seen.iterations >= iterations);
    json_decref(document);
}

static void setup_seen(struct gb_state *state, void *context)
{
    struct seen *seen = context;
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
    struct seen *seen = context;
    if (atomic_load_explicit(&seen->in_run, memory_order_relaxed) != 0)
        atomic_fetch_add_explicit(&seen->setup_while_running, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&seen->teardowns, 1, memory_order_relaxed);
}

// All but the first thread have ended by then, their destructors done.
static void teardown_after_exits(struct gb_state *state, void *context)
{
    struct seen *seen = context;
    teardown_seen(state, context);
    assert_int_equal(gb_threads(state), 3);
    assert_int_equal(gb_next_batch(state), 0);
    assert_int_equal(atomic_load_explicit(&seen->thread_exits, memory_order_relaxed), 2 * seen->teardowns);
}

static void count_exit(void *context)
{
    struct seen *seen = context;
    atomic_fetch_add_explicit(&seen->thread_exits, 1, memory_order_relaxed);
}

static void run_between(struct gb_state *state, void *context)
{
    struct seen *seen = context;
    atomic_fetch_add_explicit(&seen->in_run, 1, memory_order_relaxed);
    if (gb_thread_index(state) > 0)
        assert_int_equal(pthread_setspecific(seen->at_exit, seen), 0);
    count_up(state, context);
    atomic_fetch_add_explicit(&seen->in_run, -1, memory_order_relaxed);
}

static void test_setup_and_teardown_come_once_a_run_with_no_thread_inside(void **unused)
{
    (void)unused;
    struct seen seen = {0};
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
    json_t *document, *benchmarks = report_of(&spec, 1, NULL, &outcome, &document);
    assert_string_equal(name_at(benchmarks, 0), "fixture/threads:3");
    assert_int_equal(number_at(benchmarks, 0, "iterations"), 3000);
    assert_int_equal(seen.setups, 4);
    assert_int_equal(seen.teardowns, 4);
    assert_int_equal(seen.runs, 12);
    assert_int_equal(seen.setup_while_running, 0);
    json_decref(document);
    pthread_key_delete(seen.at_exit);
}

static void run_args(struct gb_state *state, void *context)
{
    count_up(state, context);
    gb_set_counter(state, "first", (double)gb_arg(state, 0), GB_COUNTER_AVG_THREADS);
    gb_set_counter(state, "second", (double)gb_arg(state, 1), GB_COUNTER_AVG_THREADS);
    gb_set_counter(state, "past", (double)gb_arg(state, 2), GB_COUNTER_SUM);
}

static void test_arguments_and_threads_are_in_the_names_that_filter_and_list_mean(void **unused)
{
    (void)unused;
    static const int64_t sizes[] = {64, 3072};
    struct seen seen = {0};
    struct gb_spec spec = {.name = "a/b",
                           .run = run_args,
                           .context = &seen,
                           .args = {{.values = sizes, .value_count = 2}, {.low = 1, .high = 100}},
                           .arg_count = 2,
                           .threads = {1, 2},
                           .thread_count = 2,
                           .iterations = 10};
    struct gb_outcome outcome;
    json_t *document, *benchmarks = report_of(&spec, 1, NULL, &outcome, &document);
    // 2 sizes x {1, 8, 64, 100} x 2 thread counts
    assert_int_equal(outcome.run, 16);
    assert_int_equal(json_array_size(benchmarks), 16);
    assert_string_equal(name_at(benchmarks, 0), "a/b/64/1/threads:1");
    assert_string_equal(name_at(benchmarks, 15), "a/b/3072/100/threads:2");
    assert_int_equal(number_at(benchmarks, 15, "first"), 3072);
    assert_int_equal(number_at(benchmarks, 15, "second"), 100);
    assert_int_equal(number_at(benchmarks, 15, "past"), 0);
    json_decref(document);

    struct gb_suite *suite;
    struct err err = {0};
    assert_int_equal(gb_suite_new(&suite), 0);
    assert_int_equal(gb_add(suite, &spec, &err), 0);
    const char *flags[] = {"--benchmark_filter=^a/b/3072/8/threads:[12]$", "--benchmark_list_tests=true",
                           NULL};
    char path[64], line[256];
    assert_int_equal(run_suite(suite, flags, temporary_path(path), &outcome, &err), 0);
    assert_int_equal(outcome.run, 2);
    FILE *listed = fopen(path, "r");
    assert_non_null(listed);
    assert_non_null(fgets(line, sizeof line, listed));
    assert_string_equal(line, "a/b/3072/8/threads:1\n");
    assert_non_null(fgets(line, sizeof line, listed));
    assert_string_equal(line, "a/b/3072/8/threads:2\n");
    assert_null(fgets(line, sizeof line, listed));
    fclose(listed);
    unlink(path);
    const char *inverse[] = {"--benchmark_filter=-/threads:2$", "--benchmark_list_tests=true", NULL};
    assert_int_equal(run_suite(suite, inverse, NULL, &outcome, &err), 0);
    assert_int_equal(outcome.run, 8);
    gb_suite_free(suite);
}

static void run_counters(struct gb_state *state, void *context)
{
    (void)context;
    int64_t n;
    while ((n = gb_next_batch(state)) > 0)
        gb_set_iteration_time(state, 0.25 * (double)n);
    gb_set_counter(state, "sum", 6, GB_COUNTER_SUM);
    gb_set_counter(state, "average", 6, GB_COUNTER_AVG_THREADS);
    gb_set_counter(state, "rate", 6, GB_COUNTER_RATE);
    gb_set_counter(state, "seconds_each", 6, GB_COUNTER_RATE | GB_COUNTER_INVERT);
    gb_set_counter(state, "each", 6, GB_COUNTER_AVG_ITERATIONS);
    gb_set_counter(state, "all", 6, GB_COUNTER_TIMES_ITERATIONS);
    gb_set_items(state, 8);
    gb_set_bytes(state, 4096);
    gb_set_label(state, "labelled");
}

static void test_counters_rates_and_manual_time(void **unused)
{
    (void)unused;
    struct gb_spec spec = {.name = "counters",
                           .run = run_counters,
                           .threads = {2},
                           .thread_count = 1,
                           .iterations = 4,
                           .batch = 1,
                           .clock = GB_CLOCK_MANUAL,
                           .unit = GB_MILLISECONDS};
    struct gb_outcome outcome;
    json_t *document, *benchmarks = report_of(&spec, 1, NULL, &outcome, &document);
    json_t *one = json_array_get(benchmarks, 0);
    // Each of two threads measured 4 x 0.25 s by hand: 1 s elapsed, 8 iterations in all.
    assert_string_equal(json_string_value(json_object_get(one, "time_unit")), "ms");
    assert_string_equal(json_string_value(json_object_get(one, "label")), "labelled");
    assert_float_equal(number_at(benchmarks, 0, "real_time"), 125, 1e-6);
    assert_float_equal(number_at(benchmarks, 0, "sum"), 12, 1e-6);
    assert_float_equal(number_at(benchmarks, 0, "average"), 6, 1e-6);
    assert_float_equal(number_at(benchmarks, 0, "rate"), 12, 1e-6);
    assert_float_equal(number_at(benchmarks, 0, "seconds_each"), 1.0 / 12, 1e-6);
    assert_float_equal(number_at(benchmarks, 0, "each"), 12.0 / 8, 1e-6);
    assert_float_equal(number_at(benchmarks, 0, "all"), 96, 1e-6);
    assert_float_equal(number_at(benchmarks, 0, "items_per_second"), 16, 1e-6);
    assert_float_equal(number_at(benchmarks, 0, "bytes_per_second"), 8192, 1e-6);
    json_decref(document);
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
    json_t *document, *benchmarks = report_of(&spec, 1, NULL, &outcome, &document);
    assert_int_equal(number_at(benchmarks, 0, "iterations"), 10);
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
    struct seen seen = {0};
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
        {.name = "fine", .run = count_up, .context = &seen, .iterations = 7},
    };
    struct gb_outcome outcome;
    json_t *document, *benchmarks = report_of(specs, 4, NULL, &outcome, &document);
    assert_int_equal(outcome.run, 4);
    assert_int_equal(outcome.failed, 3);
    assert_error(benchmarks, 0, "the pool is empty");
    assert_error(benchmarks, 1, "no pool");
    assert_error(benchmarks, 2, "the benchmark returned before its last batch");
    assert_string_equal(name_at(benchmarks, 3), "fine");
    assert_int_equal(number_at(benchmarks, 3, "iterations"), 7);
    assert_int_equal(seen.teardowns, 1); // teardown follows a failed setup
    assert_int_equal(seen.runs, 1);      // run does not
    json_decref(document);
}

static void run_linear(struct gb_state *state, void *context)
{
    (void)context;
    int64_t n;
    while ((n = gb_next_batch(state)) > 0)
        gb_set_iteration_time(state, 1e-6 * (double)gb_arg(state, 0));
    gb_set_complexity_n(state, gb_arg(state, 0));
}

static void test_complexity_is_fitted_over_the_arguments(void **unused)
{
    (void)unused;
    struct gb_spec spec = {.name = "grows",
                           .run = run_linear,
                           .args = {{.low = 100, .high = 1000, .step = 300}},
                           .arg_count = 1,
                           .iterations = 1,
                           .clock = GB_CLOCK_MANUAL,
                           .complexity = GB_O_N};
    struct gb_outcome outcome;
    json_t *document, *benchmarks = report_of(&spec, 1, NULL, &outcome, &document);
    assert_int_equal(json_array_size(benchmarks), 6); // 100, 400, 700, 1000, BigO, RMS
    assert_string_equal(name_at(benchmarks, 3), "grows/1000");
    assert_string_equal(name_at(benchmarks, 4), "grows_BigO");
    assert_string_equal(json_string_value(json_object_get(json_array_get(benchmarks, 4), "big_o")), "N");
    assert_float_equal(number_at(benchmarks, 4, "real_coefficient"), 1000, 1e-3); // 1 us is 1000 ns
    assert_string_equal(name_at(benchmarks, 5), "grows_RMS");
    json_decref(document);
}

static void test_repetitions_give_each_run_and_their_aggregates(void **unused)
{
    (void)unused;
    struct seen seen = {0};
    struct gb_spec spec = {.name = "repeated", .run = count_up, .context = &seen, .iterations = 100};
    struct gb_outcome outcome;
    json_t *document, *benchmarks = report_of(&spec, 1, "--benchmark_repetitions=3", &outcome, &document);
    assert_string_equal(name_at(benchmarks, 0), "repeated");
    assert_int_equal(number_at(benchmarks, 2, "repetition_index"), 2);
    assert_string_equal(name_at(benchmarks, 3), "repeated_mean");
    assert_string_equal(name_at(benchmarks, 4), "repeated_median");
    assert_int_equal(seen.iterations, 300);
    json_decref(document);
}

static void test_context_is_in_the_report_and_a_second_value_is_ignored(void **unused)
{
    (void)unused;
    gb_add_context("allocator", "glibc");
    gb_add_context("allocator", "other");
    struct seen seen = {0};
    struct gb_spec spec = {.name = "context", .run = count_up, .context = &seen, .iterations = 1};
    struct gb_outcome outcome;
    json_t *document;
    (void)report_of(&spec, 1, NULL, &outcome, &document);
    json_t *context = json_object_get(document, "context");
    assert_string_equal(json_string_value(json_object_get(context, "allocator")), "glibc");
    json_decref(document);
}

static void test_bad_specs_are_named(void **unused)
{
    (void)unused;
    struct gb_suite *suite;
    assert_int_equal(gb_suite_new(&suite), 0);
    struct err err = {0};
    struct gb_spec nameless = {.run = count_up};
    assert_int_equal(gb_add(suite, &nameless, &err), -EINVAL);
    struct gb_spec idle = {.name = "idle"};
    assert_int_equal(gb_add(suite, &idle, &err), -EINVAL);
    assert_string_equal(err.text, "benchmark idle has no function");
    struct gb_spec backwards = {
        .name = "backwards", .run = count_up, .args = {{.low = 5, .high = 4}}, .arg_count = 1};
    assert_int_equal(gb_add(suite, &backwards, &err), -EINVAL);
    assert_string_equal(err.text, "benchmark backwards: argument 0 has no values");
    struct gb_spec no_thread = {.name = "none", .run = count_up, .threads = {0}, .thread_count = 1};
    assert_int_equal(gb_add(suite, &no_thread, &err), -EINVAL);
    assert_string_equal(err.text, "benchmark none: 0 threads");
    gb_suite_free(suite);
    gb_suite_free(NULL);
}

static void test_bad_flags_are_named_and_nothing_runs(void **unused)
{
    (void)unused;
    struct seen seen = {0};
    struct gb_spec spec = {.name = "lifo", .run = count_up, .context = &seen, .iterations = 1};
    struct gb_suite *suite;
    struct err err = {0};
    assert_int_equal(gb_suite_new(&suite), 0);
    assert_int_equal(gb_add(suite, &spec, &err), 0);
    static const struct {
        const char *flag, *text;
        int code;
    } bad[] = {
        {"--benchmark_filter=(", "--benchmark_filter='(' is no regular expression", -EINVAL},
        {"--benchmark_filter=fifo", "no benchmark matches --benchmark_filter='fifo'", -EINVAL},
        {"--benchmark_fliter=lifo", "'--benchmark_fliter=lifo' is not an option", -EINVAL},
        {"--benchmark_repetitions=many", "'--benchmark_repetitions=many'", -EINVAL},
        {"--benchmark_format=xml", "--benchmark_format='xml': it may be console, json or csv", -EINVAL},
        {"--benchmark_out_format=xml", "--benchmark_out_format='xml'", -EINVAL},
        {"--benchmark_time_unit=h", "--benchmark_time_unit='h': it may be ns, us, ms or s", -EINVAL},
        {"--benchmark_out=/nonexistent/x.json", "cannot write --benchmark_out='/nonexistent/x.json'",
         -ENOENT},
        {"word", "'word' is not an option", -EINVAL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        // A filter that is not under test must match: the library keeps the last one that it was given.
        bool is_filter = strncmp(bad[i].flag, "--benchmark_filter", 18) == 0;
        const char *flags[] = {bad[i].flag, is_filter ? NULL : "--benchmark_filter=lifo", NULL};
        struct gb_outcome outcome;
        int code = run_suite(suite, flags, NULL, &outcome, &err);
        if (code != bad[i].code || !strstr(err.text, bad[i].text))
            fail_msg("%s gave %d: %s", bad[i].flag, code, err.text);
    }
    assert_int_equal(seen.runs, 0);
    gb_suite_free(suite);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_iterations_asked_for_are_done_exactly_and_in_batches),
        cmocka_unit_test(test_without_iterations_it_runs_until_the_time_asked_for),
        cmocka_unit_test(test_setup_and_teardown_come_once_a_run_with_no_thread_inside),
        cmocka_unit_test(test_arguments_and_threads_are_in_the_names_that_filter_and_list_mean),
        cmocka_unit_test(test_counters_rates_and_manual_time),
        cmocka_unit_test(test_a_loop_may_end_while_paused),
        cmocka_unit_test(test_a_skipped_run_gives_its_text_and_no_figure),
        cmocka_unit_test(test_complexity_is_fitted_over_the_arguments),
        cmocka_unit_test(test_repetitions_give_each_run_and_their_aggregates),
        cmocka_unit_test(test_context_is_in_the_report_and_a_second_value_is_ignored),
        cmocka_unit_test(test_bad_specs_are_named),
        cmocka_unit_test(test_bad_flags_are_named_and_nothing_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
