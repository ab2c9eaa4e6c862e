// SPDX-License-Identifier: Apache-2.0
#include "pools/strategies/blocks.h"

#include "pools/strategies/blocks_pool.h"

#include <errno.h>

void blocks_defaults(struct pool_config *config)
{
    config->initial = BLOCKS_INITIAL;
    config->max = BLOCKS_MAX;
    config->growth = BLOCKS_GROWTH;
}

// --- getting --------------------------------------------------------------------------------------------

// The block's bytes beyond those asked for stay poisoned.
static void *hand_out(const struct pool *pool, struct block *block, size_t bytes)
{
    char *object = block_object(block);
    unpoison(object, bytes);
    object_keeps_state(&pool->config, object, bytes);
    poison(object + bytes, block->bytes - bytes);
    return object;
}

static void count_in_use_locked(struct pool *pool)
{
    if (++pool->in_use > pool->peak)
        pool->peak = pool->in_use;
}

// A get that waits for memory of its own counts as in use already.
static void begin_making_locked(struct pool *pool, bool is_overflow)
{
    pool->in_use++;
    pool->gets_making++;
    pool->overflow_out += is_overflow;
    pool->overflow_making += is_overflow;
    pool->owned += !is_overflow;
    pool->being_made += !is_overflow;
}

// A block made for this get alone, or none. Without the lock.
static void *get_made(struct pool *pool, size_t bytes, bool is_overflow)
{
    struct block *block = block_make(&pool->config, bytes, false);
    blocks_lock(pool);
    pool->gets_making--;
    pool->overflow_making -= is_overflow;
    if (!is_overflow) {
        pool->being_made--;
        blocks_tell_made_locked(pool);
    }
    if (block) {
        block->is_overflow = is_overflow;
        blocks_count_bytes_locked(pool, block);
        ++*(is_overflow ? &pool->overflow : &pool->misses);
        if (pool->in_use > pool->peak)
            pool->peak = pool->in_use;
    } else {
        pool->in_use--;
        pool->overflow_out -= is_overflow;
        pool->owned -= !is_overflow;
        pool->failed++;
    }
    blocks_unlock(pool);
    return block ? hand_out(pool, block, bytes) : NULL;
}

// All objects that the pool may own are in use.
static void *get_past_max_unlock(struct pool *pool, size_t bytes)
{
    if (pool->config.overflow == POOL_OVERFLOW_HEAP) {
        begin_making_locked(pool, true);
        blocks_unlock(pool);
        return get_made(pool, bytes, true);
    }
    bool first = !pool->refusing;
    struct pool_event event = {
        .kind = POOL_EVENT_REFUSE, .from = pool->owned, .to = pool->owned, .trigger = pool->in_use};
    pool->refusing = true;
    pool->refused++;
    blocks_unlock(pool);
    event.at_ns = clock_now_ns();
    if (first)
        pool_emit(&pool->config, &event);
    return NULL;
}

// No free block fits, but one may be made; at the bound, in place of the one unused longest.
static void *get_unfitting_unlock(struct pool *pool, size_t bytes)
{
    struct block *unfit = NULL;
    if (!blocks_has_room(pool))
        unfit = blocks_disown_oldest_locked(pool, NULL);
    begin_making_locked(pool, false);
    blocks_unlock(pool);
    (void)block_free_chain(&pool->config, unfit);
    return get_made(pool, bytes, false);
}

// `max` was lowered, and that many are in use.
static bool is_past_max(const struct pool *pool)
{
    return pool->max && pool->owned > pool->max && pool->in_use - pool->overflow_out >= pool->max;
}

enum outcome { OUTCOME_BLOCK, OUTCOME_UNFITTING, OUTCOME_PAST_MAX };

