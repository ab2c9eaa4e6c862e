// SPDX-License-Identifier: Apache-2.0
#include "broker/net/turn_times.h"

#include "base/clock.h"

// The clock is read after about a millisecond of work (turn.h), to which each turn adds the calls of the loop itself.
enum { READ_AFTER_WORK = 4096, TURN_OWN_WORK = 16 };

static void read_cpu(struct turn_times *times, int64_t coarse_ns)
{
    times->cpu_ns = clock_thread_cpu_ns();
    times->cpu_read_ns = coarse_ns;
    times->work_since = 0;
}

void turn_times_begin(struct turn_times *times, int64_t coarse_ns)
{
    times->began_ns = coarse_ns;
    if (coarse_ns != times->cpu_read_ns || times->work_since >= READ_AFTER_WORK)
        read_cpu(times, coarse_ns);
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
    times->work_since += work + TURN_OWN_WORK;
    int64_t now_ns = clock_coarse_ns();
    if (now_ns == times->began_ns)
        return false;
    int64_t before_ns = times->cpu_ns;
    read_cpu(times, now_ns);
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
