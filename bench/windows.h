// SPDX-License-Identifier: Apache-2.0
// The timed loop of a workload, divided into windows. Only windows that began at the processor's full speed
// count.
//
// A window is some batches, at least one: about 20 us (100 us with several threads). Before each window the
// speed is probed (bench/speed.h). The window counts when that probe was at full speed. With several threads
// all others must also be at work, with their last probes at full speed. All of that is known before the
// window begins. So neither the window's own time nor any event in it, such as a preemption or a slow spell,
// decides whether it counts. Rare and expensive work of a workload stays in. Elapsed time is measured. The
// time of all windows is also reported, with the share that counts.
//
// For threads that each do their own work. Where one thread waits for another, the distance between their
// processors counts, and a loop in windows says nothing about that.
//
// When too few windows count, all of them do, and the run says so.
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

// Windows at full speed count alone if there are at least so many, or such a share of all iterations.
enum { WINDOWS_LEAST = 10 };
#define WINDOWS_LEAST_SHARE 0.25

struct windows_sum {
    int64_t windows, iterations, ns;
};

struct windows {
    struct gb_state *state;
    int thread, threads;
    bool takes_turns;      // more threads than processors: time off the processor belongs to the result
    bool open;             // a window is under way
    int64_t batches, left; // batches of a window; batches left of the current one
    int64_t goal_ns;

    int64_t begin_ns, begin_iterations;
    bool was_full; // result of the last probe
    bool counts;   // the current window

    struct windows_sum all, full; // all windows; those that count
};

// Before the loop, on each thread of the run. Here and between windows it waits briefly for full speed; that
// wait is not timed.
void windows_begin(struct windows *windows, struct gb_state *state);

// gb_next_batch, in windows.
int64_t windows_next(struct windows *windows) __attribute__((warn_unused_result));

// After the loop, on all threads. Reports per_op: seconds of an operation, as the mean over the threads;
// `ops` is the number of operations of this thread. Also means over the threads: any_speed_ns, the same of
// all windows; full_speed_share, the share of the iterations at full speed (0 to 1); at_full_speed, 1 when
// those alone count; step_ns, the value of speed_step_ns. The last three are not reported where threads take
// turns.
void windows_report(const struct windows *windows, int64_t ops);

// Adds a finished window of that many iterations in `ns`. `full`: it counts as at full speed.
void windows_count(struct windows *windows, int64_t iterations, int64_t ns, bool full);

bool windows_enough(const struct windows *windows); // do the windows at full speed count alone?
// The windows that the result is computed from.
struct windows_sum windows_chosen(const struct windows *windows);

#endif
