// SPDX-License-Identifier: Apache-2.0
// Strategy `blocks` (pools/strategies/blocks.h), internal header: blocks.c gets and puts, blocks_memory.c
// makes blocks and gives them back. Functions whose name ends in _locked need the lock held; those in
// _unlock release it.
#ifndef POOLMARK_POOLS_STRATEGIES_BLOCKS_POOL_H
#define POOLMARK_POOLS_STRATEGIES_BLOCKS_POOL_H

#include "pools/strategies/block_deque.h"
#include "pools/strategies/blocks.h"
#include "pools/shared/growth.h"
#include "pools/shared/object.h"
#include "pools/shared/pool_lock.h"

// A cleanup under way.
struct blocks_cleanup {
    bool under_way;
    int64_t began_ns, from, in_use; // owned and in use then
    int64_t freed;                  // objects
};

// A piece of a cleanup: the work to be done without the lock.
struct blocks_piece {
    struct block *chain;     // to be freed
    struct pool_event event; // to be emitted, when `to` is below `from`
};

struct pool {
    struct pool_base base;
    struct pool_config config; // constant, as is `alone`
    bool alone;                // one thread: no lock

    struct pool_lock lock;      // guards the rest
    _Atomic uint32_t made_turn; // changes when being_made falls and a thread waits for that
    int made_waiters;
    struct block_deque free;
    int64_t max; // 0: unbounded
    bool draining;
    int64_t owned;           // objects
    int64_t in_use, peak;    // gets whose block is being made included
    int64_t overflow_out;    // of those in use, the ones beyond `max`
    int64_t being_made;      // of those owned, the ones whose memory is being made
    int64_t gets_making;     // of those in use, the ones whose memory is being made,
    int64_t overflow_making; // and of these, the ones beyond `max`
    int64_t owned_bytes, bytes_allocated;
    int64_t peak_bytes; // with the blocks' headers
    int64_t floor;      // objects made by open and preheat
    int64_t hits, misses, overflow, refused, failed, put;
    int64_t expansions, shrinks, sweeps, longest_expansion_ns;
    int64_t cleaned_ns; // time of the last cleanup
    bool refusing;      // the last get was refused
    bool growing;
    struct growth_step step; // while growing
    size_t step_bytes;       // size of the objects that the step makes
    struct blocks_cleanup cleanup;
};

static inline void blocks_lock(struct pool *pool)
{
    if (!pool->alone)
        pool_lock_acquire(&pool->lock);
}

static inline void blocks_unlock(struct pool *pool)
{
    if (!pool->alone)
        pool_lock_release(&pool->lock);
}

static inline bool blocks_has_room(const struct pool *pool)
{
    return !pool->draining && (!pool->max || pool->owned < pool->max);
}

// After being_made fell, or a bound moved: threads that wait for that check again.
void blocks_tell_made_locked(struct pool *pool);
void blocks_await_made_locked(struct pool *pool); // releases the lock meanwhile

// For a block that was just made: counts its bytes.
void blocks_count_bytes_locked(struct pool *pool, const struct block *block);

// Begins an expansion to owned x growth with objects of that size, unless one is under way or there is no
// room.
void blocks_begin_growth_locked(struct pool *pool, size_t bytes);
// Makes a piece of the expansion under way. Releases the lock meanwhile. False: no piece is left, or no
// memory.
bool blocks_grow_piece_locked(struct pool *pool);
int blocks_preheat(struct pool *pool, int64_t count);

// Takes the block unused longest out of the pool, and puts it on the chain of blocks to be freed.
struct block *blocks_disown_oldest_locked(struct pool *pool, struct block *chain);

// Takes the next blocks that a cleanup frees, BLOCKS_CLEANUP_AT_ONCE at most. blocks_end_cleanup, called without
// the lock, frees them. False: no cleanup is due.
bool blocks_cleanup_locked(struct pool *pool, int64_t now_ns, struct blocks_piece *piece);
int64_t blocks_end_cleanup(struct pool *pool, struct blocks_piece *piece); // returns bytes

int64_t blocks_sweep(struct pool *pool);
int64_t blocks_trim(struct pool *pool);
int blocks_resize(struct pool *pool, int64_t max);
int64_t blocks_drain(struct pool *pool);

#endif
