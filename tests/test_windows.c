// SPDX-License-Identifier: Apache-2.0
// What counts of a loop in windows, by rule and in runs of a benchmark; and what a probe makes of what it is
// told is full speed. How fast this processor is, no test asks.
#include "base/clock.h"
#include "bench/speed.h"
#include "bench/windows.h"
#include "tests/gbench_run.h"

#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

// No processor is as fast as that, so that no probe is at full speed.
#define NEVER_NS 1e-5
// And none, however often interrupted, as slow.
#define SNAIL_NS 1e8

static void a_faster_probe_corrects_what_was_told(void **state)
{
    (void)state;
    speed_set_step_ns(0);
    assert_true(speed_step_ns() == 0);
    assert_true(speed_is_full()); // the first is the fastest so far
    double first = speed_step_ns();
    assert_true(first > 0);
    speed_set_step_ns(SNAIL_NS);
    assert_true(fabs(speed_step_ns() - SNAIL_NS) < 1);
    assert_true(speed_is_full());
    assert_true(speed_step_ns() < SNAIL_NS);
    speed_set_step_ns(0);
    speed_learn(1000000);
    assert_true(speed_step_ns() > 0 && speed_step_ns() <= SNAIL_NS);
}

static bool never_at_full_speed(void *context)
{
    ++*(int *)context;
    return false;
}

static void waiting_for_a_speed_that_never_comes_ends(void **state)
{
    (void)state;
    cpu_set_t before, after;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    speed_set_step_ns(NEVER_NS);
    assert_false(speed_is_full());
    speed_set_patience_ns(8000000);
    struct speed_wait wait = {0};
    assert_false(speed_await(&wait, 5000000)); // long enough to try other processors
    assert_true(wait.waited_ns >= 5000000);
    assert_false(speed_await(&wait, INT64_MAX)); // what is left of the patience
    assert_true(wait.waited_ns >= 8000000);
    int probes = 0;
    wait.probe = never_at_full_speed;
    wait.context = &probes;
    assert_false(speed_await(&wait, INT64_MAX)); // nothing is
    assert_int_equal(probes, 0);
    assert_true(fabs(speed_step_ns() - NEVER_NS) < 1e-9);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
    speed_set_step_ns(0);
}

static bool at_full_speed(void *context)
{
    ++*(int *)context;
    return true;
}

static void waiting_ends_when_it_is_at_full_speed(void **state)
{
    (void)state;
    int probes = 0;
    struct speed_wait wait = {.probe = at_full_speed, .context = &probes};
    speed_set_patience_ns(60 * NS_PER_S);
    assert_true(speed_await(&wait, INT64_MAX));
    assert_true(probes > 1 && probes < 1000);
}

static struct windows_sum chosen_of(int full, int others)
{
    struct windows windows = {0};
    for (int i = 0; i < full; i++)
        windows_count(&windows, 10, 100, true);
    for (int i = 0; i < others; i++)
        windows_count(&windows, 10, 200, false);
    return windows_chosen(&windows);
}

static void windows_at_full_speed_count_alone_when_they_are_enough(void **state)
{
    (void)state;
    struct windows_sum sum = chosen_of(WINDOWS_LEAST, 1000);
    assert_int_equal(sum.windows, WINDOWS_LEAST);
    assert_int_equal(sum.iterations, 10 * WINDOWS_LEAST);
    assert_int_equal(sum.ns, 100 * WINDOWS_LEAST);
    sum = chosen_of(1, 3); // a quarter of all
    assert_int_equal(sum.ns, 100);
    sum = chosen_of(1, 4); // less, and too few
    assert_int_equal(sum.ns, 100 + 4 * 200);
    sum = chosen_of(WINDOWS_LEAST - 1, 1000);
    assert_int_equal(sum.windows, WINDOWS_LEAST - 1 + 1000);
    assert_int_equal(chosen_of(0, 0).windows, 0);
}

// The processor "gets slow" within the second window of three: it began at full speed and counts; the third,
// which begins slow, does not.
static void run_that_gets_slow(struct gb_state *state, void *context)
{
    struct windows *windows = context;
    speed_set_step_ns(SNAIL_NS);
    windows_begin(windows, state);
    speed_set_step_ns(
        SNAIL_NS); // the probe before the first window is the fastest so far, on a busy host too
    for (int i = 0; windows_next(windows) > 0; i++) {
        speed_set_step_ns(i == 0 ? SNAIL_NS : NEVER_NS);
        windows->left = 1; // a window is a batch
    }
}

