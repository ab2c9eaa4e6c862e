// SPDX-License-Identifier: Apache-2.0
// The timed loop of a workload in windows, of which those count that ran at the processor's full speed.
//
// A window is some batches, about 20 us (100 us where there are several threads), at least one. Between two
// windows the speed is probed (bench/speed.h) and the thread's preemptions are read. A window counts when the
// probes before and after it were at full speed, the thread was not taken off its processor, and meanwhile
// all other threads of the run were at work, at full speed. The choice does not look at the window's own
// time: what a workload does rarely and dearly stays in. What is measured is elapsed time.
//
// For threads that each do their own work. Where one waits for another, what counts is how far apart their
// processors are, and a loop in windows says nothing of that.
//
// When too few ran at full speed, all windows count that were not preempted; where threads are more than
// processors, all do. The run says which it was and how much ran at full speed.
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

    int64_t begin_ns, begin_iterations, preemptions;
    bool was_full; // the probe before it

    // All windows; those not preempted; of them, those at full speed.
    struct windows_sum all, whole, full;
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

// A window that is over: so many iterations in `ns`. `preempted`, and was its speed `full`?
void windows_count(struct windows *windows, int64_t iterations, int64_t ns, bool preempted, bool full);

bool windows_enough(const struct windows *windows); // do those at full speed count alone?
// What counts of what was measured.
struct windows_sum windows_chosen(const struct windows *windows);

// What a thread of a run tells the others: written by it, read by them.
struct windows_seen {
    int64_t slow_ns; // when it last was not at full speed, or found that it had been preempted
    int64_t at_ns;   // when its last window began
    bool slow;       // the last probe was slow, and it goes on
    bool done;       // it has no more to do
};

// Was another thread, as it looks at `now_ns`, at work and at full speed throughout a window that began at
// `begin_ns`? Its own windows are about as long; one of which nothing was heard for longer is not at work.
bool windows_other_is_full(const struct windows_seen *other, int64_t begin_ns, int64_t now_ns,
                           int64_t goal_ns);

#endif
