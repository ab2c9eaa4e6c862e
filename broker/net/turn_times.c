// SPDX-License-Identifier: Apache-2.0
#include "broker/net/turn_times.h"

#include "base/clock.h"

enum { CLOCK_EVERY_NS = 1000 * 1000 };

void turn_times_begin(struct turn_times *times)
{
    times->began_ns = clock_now_ns();
    if (times->began_ns - times->cpu_read_ns < CLOCK_EVERY_NS)
        return;
    times->cpu_read_ns = times->began_ns;
    times->cpu_ns = clock_thread_cpu_ns();
}

// Relaxed: one thread alone writes, and only the number is shared.
static void keep_most(_Atomic int64_t *most, int64_t value)
{
    if (value > atomic_load_explicit(most, memory_order_relaxed))
        atomic_store_explicit(most, value, memory_order_relaxed);
}

bool turn_times_end(struct turn_times *times, uint32_t work)
{
    keep_most(&times->most_work, work);
    int64_t now_ns = clock_now_ns();
    if (now_ns - times->began_ns < CLOCK_EVERY_NS)
        return false;
    int64_t before_ns = times->cpu_ns;
    times->cpu_read_ns = now_ns;
    times->cpu_ns = clock_thread_cpu_ns();
    keep_most(&times->longest_ns, times->cpu_ns - before_ns);
    return times->cpu_ns - before_ns > TURN_LONG_MS * NS_PER_MS;
}

int64_t turn_times_longest_ns(const struct turn_times *times)
{
    return atomic_load_explicit(&times->longest_ns, memory_order_relaxed);
}

int64_t turn_times_most_work(const struct turn_times *times)
{
    return atomic_load_explicit(&times->most_work, memory_order_relaxed);
}
