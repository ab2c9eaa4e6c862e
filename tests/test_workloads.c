// SPDX-License-Identifier: Apache-2.0
// Every workload does what it says: run for a few iterations on a strategy that watches who gets and puts
// what.
#include "bench/get_trace.h"
#include "bench/workload.h"

#include "pools/pool_strategy.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// The watching strategy.

// In front of each object; a multiple of 16 bytes.
struct tag {
    _Alignas(16) int64_t number; // of its get
    pid_t getter;
};

// What was seen since the last reset, over all pools. The strategy has no place for a test's context, so it
// is the test program's one global.
static struct watch {
    pthread_mutex_t lock; // guards all below
    int64_t gets, puts, in_use, peak, opens, remote_puts, sweeps;
    int64_t puts_of_latest,
        puts_of_next; // of the object got last; of the one got right after the one put before
    int64_t last_put, last_initial;
    bool last_touch;
    int64_t fail_from; // gets from this one on give NULL; 0: none does
    const char *trace; // of the cases that run_row makes; stays
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct pool {
    struct pool_base base;
    int64_t max, in_use;
    size_t bytes;
    enum pool_overflow overflow;
};

static void watch_reset(void)
{
    pthread_mutex_lock(&watch.lock);
    watch.gets = watch.puts = watch.in_use = watch.peak = watch.opens = watch.remote_puts = watch.sweeps = 0;
    watch.puts_of_latest = watch.puts_of_next = watch.last_put = watch.fail_from = 0;
    pthread_mutex_unlock(&watch.lock);
}

static int watch_open(struct pool **opened, const struct pool_config *config, struct err *err)
{
    (void)err;
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return -ENOMEM;
    pool->bytes = config->object_bytes;
    pool->max = config->max;
    pool->overflow = config->overflow;
    watch.opens++;
    watch.last_initial = config->initial;
    watch.last_touch = config->touch;
    *opened = pool;
    return 0;
}

static void *watch_get(struct pool *pool)
{
    struct tag *tag = NULL;
    pthread_mutex_lock(&watch.lock);
    bool refused = pool->max > 0 && pool->in_use >= pool->max && pool->overflow == POOL_OVERFLOW_REFUSE;
    int64_t number = ++watch.gets;
    if (!refused && !(watch.fail_from > 0 && number >= watch.fail_from))
        tag = malloc(sizeof *tag + pool->bytes);
    if (tag) {
        *tag = (struct tag){.number = number, .getter = gettid()};
        pool->in_use++;
        watch.in_use++;
        watch.peak = watch.in_use > watch.peak ? watch.in_use : watch.peak;
    }
    pthread_mutex_unlock(&watch.lock);
    return tag ? tag + 1 : NULL;
}

static void watch_put(struct pool *pool, void *object)
{
    struct tag *tag = (struct tag *)object - 1;
    pthread_mutex_lock(&watch.lock);
    watch.puts++;
    watch.puts_of_latest += tag->number == watch.gets;
    watch.puts_of_next += tag->number == watch.last_put + 1;
    watch.last_put = tag->number;
    watch.remote_puts += tag->getter != gettid();
    pool->in_use--;
    watch.in_use--;
    pthread_mutex_unlock(&watch.lock);
    free(tag);
}

static void watch_stats(struct pool *pool, struct pool_stats *stats)
{
    stats->in_use = stats->owned = pool->in_use;
    stats->bytes_owned = pool->in_use * (int64_t)pool->bytes;
}

static void watch_close(struct pool *pool)
{
    assert_int_equal(pool->in_use, 0); // a workload gives back all it got
    free(pool);
}

static int watch_preheat(struct pool *pool, int64_t count)
{
    (void)pool;
    (void)count;
    return 0;
}

static int64_t watch_sweep(struct pool *pool)
{
    (void)pool;
    watch.sweeps++;
    return 0;
}

static const struct pool_strategy watching = {
    .name = "watching",
    .summary = "sees who gets and puts what",
    .caps = POOL_CAP_PREHEATS | POOL_CAP_BOUNDED | POOL_CAP_SWEEPS | POOL_CAP_GROWS | POOL_CAP_BACKGROUND,
    .open = watch_open,
    .get = watch_get,
    .put = watch_put,
    .stats = watch_stats,
    .close = watch_close,
    .preheat = watch_preheat,
    .sweep = watch_sweep,
};

// Running one.

static const struct workload *find(const char *name)
{
    const struct workload *row;
    for (size_t i = 0; (row = workload_at(i)); i++) {
        if (strcmp(row->name, name) == 0)
            return row;
    }
    fail_msg("there is no workload %s", name);
    return NULL;
}

// gb_run with its stdout thrown away; the JSON's "benchmarks" in a document that the caller drops.
static json_t *run_suite(struct gb_suite *suite, const char *filter, struct gb_outcome *outcome)
{
    char path[] = "/tmp/test_workloads_XXXXXX", out[64], filter_flag[128];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(out, sizeof out, "--benchmark_out=%s", path);
    snprintf(filter_flag, sizeof filter_flag, "--benchmark_filter=%s", filter);
    char time_flag[] = "--benchmark_min_time=0.00001";
    char *argv[] = {(char *)"test_workloads", out, filter_flag, time_flag, NULL};
    int argc = 4;
    struct err err = {0};
    fflush(stdout);
    int kept = dup(STDOUT_FILENO);
    assert_non_null(freopen("/dev/null", "w", stdout));
    int code = gb_run(suite, &argc, argv, outcome, &err);
    fflush(stdout);
    assert_true(dup2(kept, STDOUT_FILENO) >= 0);
    close(kept);
    if (code != 0)
        fail_msg("gb_run: %s", err.text);
    json_error_t error;
    json_t *document = json_load_file(path, 0, &error);
    unlink(path);
    assert_non_null(document);
    return document;
}

// One row on the watching strategy with `threads` (0: the single run). `iterations` 0: the row's own, or what
// the library finds. The one benchmark's JSON; the caller drops the document.
static json_t *run_row(const char *name, int threads, int64_t iterations, json_t **document)
{
    static struct workload row; // what runs must outlive this function's frame no more than the run
    row = *find(name);
    struct bench_case bench = {.workload = &row, .strategy = &watching, .bytes = 64, .trace = watch.trace};
    snprintf(bench.name, sizeof bench.name, "%s/watching/64", name);
    if (iterations > 0)
        row.iterations = iterations;
    row.not_single = threads > 0;
    memset(row.threads, 0, sizeof row.threads);
    row.threads[0] = threads;
    struct gb_suite *suite;
    struct err err = {0};
    struct gb_outcome outcome;
    assert_int_equal(gb_suite_new(&suite), 0);
    assert_int_equal(workload_add(suite, &bench, &err), 0);
    *document = run_suite(suite, "all", &outcome);
    gb_suite_free(suite);
    assert_int_equal(watch.in_use, 0);
    assert_null(bench.pool);
    json_t *one = json_array_get(json_object_get(*document, "benchmarks"), 0);
    assert_non_null(one);
    return one;
}

// As run_row, for a run that must succeed; counters are looked at by `check` when it is not NULL.
static void run_fine(const char *name, int threads, int64_t iterations, void (*check)(json_t *))
{
    json_t *document, *one;
    watch_reset();
    one = run_row(name, threads, iterations, &document);
    if (json_object_get(one, "error_occurred"))
        fail_msg("%s: %s", name, json_string_value(json_object_get(one, "error_message")));
    json_t *per_op = json_object_get(one, "per_op");
    if (!json_is_number(per_op) || json_number_value(per_op) < 0)
        fail_msg("%s has no time per operation", name);
    if (check)
        check(one);
    json_decref(document);
}

static double counter(json_t *one, const char *name)
{
    json_t *value = json_object_get(one, name);
    if (!json_is_number(value))
        fail_msg("no counter %s", name);
    return json_number_value(value);
}

// The tests.

static void test_lifo_puts_what_it_got_last(void **state)
{
    (void)state;
    static const char *const names[] = {"lifo", "lifo_touch_line", "lifo_touch_all"};
    for (size_t i = 0; i < 3; i++) {
        run_fine(names[i], 0, 3000, NULL);
        assert_int_equal(watch.gets, 3000);
        assert_int_equal(watch.puts_of_latest, 3000);
        assert_int_equal(watch.peak, 1);
        assert_int_equal(watch.opens, 1);
        assert_true(watch.last_initial >= 1);
    }
    run_fine("lifo", 4, 1000, NULL);
    assert_int_equal(watch.gets, 4000);
    assert_int_equal(watch.remote_puts, 0);
    assert_true(watch.peak <= 4);
}

static void test_fifo_puts_the_oldest_of_1024(void **state)
{
    (void)state;
    static const char *const names[] = {"fifo", "fifo_touch_line", "fifo_touch_all"};
    for (size_t i = 0; i < 3; i++) {
        run_fine(names[i], 0, 5000, NULL);
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
        run_fine(names[i], 0, 5000, NULL);
        assert_int_equal(watch.gets, 5000 + 1024);
        assert_int_equal(watch.peak, 1024);
        assert_true(watch.puts_of_next < 1024);
        assert_true(watch.puts_of_latest < 500);
    }
}

static void test_steady_wanders_around_half_of_its_depth(void **state)
{
    (void)state;
    run_fine("steady_256", 0, 20000, NULL);
    assert_true(watch.peak > 128 && watch.peak <= 256);
    assert_true(watch.gets > 8000 && watch.gets < 12000);
    run_fine("steady_16", 2, 1000, NULL);
    assert_true(watch.peak <= 32);
    run_fine("steady_4096", 0, 1000, NULL);
    run_fine("steady_65536", 0, 1000, NULL);
    assert_true(watch.peak >= 32768 && watch.peak <= 33768);
}

static void test_a_burst_gets_all_then_puts_all_in_their_order(void **state)
{
    (void)state;
    static const char *const names[] = {"burst_1000", "burst_1000_touch_line", "burst_1000_touch_all"};
    for (size_t i = 0; i < 3; i++) {
        run_fine(names[i], 0, 5, NULL);
        assert_int_equal(watch.gets, 6 * 1000); // one before the clock starts
        assert_int_equal(watch.peak, 1000);
        assert_int_equal(watch.puts_of_next, 6 * 1000);
    }
    run_fine("burst_10000", 0, 2, NULL);
    assert_int_equal(watch.peak, 10000);
    run_fine("burst_100000", 0, 1, NULL);
    assert_int_equal(watch.gets, 200000);
    assert_int_equal(watch.peak, 100000);
}

static void test_remote_objects_are_put_by_other_threads(void **state)
{
    (void)state;
    run_fine("remote_1_1", 2, 5000, NULL);
    assert_int_equal(watch.gets, 5000);
    assert_int_equal(watch.puts, 5000);
    assert_int_equal(watch.remote_puts, 5000);
    run_fine("remote_n_1", 4, 3000, NULL); // three getters
    assert_int_equal(watch.gets, 9000);
    assert_int_equal(watch.remote_puts, 9000);
    run_fine("remote_1_n", 4, 3000, NULL); // three receivers, each object put once
    assert_int_equal(watch.gets, 3000);
    assert_int_equal(watch.puts, 3000);
    assert_int_equal(watch.remote_puts, 3000);
}

static void check_owned_ratio(json_t *one)
{
    assert_float_equal(counter(one, "owned_ratio"), 1, 1e-9);
}

static void test_bleed_hands_objects_from_thread_to_thread(void **state)
{
    (void)state;
    run_fine("bleed", 0, 30000, check_owned_ratio);
    assert_int_equal(watch.gets, 30000);
    assert_true(watch.peak <= 1000 && watch.peak > 990);
    // What the second and third thread of the chain met first was got by others, and the last were put by
    // this one.
    assert_true(watch.remote_puts > 2500);
}

static void test_churn_is_whole_lives_of_threads(void **state)
{
    (void)state;
    run_fine("churn", 0, 20, NULL);
    assert_int_equal(watch.gets, 20 * 64);
    assert_int_equal(watch.peak, 64);
    assert_int_equal(watch.remote_puts, 0);
}

static void test_false_sharing_hands_neighbours_out(void **state)
{
    (void)state;
    run_fine("false_sharing_active", 2, 200, NULL);
    assert_int_equal(watch.gets, 400);
    assert_int_equal(watch.remote_puts, 0);
    run_fine("false_sharing_passive", 2, 200, NULL);
    assert_int_equal(watch.gets, 402);
    assert_int_equal(watch.remote_puts, 1); // the second thread's, got by the first
}

static void check_cold(json_t *one)
{
    assert_true(counter(one, "faults_each") >= 0);
    assert_true(counter(one, "open_ns") >= 0);
    assert_true(counter(one, "huge_bytes") >= 0);
}

static void test_cold_opens_a_pool_for_each_iteration(void **state)
{
    (void)state;
    run_fine("cold", 0, 2, check_cold);
    assert_int_equal(watch.opens, 2);
    assert_int_equal(watch.gets, 2 * 4096);
    assert_int_equal(watch.peak, 4096);
    assert_int_equal(watch.last_initial, 0);
    run_fine("cold_preheated", 0, 1, check_cold);
    assert_true(watch.last_initial >= 4096);
    assert_true(watch.last_touch);
    run_fine("cold_untouched", 0, 1, check_cold);
    assert_true(watch.last_initial >= 4096);
    assert_false(watch.last_touch);
    run_fine("cold_huge", 0, 1, check_cold);
    run_fine("cold_preheated_huge", 0, 1, check_cold);
}

static void check_percentiles(json_t *one)
{
    static const char *const names[] = {"p50_ns",    "p90_ns",     "p99_ns",    "p99_9_ns",
                                        "p99_99_ns", "p99_999_ns", "longest_ns"};
    double before = 0;
    for (size_t i = 0; i < 7; i++) {
        double value = counter(one, names[i]);
        assert_true(value >= before);
        before = value;
    }
    assert_true(before > 0);
    assert_true(counter(one, "preempted") >= 0);
}

static void check_grow(json_t *one)
{
    check_percentiles(one);
    assert_true(counter(one, "faults_get") >= 0);
    assert_true(counter(one, "faults_touch") >= 0);
}

static void test_grow_times_each_get_of_a_pool_that_starts_small(void **state)
{
    (void)state;
    run_fine("grow", 0, 0, check_grow);
    assert_int_equal(watch.last_initial, 1024);
    assert_int_equal(watch.gets, 50064); // 64 before the storm
    assert_int_equal(watch.peak, 50000);
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
    char path[] = "/tmp/test_workloads_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    watch.trace = path;
    run_fine("grow", 0, 0, check_grow);
    watch.trace = NULL;
    check_trace(path, 49999);
    unlink(path);
}

static void test_a_trace_that_cannot_be_written_is_named_before_anything_is_measured(void **state)
{
    (void)state;
    json_t *document;
    watch_reset();
    watch.trace = "/nonexistent/trace.csv";
    json_t *one = run_row("grow", 0, 0, &document);
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
    run_fine("shrink", 0, 0, check_percentiles);
    assert_int_equal(watch.peak, 50000);
    assert_int_equal(watch.gets, 50000 + (50000 - 1024)); // each step puts two and gets one
    assert_true(watch.sweeps > 0);
}

static void check_blowup(json_t *one)
{
    assert_true(counter(one, "before_bytes") > 0);
    // In a process that ran other tests, the heap may have all of it already: how much more, `poolmark bench`
    // measures.
    assert_true(counter(one, "peak_bytes") > 0);
    (void)counter(one, "peak_ratio");
    assert_true(counter(one, "after_0s_ratio") > 0);
    assert_true(counter(one, "after_1s_ratio") > 0);
    assert_null(json_object_get(one, "after_10s_ratio"));
}

static void test_blowup_reads_memory_before_in_and_after_a_storm(void **state)
{
    (void)state;
    run_fine("blowup", 0, 0, check_blowup);
    assert_int_equal(watch.gets, 20000);
    assert_int_equal(watch.peak, 20000);
    assert_true(watch.sweeps > 0);
    run_fine("blowup_sparse", 0, 0, check_blowup);
    assert_int_equal(find("blowup_10s")->parameter, 10);
}

static void test_exhaust_gets_past_the_bound(void **state)
{
    (void)state;
    run_fine("exhaust_refuse", 0, 500, NULL);
    assert_int_equal(watch.gets, 1500);
    assert_int_equal(watch.puts, 1000); // the refused had nothing to put
    run_fine("exhaust_heap", 0, 500, NULL);
    assert_int_equal(watch.gets, 1500);
    assert_int_equal(watch.peak, 1001);
}

// A pool that runs dry at its `from`-th get: an error in the report, no figure, nothing lost, no hang.
static void check_dry(const char *name, int threads, int64_t from)
{
    json_t *document, *one;
    watch_reset();
    watch.fail_from = from;
    one = run_row(name, threads, name[0] == 'b' || name[0] == 'c' ? 3 : 1000, &document);
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
    assert_int_equal(workloads_register(suite, NULL, &cases, &err), 0);
    static const struct {
        const char *filter;
        int64_t count;
    } expected[] = {
        {"^lifo/(null|malloc)/(64|256|1024|3072|4096|16384)$", 12},
        {"^lifo/malloc/3072/threads:[24]$", 2},
        {"^remote_1_1/malloc/64/threads:2$", 1},
        {"^blowup/malloc/3072$", 1},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        char flag[128], list[] = "--benchmark_list_tests=true", none[] = "--benchmark_out=";
        snprintf(flag, sizeof flag, "--benchmark_filter=%s", expected[i].filter);
        char *argv[] = {(char *)"test_workloads", flag, list, none, NULL};
        int argc = 4;
        struct gb_outcome outcome;
        assert_int_equal(gb_run(suite, &argc, argv, &outcome, &err), 0);
        assert_int_equal(outcome.run, expected[i].count);
    }
    // What cannot be measured of a strategy is not registered.
    char flag[] =
        "--benchmark_filter=^(blowup|cold)/null/|^exhaust_refuse/malloc/|^burst_100000/malloc/16384";
    char *argv[] = {(char *)"test_workloads", flag, NULL};
    int argc = 2;
    struct gb_outcome outcome;
    assert_int_equal(gb_run(suite, &argc, argv, &outcome, &err), -EINVAL);
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
        cmocka_unit_test(test_cold_opens_a_pool_for_each_iteration),
        cmocka_unit_test(test_grow_times_each_get_of_a_pool_that_starts_small),
        cmocka_unit_test(test_grow_writes_what_each_get_cost),
        cmocka_unit_test(test_a_trace_that_cannot_be_written_is_named_before_anything_is_measured),
        cmocka_unit_test(test_shrink_times_gets_while_objects_go_back),
        cmocka_unit_test(test_blowup_reads_memory_before_in_and_after_a_storm),
        cmocka_unit_test(test_exhaust_gets_past_the_bound),
        cmocka_unit_test(test_a_dry_pool_is_an_error_and_not_a_figure),
        cmocka_unit_test(test_every_fitting_row_is_registered_under_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
