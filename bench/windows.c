// SPDX-License-Identifier: Apache-2.0
#include "bench/windows.h"

#include "base/clock.h"
#include "bench/speed.h"
#include "bench/workload.h"

#include <stdatomic.h>
#include <unistd.h>

#define LONE_GOAL_NS (20 * NS_PER_US)
#define SHARED_GOAL_NS (100 * NS_PER_US)
#define LEARN_NS (20 * NS_PER_MS)
#define AWAIT_NS (50 * NS_PER_MS)
#define MOVE_NS NS_PER_MS // a thread that found no full speed for so long moves on

enum { BATCHES_MAX = 1 << 20, PROBES_IN_A_ROW = 10 };

// What each thread of the run saw of the speed. The library runs one benchmark at a time, with threads from
// 0; what is left of an earlier run is older than any window.
static struct {
    _Alignas(128) _Atomic int64_t slow_ns; // when a probe of its was last not at full speed
    _Atomic bool slow;                     // its last probe was not, and it goes on
} seen[GB_THREADS_MAX];

// How long this process may still wait for full speed; each of its runs takes of it.
static _Atomic int64_t patience_ns = WINDOWS_PATIENCE_NS;

void windows_set_patience_ns(int64_t ns)
{
    atomic_store_explicit(&patience_ns, ns, memory_order_relaxed);
}

// Relaxed, here and where it is read: a sighting that comes late taints the next window instead.
static bool probe(const struct windows *windows)
{
    bool full = speed_is_full();
    int own = gb_thread_index(windows->state);
    if (!full)
        atomic_store_explicit(&seen[own].slow_ns, clock_now_ns(), memory_order_relaxed);
    if (atomic_load_explicit(&seen[own].slow, memory_order_relaxed) == full)
        atomic_store_explicit(&seen[own].slow, !full, memory_order_relaxed);
    return full;
}

static bool others_are_slow(const struct windows *windows)
{
    bool slow = false;
    for (int thread = 0; thread < gb_threads(windows->state); thread++)
        slow |= thread != gb_thread_index(windows->state) &&
                atomic_load_explicit(&seen[thread].slow, memory_order_relaxed);
    return slow;
}

// Threads wait until all are at full speed: together, so that none works alone meanwhile. One that is alone
// looks for it on another processor as well. True when it is at full speed now.
static bool await_full_speed(const struct windows *windows, int64_t most_ns)
{
    int64_t from = clock_now_ns(), left = atomic_load_explicit(&patience_ns, memory_order_relaxed);
    int64_t until = from + (left < most_ns ? left : most_ns), now = from, move_at = from + MOVE_NS;
    int in_a_row = 0;
    while (now < until && in_a_row < PROBES_IN_A_ROW) {
        in_a_row = probe(windows) && !others_are_slow(windows) ? in_a_row + 1 : 0;
        now = clock_now_ns();
        if (now > move_at && in_a_row == 0 && gb_threads(windows->state) == 1) {
            speed_move();
            move_at = now + MOVE_NS;
        }
    }
    if (gb_thread_index(windows->state) == 0)
        atomic_fetch_sub_explicit(&patience_ns, now - from, memory_order_relaxed);
    return in_a_row > 0;
}

void windows_begin(struct windows *windows, struct gb_state *state)
{
    *windows = (struct windows){
        .state = state, .batches = 1, .goal_ns = gb_threads(state) > 1 ? SHARED_GOAL_NS : LONE_GOAL_NS};
    if (speed_step_ns() <= 0)
        speed_learn(LEARN_NS);
    (void)await_full_speed(windows, INT64_MAX);
}

static bool others_saw_slow(const struct windows *windows)
{
    int own = gb_thread_index(windows->state);
    for (int thread = 0; thread < gb_threads(windows->state); thread++) {
        if (thread != own &&
            atomic_load_explicit(&seen[thread].slow_ns, memory_order_relaxed) >= windows->begin_ns)
            return true;
    }
    return false;
}

static void add(struct windows_sum *sum, int64_t iterations, int64_t ns)
{
    sum->windows++;
    sum->iterations += iterations;
    sum->ns += ns;
}

void windows_count(struct windows *windows, int64_t iterations, int64_t ns, bool preempted, bool full)
{
    add(&windows->all, iterations, ns);
    if (!preempted)
        add(&windows->whole, iterations, ns);
    if (!preempted && full)
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
    int64_t preemptions = bench_thread_preemptions();
    bool full = probe(windows);
    bool all = full && windows->was_full && !others_saw_slow(windows) && !others_are_slow(windows);
    windows_count(windows, gb_iterations(windows->state) - windows->begin_iterations, ns,
                  preemptions != windows->preemptions, all);
    fit_batches(windows, ns);
    windows->preemptions = preemptions;
    windows->was_full = full;
    windows->open = false;
}

static void wait_in_loop(struct windows *windows)
{
    if (atomic_load_explicit(&patience_ns, memory_order_relaxed) <= 0)
        return;
    gb_pause(windows->state);
    windows->was_full = await_full_speed(windows, AWAIT_NS);
    windows->preemptions = bench_thread_preemptions();
    gb_resume(windows->state);
}

// The batch that the library just gave is the first of the window.
static void open_window(struct windows *windows, int64_t batch)
{
    if (windows->all.windows == 0) {
        windows->preemptions = bench_thread_preemptions();
        windows->was_full = probe(windows);
    }
    if (!windows->was_full || others_are_slow(windows))
        wait_in_loop(windows);
    windows->open = true;
    windows->left = windows->batches;
    windows->begin_iterations = gb_iterations(windows->state) - batch;
    windows->begin_ns = clock_now_ns();
}

int64_t windows_next(struct windows *windows)
{
    struct gb_state *state = windows->state;
    bool done = gb_iterations(state) == gb_iterations_all(state);
    // Before the library is asked for a batch after the last: it would let the thread wait for the others.
    if (windows->open && (--windows->left == 0 || done))
        close_window(windows);
    if (done) // nobody needs to wait for this thread any more
        atomic_store_explicit(&seen[gb_thread_index(state)].slow, false, memory_order_relaxed);
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

// More threads than processors take turns: being off the processor is part of what they do.
static bool takes_turns(const struct windows *windows)
{
    return windows->state && gb_threads(windows->state) > sysconf(_SC_NPROCESSORS_ONLN);
}

bool windows_enough(const struct windows *windows)
{
    return !takes_turns(windows) &&
           (windows->full.windows >= WINDOWS_LEAST ||
            (windows->full.windows > 0 && full_share(windows) >= WINDOWS_LEAST_SHARE));
}

struct windows_sum windows_chosen(const struct windows *windows)
{
    if (windows_enough(windows))
        return windows->full;
    return windows->whole.windows > 0 && !takes_turns(windows) ? windows->whole : windows->all;
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
    if (takes_turns(windows))
        return;
    gb_set_counter(state, "full_speed_share", full_share(windows), GB_COUNTER_AVG_THREADS);
    gb_set_counter(state, "at_full_speed", windows_enough(windows), GB_COUNTER_AVG_THREADS);
    gb_set_counter(state, "step_ns", speed_step_ns(), GB_COUNTER_AVG_THREADS);
}
