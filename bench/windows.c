// SPDX-License-Identifier: Apache-2.0
#include "bench/windows.h"

#include "base/clock.h"
#include "bench/speed.h"
#include "bench/workload.h"

#include <stdatomic.h>
#include <string.h>

#define LONE_GOAL_NS (20 * NS_PER_US)
#define SHARED_GOAL_NS (100 * NS_PER_US)
#define AWAIT_NS (50 * NS_PER_MS)

enum { BATCHES_MAX = 1 << 20 };

// What the threads of the run tell one another, and how long each has waited in all runs of this process. The
// threads of a run have nothing else in common that lasts; the library runs one benchmark at a time, with
// threads from 0.
static struct {
    _Alignas(128) _Atomic int64_t good_from_ns; // as in windows_judge(); written before good_until_ns
    _Atomic int64_t good_until_ns;
    _Atomic bool slow;      // the last probe was slow, and it goes on. Relaxed: a hint to wait
    struct speed_wait wait; // the thread's own
} seen[WINDOWS_THREADS_MAX];

static bool probe(const struct windows *windows)
{
    bool full = speed_is_full();
    if (atomic_load_explicit(&seen[windows->thread].slow, memory_order_relaxed) == full)
        atomic_store_explicit(&seen[windows->thread].slow, !full, memory_order_relaxed);
    return full;
}

// Relaxed: what it is a break of, was closed before or will not be.
static void break_good(const struct windows *windows)
{
    atomic_store_explicit(&seen[windows->thread].good_from_ns, INT64_MAX, memory_order_relaxed);
}

static bool others_are_slow(const struct windows *windows)
{
    bool slow = false;
    for (int thread = 0; thread < windows->threads; thread++)
        slow |= thread != windows->thread && atomic_load_explicit(&seen[thread].slow, memory_order_relaxed);
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
    break_good(windows);
    atomic_store_explicit(&seen[windows->thread].slow, false, memory_order_relaxed);
    if (windows->takes_turns)
        return;
    (void)await_full_speed(windows, INT64_MAX);
}

enum windows_verdict windows_judge(const struct windows_pending *window, int64_t good_from_ns,
                                   int64_t good_until_ns)
{
    if (good_until_ns < window->end_ns)
        return WINDOW_PENDING;
    return good_from_ns <= window->begin_ns ? WINDOW_COUNTS : WINDOW_DOES_NOT;
}

// Acquire, and in this order: when its good windows reach past the end, a break before that is seen. One that
// came later makes a window not count that might.
static enum windows_verdict judge_by(int thread, const struct windows_pending *window)
{
    int64_t until = atomic_load_explicit(&seen[thread].good_until_ns, memory_order_acquire);
    int64_t from = atomic_load_explicit(&seen[thread].good_from_ns, memory_order_relaxed);
    return windows_judge(window, from, until);
}

static enum windows_verdict judge(const struct windows *windows, const struct windows_pending *window)
{
    enum windows_verdict verdict = WINDOW_COUNTS;
    for (int thread = 0; thread < windows->threads; thread++) {
        enum windows_verdict one = thread == windows->thread ? WINDOW_COUNTS : judge_by(thread, window);
        if (one == WINDOW_DOES_NOT)
            return one;
        if (one == WINDOW_PENDING)
            verdict = one;
    }
    return verdict;
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

// Those that are decided leave the list; the others keep their order.
static void settle_pending(struct windows *windows)
{
    int kept = 0;
    for (int i = 0; i < windows->pending_count; i++) {
        struct windows_pending window = windows->pending[i];
        enum windows_verdict verdict = judge(windows, &window);
        if (verdict == WINDOW_COUNTS)
            add(&windows->full, window.iterations, window.end_ns - window.begin_ns);
        else if (verdict == WINDOW_PENDING)
            windows->pending[kept++] = window;
    }
    windows->pending_count = kept;
}

static void add_pending(struct windows *windows, int64_t iterations, int64_t end_ns)
{
    if (windows->pending_count == WINDOWS_PENDING_MAX)
        memmove(windows->pending, windows->pending + 1,
                (size_t)--windows->pending_count * sizeof windows->pending[0]);
    windows->pending[windows->pending_count++] =
        (struct windows_pending){.begin_ns = windows->begin_ns, .end_ns = end_ns, .iterations = iterations};
}

// This thread's window, for the others. Release: see judge_by().
static void tell_others(const struct windows *windows, bool good, int64_t end_ns)
{
    int own = windows->thread;
    if (!good) {
        break_good(windows);
        return;
    }
    if (atomic_load_explicit(&seen[own].good_from_ns, memory_order_relaxed) == INT64_MAX)
        atomic_store_explicit(&seen[own].good_from_ns, windows->begin_ns, memory_order_relaxed);
    atomic_store_explicit(&seen[own].good_until_ns, end_ns, memory_order_release);
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
    int64_t iterations = gb_iterations(windows->state) - windows->begin_iterations;
    int64_t preemptions = bench_thread_preemptions();
    bool preempted = preemptions != windows->preemptions, full = probe(windows);
    bool good = full && windows->was_full && !preempted, alone = windows->threads == 1;
    windows_count(windows, iterations, ns, preempted, good && alone);
    if (!alone) {
        tell_others(windows, good, now_ns);
        if (good)
            add_pending(windows, iterations, now_ns);
        settle_pending(windows);
    }
    fit_batches(windows, ns);
    windows->preemptions = preemptions;
    windows->was_full = full;
    windows->open = false;
}

static void wait_in_loop(struct windows *windows)
{
    break_good(windows);
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
}

int64_t windows_next(struct windows *windows)
{
    struct gb_state *state = windows->state;
    bool done = gb_iterations(state) == gb_iterations_all(state);
    // Before the library is asked for a batch after the last: it would let the thread wait for the others.
    if (windows->open && (--windows->left == 0 || done))
        close_window(windows);
    if (done || gb_skipped(state)) // nobody needs to wait for this thread any more
        atomic_store_explicit(&seen[windows->thread].slow, false, memory_order_relaxed);
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
    return windows->whole.windows > 0 && windows->threads <= 1 ? windows->whole : windows->all;
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
