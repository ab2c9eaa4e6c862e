// SPDX-License-Identifier: Apache-2.0
// The timed loop of a workload in windows, of which those count that began at the processor's full speed.
//
// A window is some batches, about 20 us (100 us where there are several threads), at least one. Before each
// the speed is probed (bench/speed.h). It counts when that probe was at full speed and, where there are
// several threads, all others were at work then and their last probes at full speed as well. All of that is
// known before the window begins: neither its own time nor anything that happens in it, a preemption or a
// slow spell among it, has a say, so what a workload does rarely and dearly stays in. What is measured is
// elapsed time. The time of all windows is reported beside, with the share that counts.
//
// For threads that each do their own work. Where one waits for another, what counts is how far apart their
// processors are, and a loop in windows says nothing of that.
//
// When too few count, all do, and the run says so.
//
//     struct windows windows;
//     windows_begin(&windows, state);
//     while ((n = windows_next(&windows)) > 0)
//         ...                                     // as with gb_next_batch
//     windows_report(&windows, gb_iterations(state));
#ifndef POOLMARK_BENCH_WINDOWS_H
#define POOLMARK_BENCH_WINDOWS_H

#include "bench/gbench.h"

enum { WINDOWS_THREADS_MAX = 64 };

// At least so many windows, or such a share of all iterations, must have run at full speed to count alone.
enum { WINDOWS_LEAST = 10 };
#define WINDOWS_LEAST_SHARE 0.25

struct windows_sum {
    int64_t windows, iterations, ns;
};

struct windows {
    struct gb_state *state;
    int thread, threads;
    bool takes_turns; // threads are more than processors: being off the processor is part of what they do
    bool open;        // a window goes on
    int64_t batches, left; // in a window; of this one
    int64_t goal_ns;

    int64_t begin_ns, begin_iterations;
    bool was_full; // the last probe
    bool counts;   // the window that goes on

    struct windows_sum all, full; // all windows; those that count
};

// Before the loop, on each thread of the run. Here and between windows it waits a little for full speed,
// which is not timed.
void windows_begin(struct windows *windows, struct gb_state *state);

// gb_next_batch, with windows around it.
int64_t windows_next(struct windows *windows) __attribute__((warn_unused_result));

// After the loop, all threads: `per_op`, the mean over the threads of the seconds an operation took, when
// this thread did `ops` in all. Beside it, means over the threads as well: any_speed_ns, the same of all
// windows; full_speed_share, 0 to 1 of the iterations; at_full_speed, 1 when those alone count; step_ns, what
// speed_step_ns says. The last three not where threads take turns.
void windows_report(const struct windows *windows, int64_t ops);

// A window that is over: so many iterations in `ns`. Does it count as `full`?
void windows_count(struct windows *windows, int64_t iterations, int64_t ns, bool full);

bool windows_enough(const struct windows *windows); // do those at full speed count alone?
// What counts of what was measured.
struct windows_sum windows_chosen(const struct windows *windows);

#endif
