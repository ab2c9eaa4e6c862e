// SPDX-License-Identifier: Apache-2.0
#include "pools/strategies/blocks_pool.h"

#include <errno.h>

int64_t blocks_shrink_to(int64_t owned, int64_t in_use, int64_t floor)
{
    if ((double)in_use >= BLOCKS_SHRINK_THRESHOLD * (double)owned)
        return owned;
    int64_t enough = (int64_t)((double)in_use / BLOCKS_SHRINK_THRESHOLD);
    if (enough < floor)
        enough = floor;
    return enough < owned ? enough : owned;
}

// --- making ---------------------------------------------------------------------------------------------

// Relaxed: the lock orders; a thread that is about to sleep compares the word in the kernel.
void blocks_tell_made_locked(struct pool *pool)
{
    if (pool->made_waiters == 0)
        return;
    atomic_fetch_add_explicit(&pool->made_turn, 1, memory_order_relaxed);
    pool_lock_wake_all(&pool->made_turn);
}

void blocks_await_made_locked(struct pool *pool)
{
    uint32_t seen = atomic_load_explicit(&pool->made_turn, memory_order_relaxed);
    pool->made_waiters++;
    blocks_unlock(pool);
    pool_lock_sleep_on(&pool->made_turn, seen);
    blocks_lock(pool);
    pool->made_waiters--;
}

void blocks_count_bytes_locked(struct pool *pool, const struct block *block)
{
    pool->bytes_allocated += (int64_t)block->bytes;
    pool->owned_bytes += block->is_overflow ? 0 : (int64_t)block->bytes;
    int64_t bytes = pool->owned_bytes + (pool->owned - pool->being_made) * (int64_t)sizeof *block;
    if (bytes > pool->peak_bytes)
        pool->peak_bytes = bytes;
}

// The pool takes over blocks just made; it had counted `planned` of them already.
static void adopt_locked(struct pool *pool, struct block *chain, int64_t planned, int64_t made)
{
    int64_t now_ns = clock_coarse_ns();
    pool->owned -= planned - made;
    pool->being_made -= planned;
    blocks_tell_made_locked(pool);
    while (chain) {
        struct block *block = chain;
        chain = block->older;
        blocks_count_bytes_locked(pool, block);
        poison(block_object(block), block->bytes);
        block_deque_push(&pool->free, block, now_ns);
    }
}

void blocks_begin_growth_locked(struct pool *pool, size_t bytes)
{
    if (pool->growing || !blocks_has_room(pool))
        return;
    int64_t planned = growth_next(pool->owned, pool->config.growth, pool->max) - pool->owned;
    growth_begin(&pool->step, pool->owned, planned, pool->in_use, bytes);
    pool->step_bytes = bytes;
    pool->owned += planned;
    pool->being_made += planned;
    pool->growing = true;
}

// Emits the event of the step, without the lock, before the next step can begin.
static void end_growth_locked(struct pool *pool)
{
    if (pool->step.made > 0) {
        struct pool_event event = growth_event(&pool->step);
        pool->expansions++;
        blocks_unlock(pool);
        pool_emit(&pool->config, &event);
        blocks_lock(pool);
    }
    pool->growing = false;
}

// Up to `count` objects of the step that no thread took are not made. False: there were none. Then the step ends by
// itself, and may be about to: the thread that ends it emits the event without the lock.
static bool cut_locked(struct pool *pool, int64_t count)
{
    if (!pool->growing || pool->step.left == 0 || count <= 0)
        return false;
    if (count > pool->step.left)
        count = pool->step.left;
    pool->step.left -= count;
    adopt_locked(pool, NULL, count, 0);
    return true;
}

static void end_cut_growth_locked(struct pool *pool)
{
    if (pool->step.left == 0 && pool->step.making == 0)
        end_growth_locked(pool);
}

static void cut_growth_locked(struct pool *pool)
{
    if (cut_locked(pool, pool->step.left))
        end_cut_growth_locked(pool);
}