static void what_happens_within_a_window_has_no_say_in_whether_it_counts(void **state)
{
    (void)state;
    struct windows windows = {0};
    struct gb_spec spec = {
        .name = "windows", .run = run_that_gets_slow, .context = &windows, .iterations = 3, .batch = 1};
    struct gb_outcome outcome;
    json_t *document;
    speed_set_patience_ns(2000000);
    (void)gbench_report(&spec, 1, NULL, &outcome, &document);
    assert_int_equal(windows.all.windows, 3);
    assert_int_equal(windows.full.windows, 2);
    json_decref(document);
    speed_set_step_ns(0);
}

enum { OPS_EACH = 8 };

// What the threads of a run saw; looked at when it is over.
struct run_seen {
    _Atomic int64_t iterations, in_windows, wrong;
};

static void run_in_windows(struct gb_state *state, void *context)
{
    struct run_seen *seen = context;
    struct windows windows;
    windows_begin(&windows, state);
    volatile uint64_t work = 0;
    int64_t n;
    while ((n = windows_next(&windows)) > 0) {
        for (int64_t i = 0; i < n * OPS_EACH; i++)
            work = work + 1;
        seen->iterations += n;
    }
    seen->in_windows += windows.all.iterations;
    seen->wrong += windows.all.windows < 1 || windows.full.windows > windows.all.windows;
    windows_report(&windows, gb_iterations(state) * OPS_EACH);
}

static void check_run(int threads, bool never)
{
    struct run_seen seen = {0};
    struct gb_spec spec = {.name = "windows",
                           .run = run_in_windows,
                           .context = &seen,
                           .iterations = 100000,
                           .batch = 64,
                           .clock = threads > 1 ? GB_CLOCK_WALL : GB_CLOCK_CPU};
    if (threads > 1)
        spec.threads[spec.thread_count++] = threads;
    struct gb_outcome outcome;
    json_t *document, *found = gbench_report(&spec, 1, NULL, &outcome, &document);
    assert_int_equal(seen.iterations, 100000 * threads);
    assert_int_equal(seen.in_windows, 100000 * threads);
    assert_int_equal(seen.wrong, 0);
    double per_op_ns = gbench_number_at(found, 0, "per_op") * 1e9,
           any = gbench_number_at(found, 0, "any_speed_ns");
    assert_true(per_op_ns > 0 && any > 0);
    bool asks = threads <= speed_processors();
    assert_int_equal(json_object_get(json_array_get(found, 0), "at_full_speed") != NULL, asks);
    double share = asks ? gbench_number_at(found, 0, "full_speed_share") : 0;
    assert_true(share >= 0 && share <= 1);
    if (never && asks) {
        assert_true(share == 0);
        assert_true(gbench_number_at(found, 0, "at_full_speed") == 0);
        assert_true(fabs(gbench_number_at(found, 0, "step_ns") - NEVER_NS) < 1e-9);
    }
    json_decref(document);
}

static void every_iteration_is_in_a_window(void **state)
{
    (void)state;
    speed_set_patience_ns(2000000);
    speed_set_step_ns(0);
    check_run(1, false);
    check_run(2, false);
}

static void a_run_that_finds_no_full_speed_has_a_figure_and_says_so(void **state)
{
    (void)state;
    speed_set_step_ns(NEVER_NS);
    speed_set_patience_ns(2000000);
    check_run(1, true);
    speed_set_patience_ns(2000000);
    check_run(2, true);
    check_run(GB_THREADS_MAX, true); // more than processors, mostly; and no patience left
    speed_set_step_ns(0);
}

static void skip_in_a_window(struct gb_state *state, void *context)
{
    (void)context;
    struct windows windows;
    windows_begin(&windows, state);
    while (windows_next(&windows) > 0)
        gb_skip(state, "no more");
    windows_report(&windows, gb_iterations(state));
}

static void a_run_that_is_skipped_in_a_window_ends(void **state)
{
    (void)state;
    struct gb_spec spec = {.name = "windows", .run = skip_in_a_window, .threads = {2}, .thread_count = 1};
    struct gb_outcome outcome;
    json_t *document, *found = gbench_report(&spec, 1, NULL, &outcome, &document);
    assert_int_equal(outcome.failed, 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(found, 0), "error_message")),
                        "no more");
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_faster_probe_corrects_what_was_told),
        cmocka_unit_test(waiting_for_a_speed_that_never_comes_ends),
        cmocka_unit_test(waiting_ends_when_it_is_at_full_speed),
        cmocka_unit_test(what_happens_within_a_window_has_no_say_in_whether_it_counts),
        cmocka_unit_test(windows_at_full_speed_count_alone_when_they_are_enough),
        cmocka_unit_test(every_iteration_is_in_a_window),
        cmocka_unit_test(a_run_that_finds_no_full_speed_has_a_figure_and_says_so),
        cmocka_unit_test(a_run_that_is_skipped_in_a_window_ends),
    };
    return cmocka_run_group_tests_name("windows", tests, NULL, NULL);
}
