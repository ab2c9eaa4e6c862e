// SPDX-License-Identifier: Apache-2.0
#include "pools/blocks.h"

#include "pools/block_deque.h"
#include "pools/expand.h"
#include "pools/object.h"

#include <errno.h>
#include <pthread.h>

struct pool {
    struct pool_base base;
    struct pool_config config; // constant

    pthread_mutex_t lock; // guards the rest
    int64_t max;          // 0: unbounded
    bool draining;
    int64_t bytes_allocated, peak_bytes; // of objects
    pthread_cond_t made;                 // being_made fell
    struct block_deque free;
    int64_t owned;        // objects
    int64_t in_use, peak; // gets whose block is being made among them
    int64_t overflow_out; // of those in use, the ones past `max`
    int64_t being_made;   // of those owned, the ones whose memory has not come yet
    int64_t owned_bytes;  // of objects owned
    int64_t floor;        // made by open and preheat
    int64_t hits, misses, overflow, refused, failed, put;
    int64_t expansions, shrinks, sweeps, longest_expansion_ns;
    int64_t cleaned_ns; // when the last cleanup was
    bool refusing;      // the last get was refused
};

void blocks_defaults(struct pool_config *config)
{
    config->initial = BLOCKS_INITIAL;
    config->max = BLOCKS_MAX;
    config->growth = BLOCKS_GROWTH;
}

bool blocks_fit(size_t block_bytes, size_t bytes)
{
    size_t least = bytes > BLOCKS_BYTES_MIN ? bytes : BLOCKS_BYTES_MIN;
    return block_bytes >= bytes && block_bytes <= BLOCKS_WASTE * least;
}

int64_t blocks_shrink_to(int64_t owned, int64_t in_use, int64_t floor)
{
    if ((double)in_use >= BLOCKS_SHRINK_THRESHOLD * (double)owned)
        return owned;
    int64_t enough = (int64_t)((double)in_use / BLOCKS_SHRINK_THRESHOLD);
    if (enough < floor)
        enough = floor;
    return enough < owned ? enough : owned;
}

// --- under the lock -------------------------------------------------------------------------------------

// The block unused longest is no longer the pool's: onto the chain of what is to be freed.
static struct block *disown_oldest(struct pool *pool, struct block *chain)
{
    struct block *block = pool->free.oldest;
    block_deque_remove(&pool->free, block);
    pool->owned--;
    pool->owned_bytes -= (int64_t)block->bytes;
    block->older = chain;
    return block;
}

static void count_in_use(struct pool *pool)
{
    if (++pool->in_use > pool->peak)
        pool->peak = pool->in_use;
}

static bool has_room(const struct pool *pool)
{
    return !pool->draining && (!pool->max || pool->owned < pool->max);
}

static void count_bytes(struct pool *pool, const struct block *block)
{
    pool->bytes_allocated += (int64_t)block->bytes;
    pool->owned_bytes += block->is_overflow ? 0 : (int64_t)block->bytes;
    if (pool->owned_bytes > pool->peak_bytes)
        pool->peak_bytes = pool->owned_bytes;
}

// --- growing --------------------------------------------------------------------------------------------

// Blocks just made become the pool's, which had counted `planned` of them already. Under the lock.
static void adopt(struct pool *pool, struct block *chain, int64_t planned, int64_t made)
{
    int64_t now_ns = clock_coarse_ns();
    pool->owned -= planned - made;
    pool->being_made -= planned;
    pthread_cond_broadcast(&pool->made);
    while (chain) {
        struct block *block = chain;
        chain = block->older;
        count_bytes(pool, block);
        poison(block_object(block), block->bytes);
        block_deque_push(&pool->free, block, now_ns);
    }
}

