// SPDX-License-Identifier: Apache-2.0
#include "bench/windows.h"

#include "base/clock.h"
#include "bench/speed.h"
#include "bench/workload.h"

#include <stdatomic.h>

#define LONE_GOAL_NS (20 * NS_PER_US)
#define SHARED_GOAL_NS (100 * NS_PER_US)
#define LEARN_NS (20 * NS_PER_MS)
#define AWAIT_NS (50 * NS_PER_MS)

enum { BATCHES_MAX = 1 << 20, WINDOWS_UNHEARD = 4 };

// What the threads of the run tell one another, and how long each has waited in all runs of this process. The
// threads of a run have nothing else in common that lasts; the library runs one benchmark at a time, with
// threads from 0. Relaxed throughout: what is seen late taints the next window instead.
static struct {
    _Alignas(128) _Atomic int64_t slow_ns;
    _Atomic int64_t at_ns;
    _Atomic bool slow, done;
    struct speed_wait wait; // the thread's own
} seen[WINDOWS_THREADS_MAX];

#define LOAD(at) atomic_load_explicit(at, memory_order_relaxed)
#define STORE(at, value) atomic_store_explicit(at, value, memory_order_relaxed)

static bool probe(const struct windows *windows)
{
    bool full = speed_is_full();
    if (!full)
        STORE(&seen[windows->thread].slow_ns, clock_now_ns());
    if (LOAD(&seen[windows->thread].slow) == full)
        STORE(&seen[windows->thread].slow, !full);
    return full;
}

static bool others_are_slow(const struct windows *windows)
{
    bool slow = false;
    for (int thread = 0; thread < windows->threads; thread++)
        slow |= thread != windows->thread && LOAD(&seen[thread].slow);
    return slow;
}

// Threads wait until all are at full speed: together, so that none works alone meanwhile.
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
    STORE(&seen[windows->thread].slow, false);
    STORE(&seen[windows->thread].done, false);
    if (windows->takes_turns)
        return;
    if (speed_step_ns() <= 0)
        speed_learn(LEARN_NS);
    (void)await_full_speed(windows, INT64_MAX);
}

bool windows_other_is_full(const struct windows_seen *other, int64_t begin_ns, int64_t now_ns,
                           int64_t goal_ns)
{
    int64_t longest_ns = now_ns - begin_ns > goal_ns ? now_ns - begin_ns : goal_ns;
    return !other->slow && !other->done && other->slow_ns < begin_ns &&
           now_ns - other->at_ns <= WINDOWS_UNHEARD * longest_ns;
}

static bool others_are_full(const struct windows *windows, int64_t now_ns)
{
    bool full = true;
    for (int thread = 0; thread < windows->threads; thread++) {
        struct windows_seen other = {.slow_ns = LOAD(&seen[thread].slow_ns),
                                     .at_ns = LOAD(&seen[thread].at_ns),
                                     .slow = LOAD(&seen[thread].slow),
                                     .done = LOAD(&seen[thread].done)};
        full &= thread == windows->thread ||
                windows_other_is_full(&other, windows->begin_ns, now_ns, windows->goal_ns);
    }
    return full;
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
    int64_t now_ns = clock_now_ns(), ns = now_ns - windows->begin_ns;
    int64_t preemptions = bench_thread_preemptions();
    bool preempted = preemptions != windows->preemptions;
    if (preempted)
        STORE(&seen[windows->thread].slow_ns, now_ns);
    bool full = probe(windows);
    windows_count(windows, gb_iterations(windows->state) - windows->begin_iterations, ns, preempted,
                  full && windows->was_full && others_are_full(windows, now_ns));
    fit_batches(windows, ns);
    windows->preemptions = preemptions;
    windows->was_full = full;
    windows->open = false;
}

static void wait_in_loop(struct windows *windows)
{
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
    if (!windows->takes_turns && (!windows->was_full || others_are_slow(windows)))
        wait_in_loop(windows);
    windows->open = true;
    windows->left = windows->batches;
    windows->begin_iterations = gb_iterations(windows->state) - batch;
    windows->begin_ns = clock_now_ns();
    if (windows->threads > 1)
        STORE(&seen[windows->thread].at_ns, windows->begin_ns);
}

int64_t windows_next(struct windows *windows)
{
    struct gb_state *state = windows->state;
    bool done = gb_iterations(state) == gb_iterations_all(state);
    // Before the library is asked for a batch after the last: it would let the thread wait for the others.
    if (windows->open && (--windows->left == 0 || done))
        close_window(windows);
    if (done || gb_skipped(state)) { // nobody needs to wait for this thread any more
        STORE(&seen[windows->thread].done, true);
        STORE(&seen[windows->thread].slow, false);
    }
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
    if (windows_enough(windows))
        return windows->full;
    return windows->whole.windows > 0 && !windows->takes_turns ? windows->whole : windows->all;
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
