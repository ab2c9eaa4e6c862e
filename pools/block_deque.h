// SPDX-License-Identifier: Apache-2.0
// Blocks of memory with the time of their last use, and a deque of free ones in the order of that time. Part
// of strategy `blocks` (pools/blocks.h).
//
// A block's header stands in front of its object; nothing is written into the object. Who has a block owns
// it; a deque owns those in it. Threads: the caller locks.
//
//     struct block *block = block_make(&config, 1000);
//     block_deque_push(&deque, block, clock_coarse_ns());
//     block = block_deque_find(&deque, 900);
#ifndef POOLMARK_POOLS_BLOCK_DEQUE_H
#define POOLMARK_POOLS_BLOCK_DEQUE_H

#include "pools/pool.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BLOCK_ALIGNMENT = 16 };

struct block {
    alignas(BLOCK_ALIGNMENT) struct block *newer, *older; // in a deque; `older` also links chains
    size_t bytes;                                         // of the object: at least those asked for
    int64_t used_ns;                                      // when it was last put
    bool is_overflow;
};

struct block_deque {
    struct block *newest, *oldest;
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

// The object is constructed as the config says; config->touch faults its pages in. NULL: no memory.
struct block *block_make(const struct pool_config *config, size_t bytes) __attribute__((warn_unused_result));
// At most `count` new blocks, linked by `older`; `made` says how many there are.
struct block *block_make_chain(const struct pool_config *config, int64_t count, size_t bytes, int64_t *made)
    __attribute__((warn_unused_result));
// Frees what is linked by `older`; NULL is allowed. Returns bytes, headers among them.
int64_t block_free_chain(const struct pool_config *config, struct block *chain);

void block_deque_push(struct block_deque *deque, struct block *block, int64_t now_ns);
void block_deque_remove(struct block_deque *deque, struct block *block);
// The block used last that fits a request (blocks_fit in pools/blocks.h), or NULL; it stays where it is.
struct block *block_deque_find(const struct block_deque *deque, size_t bytes);
bool block_deque_is_valid(const struct block_deque *deque);

#endif