// To owned x growth. Called with the lock held; lets go of it meanwhile, so that others are not kept from
// blocks that are there. Returns how many it made.
static int64_t expand_locked(struct pool *pool, size_t bytes)
{
    int64_t from = pool->owned, trigger = pool->in_use;
    int64_t planned = expand_next(from, pool->config.growth, pool->max) - from;
    if (planned <= 0)
        return 0;
    pool->owned += planned;
    pool->being_made += planned;
    pthread_mutex_unlock(&pool->lock);
    int64_t made, began_ns = clock_now_ns();
    struct block *chain = block_make_chain(&pool->config, planned, bytes, &made);
    int64_t ended_ns = clock_now_ns();
    pthread_mutex_lock(&pool->lock);
    adopt(pool, chain, planned, made);
    if (made == 0)
        return 0;
    pool->expansions++;
    if (ended_ns - began_ns > pool->longest_expansion_ns)
        pool->longest_expansion_ns = ended_ns - began_ns;
    pthread_mutex_unlock(&pool->lock);
    struct pool_event event = {.kind = POOL_EVENT_EXPAND,
                               .at_ns = ended_ns,
                               .duration_ns = ended_ns - began_ns,
                               .from = from,
                               .to = from + made,
                               .trigger = trigger};
    pool_emit(&pool->config, &event);
    pthread_mutex_lock(&pool->lock);
    return made;
}

static int blocks_preheat(struct pool *pool, int64_t count)
{
    pthread_mutex_lock(&pool->lock);
    bool fits = !pool->draining && (!pool->max || count <= pool->max - pool->owned);
    if (fits) {
        pool->owned += count;
        pool->being_made += count;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!fits)
        return -ERANGE;
    int64_t made;
    struct block *chain = block_make_chain(&pool->config, count, pool->config.object_bytes, &made);
    if (made < count) {
        (void)block_free_chain(&pool->config, chain);
        chain = NULL;
    }
    pthread_mutex_lock(&pool->lock);
    adopt(pool, chain, count, made < count ? 0 : count);
    if (made == count)
        pool->floor += count;
    pthread_mutex_unlock(&pool->lock);
    return made < count ? -ENOMEM : 0;
}

// --- getting --------------------------------------------------------------------------------------------

// What the block has beyond the bytes asked for stays out of bounds.
static void *hand_out(const struct pool *pool, struct block *block, size_t bytes)
{
    char *object = block_object(block);
    unpoison(object, bytes);
    object_keeps_state(&pool->config, object, bytes);
    poison(object + bytes, block->bytes - bytes);
    return object;
}

// A block that came for this get alone, or none; counted as in use already. The lock is not held.
static void *get_made(struct pool *pool, size_t bytes, bool is_overflow)
{
    struct pool_config untouched = pool->config;
    untouched.touch = false;
    struct block *block = block_make(&untouched, bytes);
    pthread_mutex_lock(&pool->lock);
    if (!is_overflow) {
        pool->being_made--;
        pthread_cond_broadcast(&pool->made);
    }
    if (block) {
        block->is_overflow = is_overflow;
        count_bytes(pool, block);
        ++*(is_overflow ? &pool->overflow : &pool->misses);
        if (pool->in_use > pool->peak)
            pool->peak = pool->in_use;
    } else {
        pool->in_use--;
        pool->overflow_out -= is_overflow;
        pool->owned -= !is_overflow;
        pool->failed++;
    }
    pthread_mutex_unlock(&pool->lock);
    return block ? hand_out(pool, block, bytes) : NULL;
}

// All that may be owned is in use. The lock is held; lets go of it.
static void *get_past_max_unlock(struct pool *pool, size_t bytes)
{
    if (pool->config.overflow == POOL_OVERFLOW_HEAP) {
        pool->in_use++;
        pool->overflow_out++;
        pthread_mutex_unlock(&pool->lock);
        return get_made(pool, bytes, true);
    }
    bool first = !pool->refusing;
    struct pool_event event = {
        .kind = POOL_EVENT_REFUSE, .from = pool->owned, .to = pool->owned, .trigger = pool->in_use};
    pool->refusing = true;
    pool->refused++;
    pthread_mutex_unlock(&pool->lock);
    event.at_ns = clock_now_ns();
    if (first)
        pool_emit(&pool->config, &event);
    return NULL;
}

// No free block fits, but one may be made, if need be for the one unused longest. The lock is held; lets go
// of it.
static void *get_unfitting_unlock(struct pool *pool, size_t bytes)
{
    struct block *unfit = NULL;
    if (!has_room(pool))
        unfit = disown_oldest(pool, NULL);
    pool->owned++;
    pool->being_made++;
    pool->in_use++;
    pthread_mutex_unlock(&pool->lock);
    (void)block_free_chain(&pool->config, unfit);
    return get_made(pool, bytes, false);
}

