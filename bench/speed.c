// SPDX-License-Identifier: Apache-2.0
#include "bench/speed.h"

#include "base/clock.h"

#include <sched.h>
#include <stdatomic.h>

enum { PROBE_STEPS = 4000, WARM_UP_STEPS = 64, PROBES_IN_A_ROW = 10 };
#define LEARN_NS (20 * NS_PER_MS)
#define MOVE_NS NS_PER_MS // after so long without full speed, another processor is tried

// In femtoseconds, so that it can be a lock-free integer; INT64_MAX: unknown. Written when a probe is faster
// than all before, soon never again.
static _Atomic int64_t fastest_fs = INT64_MAX;
static _Atomic int64_t patience_ns = SPEED_PATIENCE_NS;

static void steps(int64_t count)
{
    uint64_t chain = 0;
    for (int64_t i = 0; i < count; i++) {
        chain += UINT64_C(0x9E3779B97F4A7C15);
        __asm__ volatile("" : "+r"(chain)); // the compiler may not fold the chain
    }
}

// Relaxed throughout: only the value matters. An old value makes a probe stricter or milder by the change of
// the fastest.
static int64_t probe_fs(void)
{
    steps(WARM_UP_STEPS); // the measured code may have evicted this code from the cache
    int64_t from = clock_now_ns();
    steps(PROBE_STEPS);
    int64_t fs = (clock_now_ns() - from) * 1000000 / PROBE_STEPS;
    int64_t known = atomic_load_explicit(&fastest_fs, memory_order_relaxed);
    while (fs < known && !atomic_compare_exchange_weak_explicit(&fastest_fs, &known, fs, memory_order_relaxed,
                                                                memory_order_relaxed)) {
    }
    return fs;
}

double speed_step_ns(void)
{
    int64_t fs = atomic_load_explicit(&fastest_fs, memory_order_relaxed);
    return fs == INT64_MAX ? 0 : (double)fs * 1e-6;
}

void speed_set_step_ns(double step_ns)
{
    int64_t fs = step_ns > 0 && step_ns < 1e9 ? (int64_t)(step_ns * 1e6 + 0.5) : INT64_MAX;
    atomic_store_explicit(&fastest_fs, fs, memory_order_relaxed);
}

void speed_learn(int64_t ns)
{
    int64_t until = clock_now_ns() + ns;
    do
        (void)probe_fs();
    while (clock_now_ns() < until);
}

bool speed_is_full(void)
{
    int64_t fs = probe_fs();
    return (double)fs <= (double)atomic_load_explicit(&fastest_fs, memory_order_relaxed) * SPEED_TOLERANCE;
}

void speed_set_patience_ns(int64_t ns)
{
    atomic_store_explicit(&patience_ns, ns, memory_order_relaxed);
}

int speed_processors(void)
{
    cpu_set_t allowed;
    return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
}

// Moves to the next processor that the calling thread may run on, if there is another.
static void move(void)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0 || CPU_COUNT(&allowed) < 2)
        return;
    size_t cpu = (size_t)sched_getcpu();
    do
        cpu = (cpu + 1) % CPU_SETSIZE;
    while (!CPU_ISSET(cpu, &allowed));
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    // Pinned to one processor, the thread moves there at once; then the old set is restored.
    if (sched_setaffinity(0, sizeof one, &one) == 0)
        (void)sched_setaffinity(0, sizeof allowed, &allowed);
}

bool speed_await(struct speed_wait *wait, int64_t most_ns)
{
    if (speed_step_ns() <= 0)
        speed_learn(LEARN_NS);
    int64_t left = atomic_load_explicit(&patience_ns, memory_order_relaxed) - wait->waited_ns;
    int64_t from = clock_now_ns(), until = from + (left < most_ns ? left : most_ns);
    int64_t now = from, move_at = from + MOVE_NS;
    int in_a_row = 0;
    while (now < until && in_a_row < PROBES_IN_A_ROW) {
        bool full = wait->probe ? wait->probe(wait->context) : speed_is_full();
        in_a_row = full ? in_a_row + 1 : 0;
        now = clock_now_ns();
        if (now > move_at && in_a_row == 0 && !wait->stays) {
            move();
            move_at = now + MOVE_NS;
        }
    }
    wait->waited_ns += now - from;
    return in_a_row > 0;
}
