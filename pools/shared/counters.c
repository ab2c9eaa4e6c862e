// SPDX-License-Identifier: Apache-2.0
#include "pools/shared/counters.h"

#include "pools/pool_strategy.h"

#include <errno.h>

enum { PAGE_BYTES = 4096 };

#define ONE_CHANGE (UINT64_C(1) << COUNTERS_LIVE_BITS)

static int64_t live_rows(uint64_t live)
{
    return (int64_t)(live & (ONE_CHANGE - 1));
}

// Acquire: a thread that sees a row's part of the sum, or an object that its thread put, sees that the row
// is live.
static int64_t load_live(struct counters *counters)
{
    return live_rows(atomic_load_explicit(&counters->live, memory_order_acquire));
}

static void raise_peak(struct counters *counters, int64_t to)
{
    int64_t peak = counters_load(&counters->peak);
    // Relaxed: a maximum, which orders no other reads.
    while (to > peak && !atomic_compare_exchange_weak_explicit(&counters->peak, &peak, to,
                                                               memory_order_relaxed, memory_order_relaxed))
        ;
}

static void set(_Atomic int64_t *count, int64_t value)
{
    atomic_store_explicit(count, value, memory_order_relaxed);
}

static void be_live(struct counters *counters, struct counters_row *row)
{
    if (atomic_load_explicit(&row->live, memory_order_relaxed))
        return;
    atomic_store_explicit(&row->live, true, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->live, ONE_CHANGE + 1, memory_order_acq_rel);
}

// Adds `balance` to the sum; returns the new sum. Acquire and release: see load_live.
static int64_t hand_in(struct counters *counters, struct counters_row *row, int64_t balance)
{
    int64_t more = balance - counters_load(&row->handed_in);
    set(&row->handed_in, balance);
    return atomic_fetch_add_explicit(&counters->in_use_sum, more, memory_order_acq_rel) + more;
}

// Alone, a row reports each new maximum. Otherwise it reports what it adds to the sum, and has nothing to do
// until it adds next.
static void set_bounds(struct counters_row *row, int64_t balance, bool alone)
{
    set(&row->ceiling, alone ? balance : counters_load(&row->handed_in) + COUNTERS_SLACK);
    set(&row->floor, counters_load(&row->handed_in) - COUNTERS_SLACK);
}

// The row first and then the sum: so the sum is too low meanwhile, if anything. A put does it the other way
// round.
void counters_take_slowly(struct counters *counters, struct counters_row *row)
{
    be_live(counters, row);
    counters_bump(&row->taken);
    int64_t balance = counters_balance(row), handed_in = counters_load(&row->handed_in);
    bool hands_in = balance - handed_in > COUNTERS_SLACK;
    int64_t sum = hands_in ? hand_in(counters, row, balance)
                           : atomic_load_explicit(&counters->in_use_sum, memory_order_acquire);
    int64_t others = load_live(counters) - 1;
    if (hands_in)
        raise_peak(counters, sum - others * COUNTERS_SLACK);
    else if (others == 0)
        raise_peak(counters, sum + balance - handed_in);
    set_bounds(row, balance, others == 0);
}

void counters_put_slowly(struct counters *counters, struct counters_row *row)
{
    be_live(counters, row);
    int64_t balance = counters_balance(row) - 1;
    (void)hand_in(counters, row, balance);
    counters_bump(&row->put);
    set_bounds(row, balance, load_live(counters) == 1);
}

// The row's next owner starts at both bounds.
void counters_thread_exits(struct counters *counters, int slot)
{
    struct counters_row *row = &counters->rows[slot];
    if (!atomic_load_explicit(&row->live, memory_order_relaxed))
        return;
    int64_t balance = counters_balance(row);
    (void)hand_in(counters, row, balance);
    set(&row->ceiling, balance);
    set(&row->floor, balance);
    atomic_store_explicit(&row->live, false, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->live, ONE_CHANGE - 1, memory_order_acq_rel);
}

// A thread may have been between its row and the sum, so the sum is made anew.
void counters_fork_child(struct counters *counters)
{
    int64_t sum = counters_balance(&counters->rows[0]);
    uint64_t live = atomic_load_explicit(&counters->live, memory_order_relaxed);
    uint64_t changes = (live & ~(ONE_CHANGE - 1)) + ONE_CHANGE, mine = 0;
    for (int slot = 1; slot <= thread_slot_ever(); slot++) {
        struct counters_row *row = &counters->rows[slot];
        bool is_live = atomic_load_explicit(&row->live, memory_order_relaxed);
        if (slot == pool_thread_slot_cached) {
            sum += counters_load(&row->handed_in);
            mine = is_live;
            continue;
        }
        int64_t balance = counters_balance(row);
        sum += balance;
        set(&row->handed_in, balance);
        set(&row->ceiling, balance);
        set(&row->floor, balance);
        atomic_store_explicit(&row->live, false, memory_order_relaxed);
    }
    set(&counters->in_use_sum, sum);
    atomic_store_explicit(&counters->live, changes + mine, memory_order_relaxed);
}

