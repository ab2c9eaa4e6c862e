// SPDX-License-Identifier: Apache-2.0
// Batches retire, and are taken back from retirement.
#include "pools/strategies/stock_batch.h"

// Takes all free objects out of the stack, to be sorted. There must be none left to sort.
static void unsort_locked(struct stock *stock)
{
    stock_shut_locked(stock);
    uint32_t first = free_stack_take_all(&stock->free);
    if (first != FREE_STACK_NONE) {
        stock->not_hits++; // take_all counted as a pop
        stock->unsorted = first;
        stock->unsorted_count = free_stack_depth_of(free_stack_entry(&stock->free, first));
    }
    stock_settle_locked(stock);
}

bool stock_sort_some_locked(struct stock *stock)
{
    if (stock->unsorted_count == 0)
        return false;
    stock_shut_locked(stock);
    for (int i = 0; i < STOCK_SORT_MOST && stock->unsorted_count > 0; i++) {
        uint32_t number = stock->unsorted;
        struct stock_batch *batch = stock_batch_of_locked(stock, number);
        stock->unsorted = (uint32_t)free_stack_entry(&stock->free, number);
        stock->unsorted_count--;
        if (batch->home < 0)
            free_stack_push(&stock->free, number, false);
        else
            stock_go_home_locked(stock, batch, number);
    }
    stock_settle_locked(stock);
    return stock->unsorted_count > 0;
}

// Releases the lock in between.
static void sort_all_locked(struct stock *stock)
{
    while (stock_sort_some_locked(stock))
        stock_pause_locked(stock);
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
    pool_lock_release_surely(&stock->lock);
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

// The batch's objects that are home are free again, once they were sorted.
static void take_back_locked(struct stock *stock, struct stock_batch *batch)
{
    stock_shut_locked(stock);
    stock->unsorted = batch->home_top;
    stock->unsorted_count = batch->home;
    stock->home -= batch->home;
    stock->retiring--;
    batch->home = -1;
    stock_settle_locked(stock);
}

// Keeps as many batches as `max` allows, and takes back retiring ones that need not go. Small batches retire
// as well as large ones. There must be none left to sort. True: there may be now, and it is to be called again after
// that.
static bool choose_locked(struct stock *stock)
{
    int64_t excess = stock->max ? stock->owned - stock->max : 0;
    struct stock_batch *back = NULL;
    bool retired = false;
    if (stock->draining || !(stock->retiring || excess > 0))
        return false;
    for (size_t i = stock_map_count(&stock->map); i-- > 0;) {
        struct stock_batch *batch = stock_map_at(&stock->map, i);
        bool retires = batch->count <= excess;
        if (retires)
            excess -= batch->count;
        if (retires && batch->home < 0) {
            retire_locked(stock, batch);
            retired = true;
        } else if (!retires && batch->home >= 0) {
            back = batch;
        }
    }
    if (!retired && back)
        take_back_locked(stock, back);
    atomic_store(&stock->puts_lock, stock->retiring > 0); // before free objects are taken out to be sorted
    if (retired)
        unsort_locked(stock);
    return retired || back;
}

int64_t stock_resize(struct stock *stock, int64_t max)
{
    pool_lock_acquire(&stock->lock);
    stock->max = max;
    stock_settle_locked(stock);
    sort_all_locked(stock);
    while (choose_locked(stock)) {
        stock_pause_locked(stock);
        sort_all_locked(stock);
    }
    return free_home_unlock(stock);
}

int64_t stock_drain(struct stock *stock)
{
    pool_lock_acquire(&stock->lock);
    stock->draining = true;
    stock_shut_locked(stock);
    for (size_t i = 0; i < stock_map_count(&stock->map); i++)
        if (stock_map_at(&stock->map, i)->home < 0)
            retire_locked(stock, stock_map_at(&stock->map, i));
    atomic_store(&stock->puts_lock, true);
    stock_settle_locked(stock);
    sort_all_locked(stock);
    unsort_locked(stock);
    sort_all_locked(stock);
    return free_home_unlock(stock);
}

// Needed because a put that checked before a batch retired may have pushed its object after that.
void stock_collect(struct stock *stock)
{
    pool_lock_acquire(&stock->lock);
    sort_all_locked(stock);
    if (stock->retiring) {
        unsort_locked(stock);
        sort_all_locked(stock);
    }
    (void)free_home_unlock(stock);
}

void stock_free_home(struct stock *stock)
{
    pool_lock_acquire(&stock->lock);
    (void)free_home_unlock(stock);
}