// A smaller `max` came, and as many are in use.
static bool is_past_max(const struct pool *pool)
{
    return pool->max && pool->owned > pool->max && pool->in_use - pool->overflow_out >= pool->max;
}

static void *blocks_get_bytes(struct pool *pool, size_t bytes)
{
    bool missed = false;
    struct block *block;
    pthread_mutex_lock(&pool->lock);
    while (!(block = is_past_max(pool) ? NULL : block_deque_find(&pool->free, bytes))) {
        // One at a time grows; who comes meanwhile makes one for himself.
        bool grows = pool->free.count == 0 && has_room(pool) && pool->being_made == 0;
        if (grows && expand_locked(pool, bytes) > 0)
            missed = true;
        else if (has_room(pool) || (pool->free.oldest && !is_past_max(pool)))
            return get_unfitting_unlock(pool, bytes);
        else if (pool->being_made == 0 || pool->in_use >= pool->max || is_past_max(pool))
            return get_past_max_unlock(pool, bytes);
        else
            pthread_cond_wait(&pool->made, &pool->lock); // what is being made may be for us
    }
    block_deque_remove(&pool->free, block);
    count_in_use(pool);
    if (has_room(pool) && pool->in_use >= expand_trigger(pool->owned, pool->config.expand_at_percent) &&
        expand_locked(pool, bytes) > 0)
        missed = true;
    pool->hits += !missed;
    pool->misses += missed;
    pthread_mutex_unlock(&pool->lock);
    return hand_out(pool, block, bytes);
}

static void *blocks_get(struct pool *pool)
{
    return blocks_get_bytes(pool, pool->config.object_bytes);
}

static void blocks_put(struct pool *pool, void *object)
{
    struct block *block = block_of(object);
    bool goes = block->is_overflow;
    if (!goes)
        poison(object, block->bytes);
    int64_t now_ns = clock_coarse_ns();
    pthread_mutex_lock(&pool->lock);
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
    pthread_mutex_unlock(&pool->lock);
    if (goes) {
        block->older = NULL;
        (void)block_free_chain(&pool->config, block);
    }
}

// --- giving back ----------------------------------------------------------------------------------------

static int64_t free_and_tell(struct pool *pool, struct block *chain, int64_t from, int64_t to, int64_t in_use)
{
    if (!chain)
        return 0;
    int64_t began_ns = clock_now_ns(), bytes = block_free_chain(&pool->config, chain),
            ended_ns = clock_now_ns();
    struct pool_event event = {.kind = POOL_EVENT_SHRINK,
                               .at_ns = ended_ns,
                               .duration_ns = ended_ns - began_ns,
                               .from = from,
                               .to = to,
                               .trigger = in_use};
    pool_emit(&pool->config, &event);
    return bytes;
}

static int64_t idle_ns_of(const struct pool *pool)
{
    return pool->config.idle_ns ? pool->config.idle_ns : BLOCKS_IDLE_NS;
}

static bool is_expired(const struct pool *pool, const struct block *block, int64_t now_ns)
{
    return now_ns - block->used_ns >= idle_ns_of(pool);
}

static int64_t blocks_sweep(struct pool *pool)
{
    int64_t now_ns = clock_coarse_ns(), every_ns = idle_ns_of(pool);
    if (every_ns > BLOCKS_CLEANUP_EVERY_NS)
        every_ns = BLOCKS_CLEANUP_EVERY_NS;
    struct block *chain = NULL;
    pthread_mutex_lock(&pool->lock);
    pool->sweeps++;
    int64_t from = pool->owned, in_use = pool->in_use;
    if (now_ns - pool->cleaned_ns >= every_ns) {
        pool->cleaned_ns = now_ns;
        int64_t enough = blocks_shrink_to(from, in_use, pool->floor);
        // The deque is in the order of last use: what has expired is at the front.
        while (pool->free.oldest && pool->owned > pool->floor &&
               (pool->owned > enough || is_expired(pool, pool->free.oldest, now_ns)))
            chain = disown_oldest(pool, chain);
    }
    int64_t to = pool->owned;
    pool->shrinks += to < from;
    pthread_mutex_unlock(&pool->lock);
    return free_and_tell(pool, chain, from, to, in_use);
}

