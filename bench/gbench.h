// SPDX-License-Identifier: Apache-2.0
// Google Benchmark (1.7 and later) for C: the features of its C++ interface, without a call per iteration in
// the timed loop.
//
// A suite holds benchmarks. gb_run reads Google Benchmark's own flags (--benchmark_filter, --benchmark_out,
// ...; --help lists them), runs the selected benchmarks and reports in its formats. Names are the caller's:
// NAME[/ARG...][/threads:N]. The library's suffixes (/real_time, /iterations:N, /repeats:N) are left out of
// reports. --benchmark_filter (a POSIX extended expression; a leading '-' inverts it) and
// --benchmark_list_tests use the same names.
//
//     static void run(struct gb_state *state, void *context)
//     {
//         int64_t n, done = 0;
//         while ((n = gb_next_batch(state)) > 0) { // the clock runs from the first call to the last
//             for (int64_t i = 0; i < n; i++)
//                 gb_use(work(context));
//             done += n;
//         }
//         gb_set_items(state, done);
//     }
//     struct gb_spec spec = {.name = "work", .run = run, .context = thing};
//     if (gb_add(suite, &spec, &err) < 0 || gb_run(suite, &argc, argv, &outcome, &err) < 0) ...
//
// Ownership: gb_add copies the spec and all it points to, except `context`, which must outlive the suite's
// runs. Threads: a suite belongs to one thread. The library has one registry and one set of flags for a
// process, so only one gb_run at a time. In `run`, each thread has its own gb_state. Errors: 0 or -errno,
// text in `err`. Nothing exits, except --help and a bad --benchmark_color, which the library handles itself.
#ifndef POOLMARK_BENCH_GBENCH_H
#define POOLMARK_BENCH_GBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "base/err.h"

struct gb_suite;
struct gb_state; // one thread's part of one run

typedef void gb_function(struct gb_state *state, void *context);

enum { GB_ARGS_MAX = 4, GB_THREADS_MAX = 16, GB_BATCH_DEFAULT = 1024 };

// An argument takes every value of a list, or values from low to high: by steps of `step` if set, otherwise
// in powers of `multiplier` (0: 8), both ends included. Several arguments make every combination.
struct gb_range {
    const int64_t *values; // a list of `value_count`, or NULL
    size_t value_count;
    int64_t low, high, step, multiplier;
};

enum gb_clock {
    GB_CLOCK_WALL,        // elapsed time decides how long it runs, and the rates
    GB_CLOCK_CPU,         // the threads' own CPU time
    GB_CLOCK_PROCESS_CPU, // CPU time of the whole process, with threads that the benchmark started
    GB_CLOCK_MANUAL,      // the times of gb_set_iteration_time
};

enum gb_unit { GB_NANOSECONDS, GB_MICROSECONDS, GB_MILLISECONDS, GB_SECONDS };

// How the time grows with gb_set_complexity_n. Fitted over a benchmark's arguments; reported as NAME_BigO
// and NAME_RMS.
enum gb_complexity {
    GB_O_NOT_ASKED,
    GB_O_1,
    GB_O_N,
    GB_O_N_SQUARED,
    GB_O_N_CUBED,
    GB_O_LOG_N,
    GB_O_N_LOG_N,
    GB_O_AUTO
};

struct gb_spec {
    const char *name;
    gb_function *run; // all threads of a run at once
    // Called before and after each run, on the first thread (index 0); either may be NULL. setup: while the
    // other threads wait. teardown: after they ended, their exit work done. The library makes several runs
    // until one is long enough. gb_skip in setup skips the run on every thread; teardown is still called.
    // Both may use gb_arg and gb_threads, but not the loop.
    gb_function *setup, *teardown;
    void *context;

    struct gb_range args[GB_ARGS_MAX];
    size_t arg_count;
    int threads[GB_THREADS_MAX]; // each count is a benchmark, named /threads:N; none: one thread, and no
                                 // such part in the name
    size_t thread_count;

