// SPDX-License-Identifier: Apache-2.0
// blocks: a mutex, and behind it free blocks of any size, each with the time of its last use; the pool that
// applications write for themselves. What is peculiar to it, so that a test and a claim can check it:
//
// Search. Free blocks stand in a list for each size class (pools/strategies/block_deque.h). A get takes the
// block used last of the smallest class that is large enough and not wasted: at most BLOCKS_WASTE times the
// size asked for (sizes below BLOCKS_BYTES_MIN count as that). It looks at ten classes at most, however many
// blocks are free.
//
// Growth. When the objects in use reach expand_at_percent of those owned, or no block is free, it makes
// blocks of the size asked for until it owns owned x growth, by pieces (pools/shared/growth.h). When blocks
// are free and none fits, it makes one; at `max`, in place of the one that was unused longest.
//
// Giving back. Each get, put and pool_sweep does a cleanup when the last one was BLOCKS_CLEANUP_EVERY_NS ago
// (or idle_ns, when that is less): it frees blocks unused for idle_ns, and, when less than
// BLOCKS_SHRINK_THRESHOLD of those owned are in use, the longest unused ones until it is that much. It keeps
// what open and preheat made. A get or put frees BLOCKS_CLEANUP_AT_ONCE blocks at most and leaves the others
// to the next; a sweep frees all. pool_trim frees all free blocks.
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

// The published defaults of the pool it is modelled on (a memory pool in Rust). The last two are always so;
// the first three are in a config only when blocks_defaults() puts them there, since 0 means none and
// unbounded.
#define BLOCKS_INITIAL 100
#define BLOCKS_MAX 1000
#define BLOCKS_GROWTH 1.5
#define BLOCKS_SHRINK_THRESHOLD 0.3
#define BLOCKS_CLEANUP_EVERY_NS (60 * NS_PER_S)

#define BLOCKS_IDLE_NS (300 * NS_PER_S) // config.idle_ns of 0

enum { BLOCKS_CLEANUP_AT_ONCE = 64 };

void blocks_defaults(struct pool_config *config);

// Pure functions of their arguments, for tests.
// Objects that a cleanup leaves: those in use are at least the threshold's share of them, or they are
// `floor`.
int64_t blocks_shrink_to(int64_t owned, int64_t in_use, int64_t floor);

#endif
