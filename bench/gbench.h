// SPDX-License-Identifier: Apache-2.0
// Google Benchmark (1.7 and later) for C: what its C++ users have, without a call per iteration in the timed
// loop.
//
// A suite holds benchmarks; gb_run reads Google Benchmark's own flags (--benchmark_filter, --benchmark_out,
// ...; --help lists them), runs what they select and reports in its formats. Names are the caller's:
// NAME[/ARG...][/threads:N]; what the library would hang on to them (/real_time, /iterations:N, /repeats:N)
// is left out of reports, and
// --benchmark_filter (a POSIX extended expression, a leading '-' turns it round) and --benchmark_list_tests
// mean the same names.
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
// Ownership: gb_add copies the spec and what it points to, except `context`, which must outlive the suite's
// runs. Threads: a suite belongs to one thread, and the library has one registry and one set of flags a
// process, so one gb_run at a time. In `run`, each thread has a gb_state of its own. Errors: 0 or -errno,
// text in `err`; nothing exits save --help and a bad --benchmark_color, which the library answers itself.
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

// An argument takes every value of a list, or runs from low to high: by steps when `step` is set, otherwise
// in powers of `multiplier` (8 when 0) with both ends. Several arguments make every combination.
struct gb_range {
    const int64_t *values; // a list of `value_count`, or NULL
    size_t value_count;
    int64_t low, high, step, multiplier;
};

enum gb_clock {
    GB_CLOCK_WALL,        // elapsed time governs how long it runs, and rates
    GB_CLOCK_CPU,         // the threads' own CPU time
    GB_CLOCK_PROCESS_CPU, // CPU time of the whole process, threads that the benchmark started included
    GB_CLOCK_MANUAL,      // what gb_set_iteration_time says
};

enum gb_unit { GB_NANOSECONDS, GB_MICROSECONDS, GB_MILLISECONDS, GB_SECONDS };

// How time grows with gb_set_complexity_n; fitted over a benchmark's arguments and reported as NAME_BigO and
// NAME_RMS.
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
    // Before and after each run, on the first thread (index 0); either may be NULL. setup while the others
    // wait, teardown when they have ended, what they do at their exit done. The library makes several runs
    // until one is long enough. gb_skip in setup skips the run on every thread; teardown comes all the same.
    // Both see gb_arg and gb_threads; not the loop.
    gb_function *setup, *teardown;
    void *context;

    struct gb_range args[GB_ARGS_MAX];
    size_t arg_count;
    int threads[GB_THREADS_MAX]; // each count is a benchmark, named /threads:N; none: one thread, no such
                                 // part
    size_t thread_count;

    int64_t batch;                // most iterations that gb_next_batch gives at once; 0 for GB_BATCH_DEFAULT
    int64_t iterations;           // exactly so many a thread; 0: as many as --benchmark_min_time needs
    int repetitions;              // 0: what --benchmark_repetitions says
    double min_time_s, warm_up_s; // 0: what the flags say
    enum gb_clock clock;
    enum gb_unit unit;
    enum gb_complexity complexity;
};

struct gb_outcome {
    int64_t run;    // benchmarks that ran, or were listed
    int64_t failed; // of them, those that were skipped with an error in some repetition
};

int gb_suite_new(struct gb_suite **suite) __attribute__((warn_unused_result));
void gb_suite_free(struct gb_suite *suite); // NULL is allowed

// -EINVAL: no name, no run, a bad range or thread count; `err` says which.
int gb_add(struct gb_suite *suite, const struct gb_spec *spec, struct err *err)
    __attribute__((warn_unused_result));

// Adds a line to "context" of the reports, once a key and process; a second is ignored.
void gb_add_context(const char *key, const char *value);

// Takes the library's flags out of argv (*argc shrinks); -EINVAL names a flag or value it does not know, a
// filter that does not parse or matches nothing; -errno when --benchmark_out cannot be written. Nothing ran
// then.
int gb_run(struct gb_suite *suite, int *argc, char **argv, struct gb_outcome *outcome, struct err *err)
    __attribute__((warn_unused_result));

// In `run`.

// How many iterations to do now; 0 when all are done or the run was skipped: then the function must return.
int64_t gb_next_batch(struct gb_state *state) __attribute__((warn_unused_result));

// Between two batches: stop this thread's clock and let it run again. Each costs some hundred nanoseconds.
void gb_pause(struct gb_state *state);
void gb_resume(struct gb_state *state);

// GB_CLOCK_MANUAL: adds to the time that was measured for this batch.
void gb_set_iteration_time(struct gb_state *state, double seconds);

// The run gives no figure but this text. The first of several counts. The loop ends at its next batch.
void gb_skip(struct gb_state *state, const char *text);
bool gb_skipped(const struct gb_state *state);

int64_t gb_arg(const struct gb_state *state, size_t index); // 0 past the last
int gb_threads(const struct gb_state *state);
int gb_thread_index(const struct gb_state *state);
int64_t gb_iterations(const struct gb_state *state);     // done so far
int64_t gb_iterations_all(const struct gb_state *state); // that this thread will do in this run

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

// The compiler must have `value` at hand here and may not know what becomes of what it points to.
static inline void gb_use(const void *value)
{
    __asm__ volatile("" : : "g"(value) : "memory");
}

#ifdef __cplusplus
}
#endif

#endif