    int64_t batch;                // most iterations from one gb_next_batch; 0: GB_BATCH_DEFAULT
    int64_t iterations;           // exact number for each thread; 0: as many as --benchmark_min_time needs
    int repetitions;              // 0: what --benchmark_repetitions says
    double min_time_s, warm_up_s; // 0: what the flags say
    enum gb_clock clock;
    enum gb_unit unit;
    enum gb_complexity complexity;
};

struct gb_outcome {
    int64_t run;    // benchmarks that ran, or were listed
    int64_t failed; // of those, the ones skipped with an error in at least one repetition
};

int gb_suite_new(struct gb_suite **suite) __attribute__((warn_unused_result));
void gb_suite_free(struct gb_suite *suite); // NULL is allowed

// -EINVAL: no name, no run, a bad range or thread count; `err` says which.
int gb_add(struct gb_suite *suite, const struct gb_spec *spec, struct err *err)
    __attribute__((warn_unused_result));

// Adds a line to "context" of the reports. Once for each key in a process; a second value is ignored.
void gb_add_context(const char *key, const char *value);

// Removes the library's flags from argv (*argc shrinks). -EINVAL: an unknown flag or value, or a filter that
// does not parse or matches nothing; `err` names it. -errno: --benchmark_out cannot be written. In both
// cases nothing ran.
int gb_run(struct gb_suite *suite, int *argc, char **argv, struct gb_outcome *outcome, struct err *err)
    __attribute__((warn_unused_result));

// In `run`.

// The number of iterations to do now; 0: all are done or the run was skipped, and the function must return.
int64_t gb_next_batch(struct gb_state *state) __attribute__((warn_unused_result));

// Between two batches: stops this thread's clock, and starts it again. Each costs some hundred nanoseconds.
void gb_pause(struct gb_state *state);
void gb_resume(struct gb_state *state);

// GB_CLOCK_MANUAL: adds `seconds` to the time measured for this batch.
void gb_set_iteration_time(struct gb_state *state, double seconds);

// The run reports no figure, only this text; the first of several counts. The loop ends at its next batch.
void gb_skip(struct gb_state *state, const char *text);
bool gb_skipped(const struct gb_state *state);

int64_t gb_arg(const struct gb_state *state, size_t index); // 0 after the last
int gb_threads(const struct gb_state *state);
int gb_thread_index(const struct gb_state *state);
int64_t gb_iterations(const struct gb_state *state);     // done so far
int64_t gb_iterations_all(const struct gb_state *state); // all that this thread will do in this run

// After the loop. Counters of the threads are added up, then treated as `flags` say.

enum gb_counter {
    GB_COUNTER_SUM = 0,
    GB_COUNTER_RATE = 1 << 0,        // divided by the time measured
    GB_COUNTER_AVG_THREADS = 1 << 1, // divided by the number of threads
    GB_COUNTER_AVG_ITERATIONS = 1 << 2,
    GB_COUNTER_TIMES_ITERATIONS = 1 << 3,
    GB_COUNTER_INVERT = 1 << 4, // one divided by the result; last of all
    GB_COUNTER_1024 = 1 << 5,   // shown in powers of 1024
};
void gb_set_counter(struct gb_state *state, const char *name, double value, unsigned flags);
void gb_set_items(struct gb_state *state, int64_t items); // reported as items_per_second
void gb_set_bytes(struct gb_state *state, int64_t bytes); // reported as bytes_per_second
void gb_set_label(struct gb_state *state, const char *label);
void gb_set_complexity_n(struct gb_state *state, int64_t n);

// Makes the compiler compute `value`, and assume that anything may happen to the memory it points to.
static inline void gb_use(const void *value)
{
    __asm__ volatile("" : : "g"(value) : "memory");
}

#ifdef __cplusplus
}
#endif

#endif
