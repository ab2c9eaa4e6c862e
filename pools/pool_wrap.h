// SPDX-License-Identifier: Apache-2.0
// What stands before a strategy's get and put when more is asked for than it does itself: `reset`, objects
// constructed for a strategy that cannot, a pool that drains. pool.c calls these; a pool that needs none of
// it never comes by here, since pool_get and pool_put jump to the strategy's functions then.
#ifndef POOLMARK_POOLS_POOL_WRAP_H
#define POOLMARK_POOLS_POOL_WRAP_H

#include "pools/pool_strategy.h"

void pool_wrap_choose(struct pool_base *base); // at open: what pool_get and pool_put jump to
void pool_wrap_drain(struct pool_base *base);  // from now on gets are refused; again does nothing

// Adds what was counted here. `failed` is what pool_wrap_failed gave before the strategy was asked: what it
// counts, the strategy has counted before.
int64_t pool_wrap_failed(struct pool_base *base);
void pool_wrap_stats(struct pool_base *base, int64_t failed, struct pool_stats *stats);

static inline bool pool_wrap_is_draining(struct pool_base *base)
{
    return atomic_load_explicit(&base->draining, memory_order_relaxed);
}

#endif
