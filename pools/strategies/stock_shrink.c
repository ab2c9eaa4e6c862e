// SPDX-License-Identifier: Apache-2.0
// Batches retire, and are taken back from retirement.
#include "pools/strategies/stock_batch.h"

// Free numbers to be pushed, with entries as for an empty stack.
struct chain {
    uint32_t first, depth;
};

static void add(struct stock *stock, struct chain *chain, uint32_t number)
{
    atomic_store_explicit(free_stack_slot(&stock->free, number),
                          free_stack_make_entry(++chain->depth, chain->first), memory_order_relaxed);
    chain->first = number;
}

static uint32_t below(const struct stock *stock, uint32_t number)
{
    return (uint32_t)free_stack_entry(&stock->free, number);
}

// Sorts the free objects, and those freed meanwhile: objects of retiring batches go home, the others (back)
// into the stack.
static void sort_free_locked(struct stock *stock, struct chain *chain)
{
    do {
        uint32_t number = free_stack_take_all(&stock->free);
        stock->not_hits += number != FREE_STACK_NONE; // take_all counted as a pop
        while (number != FREE_STACK_NONE) {
            uint32_t next = below(stock, number);
            struct stock_batch *batch = stock_batch_of_locked(stock, number);
            if (batch->home < 0)
                add(stock, chain, number);
            else
                stock_go_home_locked(stock, batch, number);
            number = next;
        }
    } while (chain->depth && !free_stack_fill(&stock->free, chain->first));
}

// Needs the lock; releases it. Frees the batches whose objects are all home, and returns their bytes.
static int64_t free_home_unlock(struct stock *stock)
{
    struct stock_batch *gone = NULL;
    for (size_t i = stock_map_count(&stock->map); i-- > 0;) {
        struct stock_batch *batch = stock_map_at(&stock->map, i);
        if (batch->home != batch->count)
            continue;
        struct number_range *unused = stock_forget_locked(stock, batch);
        batch->range = unused;
        batch->next = gone;
        gone = batch;
    }
    stock_settle_locked(stock);
    pool_lock_release(&stock->lock);
    int64_t bytes = 0;
    while (gone) {
        struct stock_batch *batch = gone;
        gone = batch->next;
        bytes += stock_batch_bytes(stock, batch->count) + (int64_t)sizeof *batch;
        stock_free_ranges(batch->range);
        stock_batch_free(stock, batch);
    }
    return bytes;
}

static void retire_locked(struct stock *stock, struct stock_batch *batch)
{
    batch->home = 0;
    batch->home_top = FREE_STACK_NONE;
    stock->retiring++;
    if (!batch->is_reserve)
        return;
    stock_leave_reserve_locked(stock, batch);
    batch->home = batch->count;
    batch->home_top = (uint32_t)batch->range->first;
    stock->home += batch->count;
}

// The batch's objects that are home are free again.
static void take_back_locked(struct stock *stock, struct stock_batch *batch, struct chain *chain)
{
    stock->home -= batch->home;
    stock->retiring--;
    batch->home = -1;
    for (uint32_t number = batch->home_top, next; number != FREE_STACK_NONE; number = next) {
        next = below(stock, number);
        add(stock, chain, number);
    }
}

// Keeps as many batches as `max` allows, and takes back retiring ones that need not go. Small batches retire
// as well as large ones.
static void choose_locked(struct stock *stock, struct chain *chain)
{
    int64_t excess = stock->max ? stock->owned - stock->max : 0;
    for (size_t i = stock_map_count(&stock->map); i-- > 0;) {
        struct stock_batch *batch = stock_map_at(&stock->map, i);
        bool retires = batch->count <= excess;
        if (retires)
            excess -= batch->count;
        if (retires && batch->home < 0)
            retire_locked(stock, batch);
        else if (!retires && batch->home >= 0)
            take_back_locked(stock, batch, chain);
    }
}

int64_t stock_resize(struct stock *stock, int64_t max)
{
    pool_lock_acquire(&stock->lock);
    stock->max = max;
    if (!stock->draining && (stock->retiring || (max && stock->owned > max))) {
        struct chain chain = {.first = FREE_STACK_NONE};
        stock_shut_locked(stock);
        choose_locked(stock, &chain);
        atomic_store(&stock->puts_lock, stock->retiring > 0); // before the free objects are sorted
        sort_free_locked(stock, &chain);
    }
    return free_home_unlock(stock);
}

int64_t stock_drain(struct stock *stock)
{
    struct chain chain = {.first = FREE_STACK_NONE};
    pool_lock_acquire(&stock->lock);
    stock->draining = true;
    stock_shut_locked(stock);
    for (size_t i = 0; i < stock_map_count(&stock->map); i++)
        if (stock_map_at(&stock->map, i)->home < 0)
            retire_locked(stock, stock_map_at(&stock->map, i));
    atomic_store(&stock->puts_lock, true);
    sort_free_locked(stock, &chain);
    return free_home_unlock(stock);
}

// Needed because a put that checked before a batch retired may have pushed its object after that.
void stock_collect(struct stock *stock)
{
    struct chain chain = {.first = FREE_STACK_NONE};
    pool_lock_acquire(&stock->lock);
    if (stock->retiring) {
        stock_shut_locked(stock);
        sort_free_locked(stock, &chain);
    }
    (void)free_home_unlock(stock);
}