// Finds a block for the request, or returns what to do instead. Releases the lock while it makes blocks.
static enum outcome find_locked(struct pool *pool, size_t bytes, struct block **found, bool *missed)
{
    while (!(*found = is_past_max(pool) ? NULL : block_deque_find(&pool->free, bytes))) {
        // One expansion at a time: a get that comes while other threads make its pieces makes a block for
        // itself.
        if (pool->free.count == 0 && pool->being_made == 0)
            blocks_begin_growth_locked(pool, bytes);
        if (pool->free.count == 0 && blocks_grow_piece_locked(pool))
            *missed = true;
        else if (blocks_has_room(pool) || (pool->free.oldest && !is_past_max(pool)))
            return OUTCOME_UNFITTING;
        else if (pool->being_made == 0 || pool->in_use >= pool->max || is_past_max(pool))
            return OUTCOME_PAST_MAX;
        else
            blocks_await_made_locked(pool); // a block being made may serve this get
    }
    return OUTCOME_BLOCK;
}

static void *get_unlock(struct pool *pool, size_t bytes)
{
    bool missed = false;
    struct block *block;
    enum outcome outcome = find_locked(pool, bytes, &block, &missed);
    if (outcome == OUTCOME_UNFITTING)
        return get_unfitting_unlock(pool, bytes);
    if (outcome == OUTCOME_PAST_MAX)
        return get_past_max_unlock(pool, bytes);
    block_deque_remove(&pool->free, block);
    count_in_use_locked(pool);
    if (pool->in_use >= growth_trigger(pool->owned, pool->config.expand_at_percent))
        blocks_begin_growth_locked(pool, bytes);
    if (pool->growing && blocks_grow_piece_locked(pool))
        missed = true;
    pool->hits += !missed;
    pool->misses += missed;
    blocks_unlock(pool);
    return hand_out(pool, block, bytes);
}

static void *blocks_get_bytes(struct pool *pool, size_t bytes)
{
    struct blocks_piece piece;
    int64_t now_ns = clock_coarse_ns();
    blocks_lock(pool);
    if (__builtin_expect(blocks_cleanup_locked(pool, now_ns, &piece), 0)) {
        blocks_unlock(pool);
        (void)blocks_end_cleanup(pool, &piece);
        blocks_lock(pool);
    }
    return get_unlock(pool, bytes);
}

static void *blocks_get(struct pool *pool)
{
    return blocks_get_bytes(pool, pool->config.object_bytes);
}

// --- putting --------------------------------------------------------------------------------------------

static void blocks_put(struct pool *pool, void *object)
{
    struct block *block = block_of(object);
    bool goes = block->is_overflow;
    if (!goes)
        poison(object, block->bytes);
    struct blocks_piece piece;
    int64_t now_ns = clock_coarse_ns();
    blocks_lock(pool);
    pool->in_use--;
    pool->overflow_out -= goes;
    pool->put++;
    pool->refusing = false;
    if (!goes && (pool->draining || (pool->max && pool->owned > pool->max))) {
        pool->owned--;
        pool->owned_bytes -= (int64_t)block->bytes;
        goes = true;
    }
    if (!goes)
        block_deque_push(&pool->free, block, now_ns);
    bool cleans = blocks_cleanup_locked(pool, now_ns, &piece);
    blocks_unlock(pool);
    if (goes) {
        block->older = NULL;
        (void)block_free_chain(&pool->config, block);
    }
    if (__builtin_expect(cleans, 0))
        (void)blocks_end_cleanup(pool, &piece);
}

// --- the rest -------------------------------------------------------------------------------------------

