// SPDX-License-Identifier: Apache-2.0
// Shared by the files of the stock. They call downward: stock.c (get, put, statistics), stock_shrink.c
// (batches retire), stock_batch.c (batches join and leave), stock_gate.c (how many objects are in use).
#ifndef POOLMARK_POOLS_STRATEGIES_STOCK_BATCH_H
#define POOLMARK_POOLS_STRATEGIES_STOCK_BATCH_H

#include "pools/strategies/stock.h"

struct stock_batch *stock_batch_make(const struct stock *stock,
                                     int64_t count); // not in the pool yet; NULL: no memory
void stock_batch_free(const struct stock *stock, struct stock_batch *batch);

void stock_make_reserve_locked(struct stock *stock, struct stock_batch *batch);
void stock_leave_reserve_locked(struct stock *stock, struct stock_batch *batch);

int64_t stock_bookkeeping_locked(const struct stock *stock); // bytes
int64_t stock_at_empty_locked(const struct stock *stock);    // objects in use if the stack were empty
int64_t stock_count_locked(struct stock *stock); // settles; returns how many objects were free, as of `pops`
// Until the gate is settled, no get is served without the lock.
void stock_shut_locked(struct stock *stock);

// Of the free objects that are to be sorted: looks at STOCK_SORT_MOST. Those of retiring batches go home, the others
// back into the stack. Returns whether some are left.
enum { STOCK_SORT_MOST = 2048 };
bool stock_sort_some_locked(struct stock *stock);
void stock_pause_locked(struct stock *stock); // lets others have the lock
void stock_free_home(struct stock *stock);    // batches whose last object came home

// The batch's memory leaves the pool. Returns records for stock_free_ranges, to be freed without the lock.
struct number_range *stock_forget_locked(struct stock *stock, struct stock_batch *batch);
void stock_free_ranges(struct number_range *ranges);

static inline struct stock_batch *stock_batch_of_locked(const struct stock *stock, uint32_t number)
{
    return stock_map_batch(&stock->map, stock_object(stock, number));
}

static inline void stock_go_home_locked(struct stock *stock, struct stock_batch *batch, uint32_t number)
{
    atomic_store_explicit(free_stack_slot(&stock->free, number), free_stack_make_entry(0, batch->home_top),
                          memory_order_relaxed);
    batch->home_top = number;
    batch->home++;
    stock->home++;
}

static inline int64_t stock_batch_bytes(const struct stock *stock, int64_t count)
{
    return (int64_t)stock->stride * count;
}

#endif
