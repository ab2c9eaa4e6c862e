// SPDX-License-Identifier: Apache-2.0
// The shim over Google Benchmark, what goes in and comes out: arguments and names, counters, complexity,
// repetitions and context in the report; specifications and flags that are wrong.
#include "tests/gbench_run.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void run_args(struct gb_state *state, void *context)
{
    gbench_count_up(state, context);
    gb_set_counter(state, "first", (double)gb_arg(state, 0), GB_COUNTER_AVG_THREADS);
    gb_set_counter(state, "second", (double)gb_arg(state, 1), GB_COUNTER_AVG_THREADS);
    gb_set_counter(state, "past", (double)gb_arg(state, 2), GB_COUNTER_SUM);
}

static void test_arguments_and_threads_are_in_the_names_that_filter_and_list_mean(void **unused)
{
    (void)unused;
    static const int64_t sizes[] = {64, 3072};
    struct gbench_seen seen = {0};
    struct gb_spec spec = {.name = "a/b",
                           .run = run_args,
                           .context = &seen,
                           .args = {{.values = sizes, .value_count = 2}, {.low = 1, .high = 100}},
                           .arg_count = 2,
                           .threads = {1, 2},
                           .thread_count = 2,
                           .iterations = 10};
    struct gb_outcome outcome;
    json_t *document, *benchmarks = gbench_report(&spec, 1, NULL, &outcome, &document);
    // 2 sizes x {1, 8, 64, 100} x 2 thread counts
    assert_int_equal(outcome.run, 16);
    assert_int_equal(json_array_size(benchmarks), 16);
    assert_string_equal(gbench_name_at(benchmarks, 0), "a/b/64/1/threads:1");
    assert_string_equal(gbench_name_at(benchmarks, 15), "a/b/3072/100/threads:2");
    assert_int_equal(gbench_number_at(benchmarks, 15, "first"), 3072);
    assert_int_equal(gbench_number_at(benchmarks, 15, "second"), 100);
    assert_int_equal(gbench_number_at(benchmarks, 15, "past"), 0);
    json_decref(document);

    struct gb_suite *suite;
    struct err err = {0};
    assert_int_equal(gb_suite_new(&suite), 0);
    assert_int_equal(gb_add(suite, &spec, &err), 0);
    const char *flags[] = {"--benchmark_filter=^a/b/3072/8/threads:[12]$", "--benchmark_list_tests=true",
                           NULL};
    char path[64], line[256];
    assert_int_equal(gbench_run(suite, flags, gbench_temporary_path(path), &outcome, &err), 0);
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
    assert_int_equal(gbench_run(suite, inverse, NULL, &outcome, &err), 0);
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
    json_t *document, *benchmarks = gbench_report(&spec, 1, NULL, &outcome, &document);
    json_t *one = json_array_get(benchmarks, 0);
    // Each of two threads measured 4 x 0.25 s by hand: 1 s elapsed, 8 iterations in all.
    assert_string_equal(json_string_value(json_object_get(one, "time_unit")), "ms");
    assert_string_equal(json_string_value(json_object_get(one, "label")), "labelled");
    assert_float_equal(gbench_number_at(benchmarks, 0, "real_time"), 125, 1e-6);
    assert_float_equal(gbench_number_at(benchmarks, 0, "sum"), 12, 1e-6);
    assert_float_equal(gbench_number_at(benchmarks, 0, "average"), 6, 1e-6);
    assert_float_equal(gbench_number_at(benchmarks, 0, "rate"), 12, 1e-6);
    assert_float_equal(gbench_number_at(benchmarks, 0, "seconds_each"), 1.0 / 12, 1e-6);
    assert_float_equal(gbench_number_at(benchmarks, 0, "each"), 12.0 / 8, 1e-6);
    assert_float_equal(gbench_number_at(benchmarks, 0, "all"), 96, 1e-6);
    assert_float_equal(gbench_number_at(benchmarks, 0, "items_per_second"), 16, 1e-6);
    assert_float_equal(gbench_number_at(benchmarks, 0, "bytes_per_second"), 8192, 1e-6);
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
    json_t *document, *benchmarks = gbench_report(&spec, 1, NULL, &outcome, &document);
    assert_int_equal(json_array_size(benchmarks), 6); // 100, 400, 700, 1000, BigO, RMS
    assert_string_equal(gbench_name_at(benchmarks, 3), "grows/1000");
    assert_string_equal(gbench_name_at(benchmarks, 4), "grows_BigO");
    assert_string_equal(json_string_value(json_object_get(json_array_get(benchmarks, 4), "big_o")), "N");
    assert_float_equal(gbench_number_at(benchmarks, 4, "real_coefficient"), 1000, 1e-3); // 1 us is 1000 ns
    assert_string_equal(gbench_name_at(benchmarks, 5), "grows_RMS");
    json_decref(document);
}

static void test_repetitions_give_each_run_and_their_aggregates(void **unused)
{
    (void)unused;
    struct gbench_seen seen = {0};
    struct gb_spec spec = {.name = "repeated", .run = gbench_count_up, .context = &seen, .iterations = 100};
    struct gb_outcome outcome;
    json_t *document, *benchmarks = gbench_report(&spec, 1, "--benchmark_repetitions=3", &outcome, &document);
    assert_string_equal(gbench_name_at(benchmarks, 0), "repeated");
    assert_int_equal(gbench_number_at(benchmarks, 2, "repetition_index"), 2);
    assert_string_equal(gbench_name_at(benchmarks, 3), "repeated_mean");
    assert_string_equal(gbench_name_at(benchmarks, 4), "repeated_median");
    assert_int_equal(seen.iterations, 300);
    json_decref(document);
}