// Blocks that were made while the pool began to drain, or its bound fell: as many of the free ones as are too
// many. Releases the lock while it frees them.
static void give_up_surplus_locked(struct pool *pool)
{
    struct block *chain = NULL;
    while (pool->free.oldest && (pool->draining || (pool->max && pool->owned > pool->max)))
        chain = blocks_disown_oldest_locked(pool, chain);
    if (!chain)
        return;
    blocks_unlock(pool);
    (void)block_free_chain(&pool->config, chain);
    blocks_lock(pool);
}

bool blocks_grow_piece_locked(struct pool *pool)
{
    int64_t count = pool->growing ? growth_take(&pool->step) : 0, made;
    if (count == 0)
        return false;
    size_t bytes = pool->step_bytes;
    blocks_unlock(pool);
    int64_t began_ns = clock_now_ns();
    struct block *chain = block_make_chain(&pool->config, count, bytes, &made);
    int64_t took_ns = clock_now_ns() - began_ns;
    blocks_lock(pool);
    adopt_locked(pool, chain, count, made);
    if (made && took_ns > pool->longest_expansion_ns)
        pool->longest_expansion_ns = took_ns;
    if (made < count)
        adopt_locked(pool, NULL, pool->step.left, 0);
    if (growth_made(&pool->step, count, made, took_ns))
        end_growth_locked(pool);
    give_up_surplus_locked(pool);
    return made > 0;
}

int blocks_preheat(struct pool *pool, int64_t count)
{
    int64_t bytes = count * (int64_t)(sizeof(struct block) + pool->config.object_bytes);
    bool cuts = false;
    blocks_lock(pool);
    // What a step under way has not begun to make, the preheat makes instead: it is not owned yet.
    int64_t excess = pool->max ? pool->owned + count - pool->max : 0;
    int code = !pool->draining && excess <= (pool->growing ? pool->step.left : 0) ? 0 : -ERANGE;
    if (code == 0 && !pool_memory_is_conceivable(bytes))
        code = -ENOMEM;
    if (code == 0) {
        cuts = cut_locked(pool, excess);
        pool->owned += count;
        pool->being_made += count;
    }
    if (cuts)
        end_cut_growth_locked(pool);
    blocks_unlock(pool);
    if (code < 0)
        return code;
    int64_t made;
    struct block *chain = block_make_chain(&pool->config, count, pool->config.object_bytes, &made);
    if (made < count) {
        (void)block_free_chain(&pool->config, chain);
        chain = NULL;
    }
    blocks_lock(pool);
    adopt_locked(pool, chain, count, made < count ? 0 : count);
    if (made == count && !pool->draining)
        pool->floor += count;
    if (pool->max && pool->floor > pool->max)
        pool->floor = pool->max;
    give_up_surplus_locked(pool);
    blocks_unlock(pool);
    return made < count ? -ENOMEM : 0;
}

// --- giving back ----------------------------------------------------------------------------------------

struct block *blocks_disown_oldest_locked(struct pool *pool, struct block *chain)
{
    struct block *block = pool->free.oldest;
    block_deque_remove(&pool->free, block);
    pool->owned--;
    pool->owned_bytes -= (int64_t)block->bytes;
    block->older = chain;
    return block;
}

static int64_t idle_ns_of(const struct pool *pool)
{
    return pool->config.idle_ns ? pool->config.idle_ns : BLOCKS_IDLE_NS;
}

static bool is_due(const struct pool *pool, int64_t now_ns)
{
    int64_t every_ns = idle_ns_of(pool);
    if (every_ns > BLOCKS_CLEANUP_EVERY_NS)
        every_ns = BLOCKS_CLEANUP_EVERY_NS;
    return pool->cleanup.under_way || now_ns - pool->cleaned_ns >= every_ns;
}

// The deque is in the order of last use: expired blocks are at its end.
static bool has_more_to_free(const struct pool *pool, int64_t now_ns)
{
    const struct block *oldest = pool->free.oldest;
    if (!oldest || pool->owned <= pool->floor)
        return false;
    return now_ns - oldest->used_ns >= idle_ns_of(pool) ||
           pool->owned > blocks_shrink_to(pool->cleanup.from, pool->cleanup.in_use, pool->floor);
}

