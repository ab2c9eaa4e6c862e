// SPDX-License-Identifier: Apache-2.0
// Wrappers around a strategy's get and put, for what the strategy does not do itself: `reset`, construction
// for a strategy that cannot construct, and draining. pool.c calls these. A pool that needs none of them
// never gets here: pool_get and pool_put then call the strategy's functions.
#ifndef POOLMARK_POOLS_POOL_WRAP_H
#define POOLMARK_POOLS_POOL_WRAP_H

#include "pools/pool_strategy.h"

void pool_wrap_choose(struct pool_base *base); // at open: what pool_get and pool_put jump to
void pool_wrap_drain(struct pool_base *base);  // from now on gets are refused; calling it again does nothing

// Adds the counts made here. `failed` is pool_wrap_failed from before the strategy's stats: each get it
// counts was counted by the strategy earlier.
int64_t pool_wrap_failed(struct pool_base *base);
void pool_wrap_stats(struct pool_base *base, int64_t failed, struct pool_stats *stats);

static inline bool pool_wrap_is_draining(struct pool_base *base)
{
    return atomic_load_explicit(&base->draining, memory_order_relaxed);
}

#endif
