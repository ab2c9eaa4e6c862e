// SPDX-License-Identifier: Apache-2.0
// Blocks of memory with the time of their last use. The free ones are in one list in the order of that time,
// and in a list for each size class, newest first. Part of strategy `blocks` (pools/strategies/blocks.h).
//
// Classes: four for each doubling, and one more, BLOCK_OWN, for blocks of the pool's own object size, which
// is seldom the size of a class. All other blocks are as large as their class, so the newest of a class can
// be taken without checking its size.
//
// A block's header is in front of its object; nothing is written into the object. The holder of a block owns
// it; a deque owns the blocks in it. Threads: the caller locks.
//
//     struct block *block = block_make(&config, 1000);
//     block_deque_push(&deque, block, clock_coarse_ns());
//     block = block_deque_find(&deque, 900);
#ifndef POOLMARK_POOLS_STRATEGIES_BLOCK_DEQUE_H
#define POOLMARK_POOLS_STRATEGIES_BLOCK_DEQUE_H

#include "pools/pool.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BLOCK_ALIGNMENT = 16, BLOCK_OWN = 0, BLOCK_CLASSES = 64 };

struct block {
    alignas(BLOCK_ALIGNMENT) struct block *newer, *older; // in a deque; `older` also links chains
    struct block *class_newer, *class_older;              // among those of its class
    size_t bytes;                                         // of the object: at least as many as asked for
    int64_t used_ns;                                      // when it was last put
    uint8_t size_class;
    bool is_overflow;
};

struct block_deque {
    struct block *newest, *oldest;
    struct block *of_class[BLOCK_CLASSES]; // the newest
    size_t own_bytes;                      // of BLOCK_OWN's blocks
    int64_t count;
};

static inline void *block_object(struct block *block)
{
    return block + 1;
}

static inline struct block *block_of(void *object)
{
    return (struct block *)object - 1;
}

// The smallest class that serves `bytes`, which is at most POOL_OBJECT_BYTES_MAX. Never BLOCK_OWN.
unsigned block_class_of(size_t bytes);
size_t block_class_bytes(unsigned size_class); // of a block of that class

// For a pool with that config, which also says how to construct the object. `touch` faults its pages in.
// NULL: no memory.
struct block *block_make(const struct pool_config *config, size_t bytes, bool touch)
    __attribute__((warn_unused_result));
// At most `count` new blocks, linked by `older`; `made` tells how many.
struct block *block_make_chain(const struct pool_config *config, int64_t count, size_t bytes, int64_t *made)
    __attribute__((warn_unused_result));
// Frees a chain linked by `older`; NULL is allowed. Returns bytes, headers included.
int64_t block_free_chain(const struct pool_config *config, struct block *chain);

enum { BLOCKS_WASTE = 2, BLOCKS_BYTES_MIN = 64 };
// Does a block of `block_bytes` serve a request for `bytes`? Not if it has more than BLOCKS_WASTE times as
// many.
bool blocks_fit(size_t block_bytes, size_t bytes);

void block_deque_init(struct block_deque *deque, const struct pool_config *config);
void block_deque_push(struct block_deque *deque, struct block *block, int64_t now_ns);
void block_deque_remove(struct block_deque *deque, struct block *block);
// A block that fits a request (blocks_fit), or NULL; it stays in the deque. Blocks of the pool's own size
// come first, if they fit; otherwise the block used last of the smallest class that has one.
struct block *block_deque_find(const struct block_deque *deque, size_t bytes);
bool block_deque_is_valid(const struct block_deque *deque);

#endif