bool blocks_cleanup_locked(struct pool *pool, int64_t now_ns, struct blocks_piece *piece)
{
    if (__builtin_expect(!is_due(pool, now_ns), 1))
        return false;
    struct blocks_cleanup *cleanup = &pool->cleanup;
    if (!cleanup->under_way)
        *cleanup = (struct blocks_cleanup){.from = pool->owned, .in_use = pool->in_use};
    if (!cleanup->under_way)
        cleanup->began_ns = clock_now_ns();
    *piece = (struct blocks_piece){.chain = NULL};
    bool more = has_more_to_free(pool, now_ns);
    for (int i = 0; more && i < BLOCKS_CLEANUP_AT_ONCE; i++) {
        piece->chain = blocks_disown_oldest_locked(pool, piece->chain);
        cleanup->freed++;
        more = has_more_to_free(pool, now_ns);
    }
    cleanup->under_way = more;
    pool->cleaned_ns = now_ns;
    if (!more && cleanup->freed > 0) {
        pool->shrinks++;
        piece->event.from = cleanup->from;
        piece->event.to = cleanup->from - cleanup->freed;
        piece->event.trigger = cleanup->in_use;
        piece->event.duration_ns = -cleanup->began_ns; // blocks_end_cleanup adds the end
    }
    return piece->chain != NULL || !more;
}

int64_t blocks_end_cleanup(struct pool *pool, struct blocks_piece *piece)
{
    int64_t bytes = block_free_chain(&pool->config, piece->chain);
    struct pool_event *event = &piece->event;
    event->kind = POOL_EVENT_SHRINK;
    event->at_ns = clock_now_ns();
    event->duration_ns += event->at_ns;
    if (event->to < event->from)
        pool_emit(&pool->config, event);
    return bytes;
}

int64_t blocks_sweep(struct pool *pool)
{
    struct blocks_piece piece;
    int64_t now_ns = clock_coarse_ns(), bytes = 0;
    bool more = true;
    for (bool begins = true; more; begins = false) {
        blocks_lock(pool);
        pool->sweeps += begins;
        bool due = blocks_cleanup_locked(pool, now_ns, &piece);
        more = due && pool->cleanup.under_way;
        blocks_unlock(pool);
        bytes += due ? blocks_end_cleanup(pool, &piece) : 0;
    }
    return bytes;
}

// Frees the longest unused of the free blocks while more than `most` are owned, or with `most` negative more than
// the bound, which another thread may move meanwhile. Some for each hold of the lock, since a get waits as long.
// Blocks that are put meanwhile stay.
static int64_t give_back_unlock(struct pool *pool, int64_t most)
{
    struct blocks_piece piece = {.event = {.from = pool->owned, .to = pool->owned, .trigger = pool->in_use}};
    int64_t bytes = 0, left = pool->free.count;
    bool more = true;
    piece.event.duration_ns = -clock_now_ns();
    for (;;) {
        int64_t keep = most >= 0 ? most : pool->max ? pool->max : INT64_MAX;
        piece.chain = NULL;
        for (int i = 0; more && i < BLOCKS_CLEANUP_AT_ONCE; i++) {
            more = left > 0 && pool->free.oldest && pool->owned > keep;
            if (!more)
                break;
            piece.chain = blocks_disown_oldest_locked(pool, piece.chain);
            piece.event.to--;
            left--;
        }
        pool->shrinks += !more && piece.event.to < piece.event.from;
        blocks_unlock(pool);
        if (!more)
            return bytes + blocks_end_cleanup(pool, &piece);
        bytes += block_free_chain(&pool->config, piece.chain);
        blocks_lock(pool);
    }
}

int64_t blocks_trim(struct pool *pool)
{
    blocks_lock(pool);
    return give_back_unlock(pool, 0);
}

int blocks_resize(struct pool *pool, int64_t max)
{
    blocks_lock(pool);
    pool->max = max;
    pool_base_tell_max(&pool->base, max);
    if (max && pool->floor > max)
        pool->floor = max;
    if (max && pool->owned > max)
        cut_growth_locked(pool);
    blocks_tell_made_locked(pool);
    (void)give_back_unlock(pool, -1);
    return 0;
}

int64_t blocks_drain(struct pool *pool)
{
    blocks_lock(pool);
    pool->draining = true;
    pool->floor = 0;
    cut_growth_locked(pool);
    blocks_tell_made_locked(pool);
    return give_back_unlock(pool, 0);
}
