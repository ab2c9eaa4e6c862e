// SPDX-License-Identifier: Apache-2.0
#include "pools/counters.h"

#include "pools/pool_strategy.h"

#include <errno.h>

enum { PAGE_BYTES = 4096 };

int counters_open(struct counters *counters)
{
    counters->rows = pool_memory_map(THREAD_SLOT_ROWS * sizeof *counters->rows, PAGE_BYTES);
    if (!counters->rows)
        return -ENOMEM;
    atomic_init(&counters->in_use_sum, 0);
    atomic_init(&counters->peak, 0);
    return 0;
}

void counters_close(struct counters *counters)
{
    pool_memory_unmap(counters->rows, THREAD_SLOT_ROWS * sizeof *counters->rows);
    counters->rows = NULL;
}

int64_t counters_bytes(void)
{
    int64_t bytes = (thread_slot_ever() + 1) * (int64_t)sizeof(struct counters_row);
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static void raise_peak(struct counters *counters, int64_t to)
{
    int64_t peak = counters_load(&counters->peak);
    // Relaxed: a maximum, and nothing is read because of it.
    while (to > peak && !atomic_compare_exchange_weak_explicit(&counters->peak, &peak, to,
                                                               memory_order_relaxed, memory_order_relaxed))
        ;
}

static int64_t balance_of(const struct counters_row *row)
{
    return counters_load(&row->taken) - counters_load(&row->put);
}

static void hand_in(struct counters *counters, struct counters_row *row, int64_t high)
{
    int64_t balance = balance_of(row), handed_in = counters_load(&row->handed_in);
    int64_t before =
        atomic_fetch_add_explicit(&counters->in_use_sum, balance - handed_in, memory_order_relaxed);
    raise_peak(counters, before + high - handed_in);
    atomic_store_explicit(&row->ceiling, balance, memory_order_relaxed);
    atomic_store_explicit(&row->handed_in, balance, memory_order_relaxed);
}

void counters_rise(struct counters *counters, struct counters_row *row)
{
    int64_t balance = balance_of(row);
    atomic_store_explicit(&row->ceiling, balance, memory_order_relaxed);
    if (balance - counters_load(&row->handed_in) > COUNTERS_SLACK)
        hand_in(counters, row, balance);
}

void counters_fall(struct counters *counters, struct counters_row *row)
{
    hand_in(counters, row, counters_load(&row->ceiling));
}

// Row 0 keeps no balance: what it counts is handed in at once.
void counters_take_shared(struct counters *counters)
{
    atomic_fetch_add_explicit(&counters->rows[0].taken, 1, memory_order_relaxed);
    raise_peak(counters, atomic_fetch_add_explicit(&counters->in_use_sum, 1, memory_order_relaxed) + 1);
}

void counters_put_shared(struct counters *counters)
{
    atomic_fetch_add_explicit(&counters->rows[0].put, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&counters->in_use_sum, 1, memory_order_relaxed);
}

void counters_read(struct counters *counters, struct pool_stats *stats)
{
    int64_t taken = 0, high = 0;
    stats->puts = stats->misses = stats->overflow = stats->refused = stats->failed = 0;
    for (int slot = 0; slot <= thread_slot_ever(); slot++) {
        const struct counters_row *row = &counters->rows[slot];
        taken += counters_load(&row->taken);
        stats->puts += counters_load(&row->put);
        stats->misses += counters_load(&row->misses);
        stats->overflow += counters_load(&row->overflow);
        stats->refused += counters_load(&row->refused);
        stats->failed += counters_load(&row->failed);
        // Had this row's high come while the others' balances were what they are now, how far above now was
        // it?
        int64_t above = slot ? counters_load(&row->ceiling) - balance_of(row) : 0;
        high = above > high ? above : high;
    }
    // Of a get that is going on, `misses` may be seen and `taken` not; a put may be seen before the get it
    // belongs to.
    stats->hits = taken > stats->misses + stats->overflow ? taken - stats->misses - stats->overflow : 0;
    stats->gets = stats->hits + stats->misses + stats->overflow + stats->refused + stats->failed;
    stats->in_use = taken > stats->puts ? taken - stats->puts : 0;
    raise_peak(counters, stats->in_use + high);
    stats->peak_in_use = counters_load(&counters->peak);
}
