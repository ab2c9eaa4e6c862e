// SPDX-License-Identifier: Apache-2.0
#include "bench/windows.h"

#include "base/clock.h"
#include "bench/speed.h"

#include <stdatomic.h>

#define LONE_GOAL_NS (20 * NS_PER_US)
#define SHARED_GOAL_NS (100 * NS_PER_US)
#define AWAIT_NS (50 * NS_PER_MS)

enum { BATCHES_MAX = 1 << 20 };

// Shared state of the threads of a run, and how long each has waited in all runs of this process. Threads of
// a run share no other object that lasts. The library runs one benchmark at a time, with threads numbered
// from 0. Relaxed throughout: hints about the start of a window.
static struct {
    _Alignas(128) _Atomic bool slow; // the last probe was slow, and the loop goes on
    _Atomic bool at_work;            // the loop has begun and not ended
    struct speed_wait wait;          // the thread's own
} seen[WINDOWS_THREADS_MAX];

static bool probe(const struct windows *windows)
{
    bool full = speed_is_full();
    if (atomic_load_explicit(&seen[windows->thread].slow, memory_order_relaxed) == full)
        atomic_store_explicit(&seen[windows->thread].slow, !full, memory_order_relaxed);
    return full;
}

static void be_at_work(const struct windows *windows, bool at_work)
{
    atomic_store_explicit(&seen[windows->thread].at_work, at_work, memory_order_relaxed);
    if (!at_work) // no thread needs to wait for this one any more
        atomic_store_explicit(&seen[windows->thread].slow, false, memory_order_relaxed);
}

static bool others_are_slow(const struct windows *windows)
{
    bool slow = false;
    for (int thread = 0; thread < windows->threads; thread++)
        slow |= thread != windows->thread && atomic_load_explicit(&seen[thread].slow, memory_order_relaxed);
    return slow;
}

static bool others_are_at_work(const struct windows *windows)
{
    bool all = true;
    for (int thread = 0; thread < windows->threads; thread++)
        all &= thread == windows->thread || atomic_load_explicit(&seen[thread].at_work, memory_order_relaxed);
    return all;
}

// Waits until all threads are at full speed. They wait together, so that none works alone meanwhile.
static bool probe_all(void *context)
{
    const struct windows *windows = context;
    return probe(windows) && !others_are_slow(windows);
}

static bool await_full_speed(struct windows *windows, int64_t most_ns)
{
    struct speed_wait *wait = &seen[windows->thread].wait;
    wait->stays = windows->threads > 1;
    wait->probe = probe_all;
    wait->context = windows;
    return speed_await(wait, most_ns);
}

void windows_begin(struct windows *windows, struct gb_state *state)
{
    *windows = (struct windows){.state = state,
                                .thread = gb_thread_index(state),
                                .threads = gb_threads(state),
                                .takes_turns = gb_threads(state) > speed_processors(),
                                .batches = 1,
                                .goal_ns = gb_threads(state) > 1 ? SHARED_GOAL_NS : LONE_GOAL_NS};
    if (windows->threads > WINDOWS_THREADS_MAX) {
        windows->thread = windows->threads = 0;
        gb_skip(state, "more threads than windows are made for");
        return;
    }
    be_at_work(windows, false);
    if (windows->takes_turns)
        return;
    (void)await_full_speed(windows, INT64_MAX);
}

static void add(struct windows_sum *sum, int64_t iterations, int64_t ns)
{
    sum->windows++;
    sum->iterations += iterations;
    sum->ns += ns;
}

void windows_count(struct windows *windows, int64_t iterations, int64_t ns, bool full)
{
    add(&windows->all, iterations, ns);
    if (full)
        add(&windows->full, iterations, ns);
}

static void fit_batches(struct windows *windows, int64_t ns)
{
    if (ns < windows->goal_ns / 2 && windows->batches < BATCHES_MAX)
        windows->batches *= 2;
    else if (ns > windows->goal_ns * 2 && windows->batches > 1)
        windows->batches /= 2;
}

static void close_window(struct windows *windows)
{
    int64_t ns = clock_now_ns() - windows->begin_ns;
    int64_t iterations = gb_iterations(windows->state) - windows->begin_iterations;
    windows_count(windows, iterations, ns, windows->counts);
    fit_batches(windows, ns);
    windows->was_full = !windows->takes_turns && probe(windows);
    windows->open = false;
}

static void wait_in_loop(struct windows *windows)
{
    gb_pause(windows->state);
    windows->was_full = await_full_speed(windows, AWAIT_NS);
    gb_resume(windows->state);
}

// The batch just taken from the library is the first of the window.
static void open_window(struct windows *windows, int64_t batch)
{
    if (windows->all.windows == 0) {
        be_at_work(windows, true);
        windows->was_full = !windows->takes_turns && probe(windows);
    }
    if (!windows->takes_turns && (!windows->was_full || others_are_slow(windows)))
        wait_in_loop(windows);
    windows->counts = windows->was_full && !others_are_slow(windows) && others_are_at_work(windows);
    windows->open = true;
    windows->left = windows->batches;
    windows->begin_iterations = gb_iterations(windows->state) - batch;
    windows->begin_ns = clock_now_ns();
}

int64_t windows_next(struct windows *windows)
{
    struct gb_state *state = windows->state;
    bool done = gb_iterations(state) == gb_iterations_all(state);
    // Before the library is asked for a batch after the last: that call would make the thread wait for the
    // others.
    if (windows->open && (--windows->left == 0 || done))
        close_window(windows);
    if (done || gb_skipped(state))
        be_at_work(windows, false);
    int64_t batch = gb_next_batch(state);
    if (batch > 0 && !windows->open)
        open_window(windows, batch);
    return batch;
}

static double full_share(const struct windows *windows)
{
    int64_t all = windows->all.iterations;
    return all > 0 ? (double)windows->full.iterations / (double)all : 0;
}

bool windows_enough(const struct windows *windows)
{
    return !windows->takes_turns &&
           (windows->full.windows >= WINDOWS_LEAST ||
            (windows->full.windows > 0 && full_share(windows) >= WINDOWS_LEAST_SHARE));
}

struct windows_sum windows_chosen(const struct windows *windows)
{
    return windows_enough(windows) ? windows->full : windows->all;
}

static double seconds_each(const struct windows_sum *sum, double ops_each)
{
    double ops = (double)sum->iterations * ops_each;
    return ops > 0 ? (double)sum->ns * 1e-9 / ops : 0;
}

void windows_report(const struct windows *windows, int64_t ops)
{
    struct gb_state *state = windows->state;
    double iterations = (double)gb_iterations(state);
    double ops_each = iterations > 0 ? (double)ops / iterations : 0;
    struct windows_sum chosen = windows_chosen(windows);
    gb_set_counter(state, "per_op", seconds_each(&chosen, ops_each), GB_COUNTER_AVG_THREADS);
    gb_set_counter(state, "any_speed_ns", seconds_each(&windows->all, ops_each) * 1e9,
                   GB_COUNTER_AVG_THREADS);
    if (windows->takes_turns)
        return;
    gb_set_counter(state, "full_speed_share", full_share(windows), GB_COUNTER_AVG_THREADS);
    gb_set_counter(state, "at_full_speed", windows_enough(windows), GB_COUNTER_AVG_THREADS);
    gb_set_counter(state, "step_ns", speed_step_ns(), GB_COUNTER_AVG_THREADS);
}
