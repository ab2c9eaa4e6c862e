// SPDX-License-Identifier: Apache-2.0
// How many objects are in use, and when a get has to take the slow path.
#include "pools/strategies/stock_batch.h"

void stock_pause_locked(struct stock *stock)
{
    pool_lock_yield(&stock->lock);
}

int64_t stock_at_empty_locked(const struct stock *stock)
{
    return stock->owned - stock->unsorted_count - stock->reserved - stock->home + stock->strays;
}

static int64_t count_free(const struct stock *stock)
{
    uint32_t depth;
    (void)free_stack_count(&stock->free, &depth);
    return depth;
}

int64_t stock_in_use_locked(const struct stock *stock)
{
    return stock_at_empty_locked(stock) - count_free(stock);
}

static int64_t overflow_out_locked(const struct stock *stock)
{
    return stock->strays - stock->misses_out;
}

bool stock_is_past_max_locked(const struct stock *stock, int64_t in_use)
{
    return stock->max && in_use - overflow_out_locked(stock) >= stock->max;
}

// Gets without the lock cannot pass `max` unless there are more objects for them than that.
static int64_t gate_at_locked(const struct stock *stock)
{
    int64_t bound = stock->max + overflow_out_locked(stock);
    bool is_bound = stock->max && stock->owned + stock->misses_out > stock->max;
    return is_bound && bound < stock->gate_at ? bound : stock->gate_at;
}

// Where gets beyond `max` are refused, a get that popped an object before the check has it not in use.
static void note_peak_locked(struct stock *stock, int64_t in_use)
{
    if (stock->config.overflow == POOL_OVERFLOW_REFUSE && stock->max && in_use > stock->max)
        in_use = stock->max;
    if (in_use > stock->peak)
        stock->peak = in_use;
}

// Counts the pops of gets without the lock, all at one moment. Returns how many objects were free then.
static int64_t count_pops_locked(struct stock *stock)
{
    uint32_t depth, tag = (uint32_t)(free_stack_count(&stock->free, &depth) >> 32);
    stock->pops += (uint32_t)(tag - stock->tag);
    stock->tag = tag;
    return depth;
}

static uint32_t clamp(int64_t value)
{
    return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

// Gets lower the gate meanwhile. The old value tells the peak of its time.
static void set_gate_locked(struct stock *stock, int64_t at_empty, uint32_t closed)
{
    uint64_t gate = atomic_load(&stock->gate), next;
    atomic_store(&stock->closed, closed);
    do {
        int64_t peak = stock->at_empty - (int64_t)(uint32_t)gate;
        if (peak > stock->peak)
            stock->peak = peak;
        uint32_t low = clamp(at_empty - stock->peak);
        next = ((gate >> 32) + 1) << 32 | (low > closed ? low : closed);
    } while (!atomic_compare_exchange_weak(&stock->gate, &gate, next));
    stock->at_empty = at_empty;
}

// Before free objects are taken out of the stack or added to it: meanwhile its depth says nothing.
void stock_shut_locked(struct stock *stock)
{
    set_gate_locked(stock, stock->at_empty, UINT32_MAX);
}

// Returns how many objects are free, at the moment that `pops` is of.
int64_t stock_count_locked(struct stock *stock)
{
    int64_t all = stock_at_empty_locked(stock), at_empty = all - stock->being_made;
    int64_t gate_at = gate_at_locked(stock);
    uint32_t closed = stock->refusing ? UINT32_MAX : gate_at == INT64_MAX ? 0 : clamp(all - gate_at);
    if (at_empty != stock->at_empty || closed != atomic_load(&stock->closed))
        set_gate_locked(stock, at_empty, closed);
    note_peak_locked(stock, stock->at_empty - (int64_t)(uint32_t)atomic_load(&stock->gate));
    int64_t free_count = count_pops_locked(stock); // after the gate was set
    note_peak_locked(stock, at_empty - free_count);
    return free_count;
}

void stock_settle_locked(struct stock *stock)
{
    (void)stock_count_locked(stock);
}
