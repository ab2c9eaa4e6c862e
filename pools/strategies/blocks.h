// SPDX-License-Identifier: Apache-2.0
// blocks: a mutex, and free blocks of any size, each with the time of its last use. This is the pool that
// applications write for themselves. Its peculiarities, each checked by a test:
//
// Search. There is a list of free blocks for each size class (pools/strategies/block_deque.h). A get takes
// the block used last from the smallest class that is large enough without waste: at most BLOCKS_WASTE times
// the size asked for (sizes below BLOCKS_BYTES_MIN count as that). It looks at ten classes at most, however
// many blocks are free.
//
// Growth. When the objects in use reach expand_at_percent of those owned, or no block is free, the pool
// makes blocks of the size asked for until it owns owned x growth, in pieces (pools/shared/growth.h). When
// blocks are free but none fits, it makes one; at `max`, in place of the block that was unused longest.
//
// Giving back. Each get, put and pool_sweep does a cleanup if the last one was BLOCKS_CLEANUP_EVERY_NS ago
// (or idle_ns, if that is less). A cleanup frees blocks unused for idle_ns. When less than
// BLOCKS_SHRINK_THRESHOLD of those owned are in use, it also frees the longest unused ones until that share
// is reached. It keeps as many as open and preheat made. A get or put frees at most BLOCKS_CLEANUP_AT_ONCE
// blocks and leaves the others to the next call; a sweep frees all. pool_trim frees all free blocks.
//
//     struct pool_config config = POOL_CONFIG_DEFAULTS;
//     config.name = "blocks"; config.object_bytes = 1024;
//     blocks_defaults(&config);                                   // initial 100, max 1000, growth 1.5
//     pool_open(&pool, pool_strategy_find("blocks"), &config, &err);
//     char *line = pool_get_bytes(pool, 80);
#ifndef POOLMARK_POOLS_STRATEGIES_BLOCKS_H
#define POOLMARK_POOLS_STRATEGIES_BLOCKS_H

#include "base/clock.h"
#include "pools/pool.h"

// The published defaults of the pool it is modelled on (a memory pool in Rust). The last two always apply.
// The first three are in a config only after blocks_defaults(), since 0 means none and unbounded.
#define BLOCKS_INITIAL 100
#define BLOCKS_MAX 1000
#define BLOCKS_GROWTH 1.5
#define BLOCKS_SHRINK_THRESHOLD 0.3
#define BLOCKS_CLEANUP_EVERY_NS (60 * NS_PER_S)

#define BLOCKS_IDLE_NS (300 * NS_PER_S) // for config.idle_ns of 0

enum { BLOCKS_CLEANUP_AT_ONCE = 64 };

void blocks_defaults(struct pool_config *config);

// A pure function, for tests. Objects that a cleanup leaves: at least `floor`, and so many
// that those in use are the threshold's share of them.
int64_t blocks_shrink_to(int64_t owned, int64_t in_use, int64_t floor);

#endif