// The longest unused free blocks go, while more than `most` are owned. The lock is held; lets go of it.
static int64_t give_back_unlock(struct pool *pool, int64_t most)
{
    struct block *chain = NULL;
    int64_t from = pool->owned, in_use = pool->in_use;
    while (pool->free.oldest && pool->owned > most)
        chain = disown_oldest(pool, chain);
    int64_t to = pool->owned;
    pool->shrinks += to < from;
    pthread_mutex_unlock(&pool->lock);
    return free_and_tell(pool, chain, from, to, in_use);
}

static int64_t blocks_trim(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    return give_back_unlock(pool, 0);
}

static int blocks_resize(struct pool *pool, int64_t max)
{
    pthread_mutex_lock(&pool->lock);
    pool->max = max;
    if (max && pool->floor > max)
        pool->floor = max;
    pthread_cond_broadcast(&pool->made);
    (void)give_back_unlock(pool, max ? max : INT64_MAX);
    return 0;
}

static int64_t blocks_drain(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->draining = true;
    pool->floor = 0;
    pthread_cond_broadcast(&pool->made);
    return give_back_unlock(pool, 0);
}

// --- the rest -------------------------------------------------------------------------------------------

static void blocks_stats(struct pool *pool, struct pool_stats *stats)
{
    pthread_mutex_lock(&pool->lock);
    // A get whose block is being made is not counted as one yet, nor its block as owned.
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
    };
    int64_t bytes = pool->owned_bytes, allocated = pool->bytes_allocated, peak = pool->peak_bytes;
    pthread_mutex_unlock(&pool->lock);
    stats->overhead_bytes = (int64_t)sizeof *pool + stats->owned * (int64_t)sizeof(struct block);
    stats->bytes_owned = bytes + stats->overhead_bytes;
    stats->bytes_allocated = allocated + stats->overhead_bytes;
    stats->peak_bytes_owned = peak + stats->overhead_bytes;
}

static bool blocks_is_valid(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool valid = block_deque_is_valid(&pool->free) && pool->being_made >= 0 && pool->peak >= pool->in_use &&
                 pool->overflow_out >= 0 && pool->overflow_out <= pool->in_use &&
                 pool->free.count + pool->being_made <= pool->owned;
    pthread_mutex_unlock(&pool->lock);
    return valid;
}

static void blocks_close(struct pool *pool)
{
    (void)block_free_chain(&pool->config, pool->free.newest);
    pthread_cond_destroy(&pool->made);
    pthread_mutex_destroy(&pool->lock);
    pool_memory_free(pool);
}

static int blocks_open(struct pool **opened, const struct pool_config *config, struct err *err)
{
    (void)err;
    struct pool *pool = pool_memory_alloc(sizeof *pool);
    if (!pool)
        return -ENOMEM;
    *pool = (struct pool){.config = *config, .max = config->max, .cleaned_ns = clock_coarse_ns()};
    int code = pthread_mutex_init(&pool->lock, NULL);
    if (code != 0)
        goto fail_lock;
    code = pthread_cond_init(&pool->made, NULL);
    if (code != 0)
        goto fail_made;
    code = blocks_preheat(pool, config->initial);
    if (code < 0) {
        blocks_close(pool);
        return code;
    }
    *opened = pool;
    return 0;

fail_made:
    pthread_mutex_destroy(&pool->lock);
fail_lock:
    pool_memory_free(pool);
    return -code;
}

const struct pool_strategy pool_strategy_blocks = {
    .name = "blocks",
    .summary = "one mutex, a deque of sized blocks with the time of their last use; expiry and cleanup",
    .caps = POOL_CAP_GROWS | POOL_CAP_PREHEATS | POOL_CAP_BOUNDED | POOL_CAP_SHRINKS | POOL_CAP_SWEEPS |
            POOL_CAP_SIZED | POOL_CAP_CONSTRUCTS | POOL_CAP_RESIZES,
    .open = blocks_open,
    .get = blocks_get,
    .put = blocks_put,
    .stats = blocks_stats,
    .close = blocks_close,
    .preheat = blocks_preheat,
    .get_bytes = blocks_get_bytes,
    .sweep = blocks_sweep,
    .trim = blocks_trim,
    .resize = blocks_resize,
    .drain = blocks_drain,
    .is_valid = blocks_is_valid,
};