static void run_one_counter(struct gb_state *state, void *name)
{
    while (gb_next_batch(state) > 0)
        ;
    gb_set_counter(state, name, 5, GB_COUNTER_SUM);
}

// Every counter is a column, and who does not have it leaves it empty. In a file; on the screen the library
// keeps the first format of a process, so that is for tests/py/test_bench.py.
static void test_csv_of_benchmarks_whose_counters_differ(void **unused)
{
    (void)unused;
    static char first[] = "first_counter", second[] = "second_counter";
    struct gb_spec specs[] = {
        {.name = "a", .run = run_one_counter, .context = first, .iterations = 1},
        {.name = "b", .run = run_one_counter, .context = second, .iterations = 1},
    };
    struct gb_suite *suite;
    struct err err = {0};
    struct gb_outcome outcome;
    assert_int_equal(gb_suite_new(&suite), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(gb_add(suite, &specs[i], &err), 0);
    char path[64], flag[128], line[512];
    snprintf(flag, sizeof flag, "--benchmark_out=%s", gbench_temporary_path(path));
    const char *flags[] = {"--benchmark_filter=all", flag, "--benchmark_out_format=csv",
                           "--benchmark_repetitions=1", NULL};
    assert_int_equal(gbench_run(suite, flags, NULL, &outcome, &err), 0);
    gb_suite_free(suite);
    assert_int_equal(outcome.run, 2);
    FILE *csv = fopen(path, "r");
    assert_non_null(csv);
    do // the library writes what it says of the host before
        assert_non_null(fgets(line, sizeof line, csv));
    while (strncmp(line, "name,", 5) != 0);
    assert_non_null(strstr(line, ",\"first_counter\",\"second_counter\""));
    assert_non_null(fgets(line, sizeof line, csv));
    assert_non_null(strstr(line, ",5,\n")); // a has the first
    assert_non_null(fgets(line, sizeof line, csv));
    assert_non_null(strstr(line, ",,5\n")); // b the second
    assert_null(fgets(line, sizeof line, csv));
    fclose(csv);
    unlink(path);
}

static void test_context_is_in_the_report_and_a_second_value_is_ignored(void **unused)
{
    (void)unused;
    gb_add_context("allocator", "glibc");
    gb_add_context("allocator", "other");
    struct gbench_seen seen = {0};
    struct gb_spec spec = {.name = "context", .run = gbench_count_up, .context = &seen, .iterations = 1};
    struct gb_outcome outcome;
    json_t *document;
    (void)gbench_report(&spec, 1, NULL, &outcome, &document);
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
    struct gb_spec nameless = {.run = gbench_count_up};
    assert_int_equal(gb_add(suite, &nameless, &err), -EINVAL);
    struct gb_spec idle = {.name = "idle"};
    assert_int_equal(gb_add(suite, &idle, &err), -EINVAL);
    assert_string_equal(err.text, "benchmark idle has no function");
    struct gb_spec backwards = {
        .name = "backwards", .run = gbench_count_up, .args = {{.low = 5, .high = 4}}, .arg_count = 1};
    assert_int_equal(gb_add(suite, &backwards, &err), -EINVAL);
    assert_string_equal(err.text, "benchmark backwards: argument 0 has no values");
    struct gb_spec no_thread = {.name = "none", .run = gbench_count_up, .threads = {0}, .thread_count = 1};
    assert_int_equal(gb_add(suite, &no_thread, &err), -EINVAL);
    assert_string_equal(err.text, "benchmark none: 0 threads");
    gb_suite_free(suite);
    gb_suite_free(NULL);
}

static void test_bad_flags_are_named_and_nothing_runs(void **unused)
{
    (void)unused;
    struct gbench_seen seen = {0};
    struct gb_spec spec = {.name = "lifo", .run = gbench_count_up, .context = &seen, .iterations = 1};
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
        {"--benchmark_repetitions=0", "--benchmark_repetitions='0': nothing would be measured", -EINVAL},
        {"--benchmark_repetitions=", "--benchmark_repetitions=''", -EINVAL},
        {"--benchmark_repetitions=-3", "--benchmark_repetitions='-3'", -EINVAL},
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
        int code = gbench_run(suite, flags, NULL, &outcome, &err);
        if (code != bad[i].code || !strstr(err.text, bad[i].text))
            fail_msg("%s gave %d: %s", bad[i].flag, code, err.text);
    }
    const char *twice[] = {"--benchmark_filter=lifo", "--benchmark_time_unit=ms", "--benchmark_filter=all",
                           NULL};
    struct gb_outcome outcome;
    assert_int_equal(gbench_run(suite, twice, NULL, &outcome, &err), -EINVAL);
    assert_string_equal(err.text,
                        "--benchmark_filter: is given twice, the second time as --benchmark_filter=all; "
                        "it takes one value");
    assert_int_equal(seen.runs, 0);
    gb_suite_free(suite);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments_and_threads_are_in_the_names_that_filter_and_list_mean),
        cmocka_unit_test(test_counters_rates_and_manual_time),
        cmocka_unit_test(test_complexity_is_fitted_over_the_arguments),
        cmocka_unit_test(test_repetitions_give_each_run_and_their_aggregates),
        cmocka_unit_test(test_csv_of_benchmarks_whose_counters_differ),
        cmocka_unit_test(test_context_is_in_the_report_and_a_second_value_is_ignored),
        cmocka_unit_test(test_bad_specs_are_named),
        cmocka_unit_test(test_bad_flags_are_named_and_nothing_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
