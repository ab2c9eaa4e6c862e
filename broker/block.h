// SPDX-License-Identifier: Apache-2.0
// A block of a wanted size out of a pool whose objects may be smaller: from the pool when it can serve that
// size, from the heap when it cannot. Any thread may call.
//
//     struct pool *owner;
//     void *block = block_get(pool, bytes, &owner);
//     block_put(owner, block);
#ifndef POOLMARK_BROKER_BLOCK_H
#define POOLMARK_BROKER_BLOCK_H

#include "pools/pool.h"

// `owner` is where the block goes back to: `pool`, or NULL for the heap. NULL: the pool refused, or there is
// no memory.
void *block_get(struct pool *pool, size_t bytes, struct pool **owner) __attribute__((warn_unused_result));
void block_put(struct pool *owner, void *block);

#endif