static void blocks_stats(struct pool *pool, struct pool_stats *stats)
{
    blocks_lock(pool);
    // A get whose block is being made is not counted yet, nor is its block counted as owned.
    int64_t given = pool->hits + pool->misses + pool->overflow;
    *stats = (struct pool_stats){
        .gets = given + pool->refused + pool->failed,
        .hits = pool->hits,
        .misses = pool->misses,
        .overflow = pool->overflow,
        .refused = pool->refused,
        .failed = pool->failed,
        .puts = pool->put,
        .in_use = given - pool->put,
        .peak_in_use = pool->peak,
        .owned = pool->owned - pool->being_made,
        .expansions = pool->expansions,
        .shrinks = pool->shrinks,
        .sweeps = pool->sweeps,
        .longest_expansion_ns = pool->longest_expansion_ns,
        .bytes_owned = pool->owned_bytes,
        .bytes_allocated = pool->bytes_allocated,
        .peak_bytes_owned = pool->peak_bytes,
    };
    blocks_unlock(pool);
    stats->overhead_bytes = (int64_t)sizeof *pool + stats->owned * (int64_t)sizeof(struct block);
    stats->bytes_owned += stats->overhead_bytes;
    stats->bytes_allocated += stats->overhead_bytes;
    stats->peak_bytes_owned += (int64_t)sizeof *pool;
}

static bool blocks_is_valid(struct pool *pool)
{
    blocks_lock(pool);
    bool valid = block_deque_is_valid(&pool->free) && pool->being_made >= 0 && pool->peak >= 0 &&
                 pool->overflow_out >= 0 && pool->overflow_out <= pool->in_use &&
                 pool->gets_making <= pool->in_use && pool->overflow_making <= pool->overflow_out &&
                 pool->free.count + pool->being_made <= pool->owned;
    blocks_unlock(pool);
    return valid;
}

static void blocks_fork_prepare(struct pool *pool)
{
    pool_lock_acquire(&pool->lock);
}

static void blocks_fork_parent(struct pool *pool)
{
    pool_lock_release(&pool->lock);
}

// Blocks that other threads of the parent were making never arrive here.
static void blocks_fork_child(struct pool *pool)
{
    pool->owned -= pool->being_made;
    pool->in_use -= pool->gets_making;
    pool->overflow_out -= pool->overflow_making;
    pool->being_made = pool->gets_making = pool->overflow_making = 0;
    pool->growing = false;
    pool->made_waiters = 0;
    pool_lock_make_free(&pool->lock);
}

static void blocks_close(struct pool *pool)
{
    (void)block_free_chain(&pool->config, pool->free.newest);
    pool_memory_free(pool);
}

static int blocks_open(struct pool **opened, const struct pool_config *config, struct err *err)
{
    (void)err;
    struct pool *pool = pool_memory_alloc(sizeof *pool);
    if (!pool)
        return -ENOMEM;
    *pool = (struct pool){.config = *config, .max = config->max, .cleaned_ns = clock_coarse_ns()};
    pool->alone = config->threads == POOL_THREADS_ONE;
    block_deque_init(&pool->free, config);
    pool_lock_init(&pool->lock, config->lock_inherits_priority);
    int code = blocks_preheat(pool, config->initial);
    if (code < 0) {
        blocks_close(pool);
        return code;
    }
    *opened = pool;
    return 0;
}

const struct pool_strategy pool_strategy_blocks = {
    .name = "blocks",
    .summary = "one mutex, free blocks by size class with the time of their last use; expiry and cleanup",
    .caps = POOL_CAP_GROWS | POOL_CAP_PREHEATS | POOL_CAP_BOUNDED | POOL_CAP_SHRINKS | POOL_CAP_SWEEPS |
            POOL_CAP_SIZED | POOL_CAP_CONSTRUCTS | POOL_CAP_RESIZES | POOL_CAP_FORKS,
    .open = blocks_open,
    .get = blocks_get,
    .put = blocks_put,
    .get_bytes = blocks_get_bytes,
    .stats = blocks_stats,
    .close = blocks_close,
    .preheat = blocks_preheat,
    .sweep = blocks_sweep,
    .trim = blocks_trim,
    .resize = blocks_resize,
    .drain = blocks_drain,
    .fork_prepare = blocks_fork_prepare,
    .fork_parent = blocks_fork_parent,
    .fork_child = blocks_fork_child,
    .is_valid = blocks_is_valid,
};