void counters_correct(struct counters *counters, int64_t more)
{
    _Atomic int64_t *count = more > 0 ? &counters->rows[0].taken : &counters->rows[0].put;
    atomic_fetch_add_explicit(count, more > 0 ? more : -more, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->in_use_sum, more, memory_order_relaxed);
}

// Row 0 keeps no balance: each count is added to the sum at once.
void counters_take_shared(struct counters *counters)
{
    atomic_fetch_add_explicit(&counters->rows[0].taken, 1, memory_order_relaxed);
    int64_t sum = atomic_fetch_add_explicit(&counters->in_use_sum, 1, memory_order_acq_rel) + 1;
    raise_peak(counters, sum - load_live(counters) * COUNTERS_SLACK);
}

void counters_put_shared(struct counters *counters)
{
    atomic_fetch_sub_explicit(&counters->in_use_sum, 1, memory_order_acq_rel);
    atomic_fetch_add_explicit(&counters->rows[0].put, 1, memory_order_relaxed);
}

int counters_open(struct counters *counters)
{
    counters->rows = pool_memory_map(THREAD_SLOT_ROWS * sizeof *counters->rows, PAGE_BYTES);
    if (!counters->rows)
        return -ENOMEM;
    atomic_init(&counters->live, 0);
    atomic_init(&counters->in_use_sum, 0);
    atomic_init(&counters->peak, 0);
    return 0;
}

void counters_close(struct counters *counters)
{
    pool_memory_unmap(counters->rows, THREAD_SLOT_ROWS * sizeof *counters->rows);
    counters->rows = NULL;
}

int64_t counters_bytes(const struct counters *counters)
{
    // Relaxed: a recent value is enough. It also counts changes, so that it is 0 only before the first.
    if (atomic_load_explicit(&counters->live, memory_order_relaxed) == 0)
        return 0;
    int64_t bytes = (thread_slot_ever() + 1) * (int64_t)sizeof(struct counters_row);
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

// The sum less its largest possible excess; 0 when the set of live rows changed meanwhile.
static int64_t least_in_use(struct counters *counters)
{
    uint64_t before = atomic_load_explicit(&counters->live, memory_order_acquire);
    int64_t sum = atomic_load_explicit(&counters->in_use_sum, memory_order_acquire);
    uint64_t after = atomic_load_explicit(&counters->live, memory_order_acquire);
    int64_t least = sum - live_rows(before) * COUNTERS_SLACK;
    return before == after && least > 0 ? least : 0;
}

void counters_read(struct counters *counters, struct pool_stats *stats)
{
    int rows = thread_slot_ever() + 1;
    int64_t taken = 0, put = 0;
    stats->misses = stats->overflow = stats->refused = stats->failed = 0;
    // Each kind of count is read after those that it is never smaller than, or that must not be missed.
    // Acquire fences keep the loads in that order.
    for (int slot = 0; slot < rows; slot++) {
        const struct counters_row *row = &counters->rows[slot];
        stats->misses += counters_load(&row->misses);
        stats->overflow += counters_load(&row->overflow);
        stats->refused += counters_load(&row->refused);
        stats->failed += counters_load(&row->failed);
    }
    atomic_thread_fence(memory_order_acquire);
    for (int slot = 0; slot < rows; slot++)
        taken += counters_load(&counters->rows[slot].taken);
    atomic_thread_fence(memory_order_acquire);
    for (int slot = 0; slot < rows; slot++)
        put += counters_load(&counters->rows[slot].put);
    stats->hits = taken > stats->misses + stats->overflow ? taken - stats->misses - stats->overflow : 0;
    stats->gets = stats->hits + stats->misses + stats->overflow + stats->refused + stats->failed;
    stats->puts = put;
    int64_t least = least_in_use(counters);
    stats->in_use = taken - put > least ? taken - put : least;
    raise_peak(counters, stats->in_use);
    stats->peak_in_use = counters_load(&counters->peak);
}

int64_t counters_in_use(struct counters *counters)
{
    struct pool_stats stats;
    counters_read(counters, &stats);
    return stats.in_use;
}
