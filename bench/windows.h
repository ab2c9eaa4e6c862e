// SPDX-License-Identifier: Apache-2.0
// The timed loop of a workload in windows, of which those count that ran at the processor's full speed.
//
// A window is some batches, about 20 us (100 us where several threads work together). Between two windows the
// speed is probed (bench/speed.h) and the thread's preemptions are read. A window counts when the probes
// before and after it were at full speed, no other thread of the run has seen a slow one since it began, and
// the thread was not taken off its processor. The choice does not look at the window's own time: what a
// workload does rarely and dearly stays in. What is measured is elapsed time.
//
// For threads that each do their own work. Where one waits for another, what counts is how far apart their
// processors are, and a loop in windows says nothing of that.
//
// When too few ran at full speed, all windows count that were not preempted; where threads are more than
// processors, all do. The run says which it was and how much ran at full speed.
//
//     struct windows windows;
//     windows_begin(&windows, state, false);
//     while ((n = windows_next(&windows)) > 0)
//         ...                                     // as with gb_next_batch
//     windows_report(&windows, gb_iterations(state));
#ifndef POOLMARK_BENCH_WINDOWS_H
#define POOLMARK_BENCH_WINDOWS_H

#include "bench/gbench.h"

// At least so many windows, or such a share of all iterations, must have run at full speed to count alone.
enum { WINDOWS_LEAST = 10 };
#define WINDOWS_LEAST_SHARE 0.25

struct windows_sum {
    int64_t windows, iterations, ns;
};

struct windows {
    struct gb_state *state;
    bool open;             // a window goes on
    int64_t batches, left; // in a window; of this one
    int64_t goal_ns;

    int64_t begin_ns, begin_iterations, preemptions;
    bool was_full; // the probe before it

    // All windows; those not preempted; of them, those at full speed.
    struct windows_sum all, whole, full;
};

// Before the loop, on each thread of the run. Here and between windows it waits a little for full speed,
// which is not timed.
void windows_begin(struct windows *windows, struct gb_state *state);

// How long all runs of this process together may still wait.
#define WINDOWS_PATIENCE_NS (INT64_C(200) * 1000 * 1000)
void windows_set_patience_ns(int64_t ns);

// gb_next_batch, with windows around it.
int64_t windows_next(struct windows *windows) __attribute__((warn_unused_result));

// After the loop, all threads: `per_op`, the mean over the threads of the seconds an operation took, when
// this thread did `ops` in all; beside it any_speed_ns, the same of all windows, full_speed_share, and
// step_ns (what speed_step_ns says).
void windows_report(const struct windows *windows, int64_t ops);

// A window that is over: so many iterations in `ns`. `preempted`, and was its speed `full`?
void windows_count(struct windows *windows, int64_t iterations, int64_t ns, bool preempted, bool full);

bool windows_enough(const struct windows *windows); // do those at full speed count alone?
// What counts of what was measured.
struct windows_sum windows_chosen(const struct windows *windows);

#endif
