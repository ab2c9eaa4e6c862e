// SPDX-License-Identifier: Apache-2.0
// fixed: makes `initial` objects at open and owns no more, unless pool_preheat adds to them (up to `max`,
// which pool_resize may move). A
// get that finds none free is past the bound: served by malloc or refused, as `overflow` says.
#include "pools/strategies/stock.h"

#include <errno.h>

struct pool {
    struct pool_base base;
    struct stock stock;
};

// More is owned than a smaller `max` allows: gets look whether as many are in use.
static void set_gate(struct stock *stock)
{
    pool_lock_acquire(&stock->lock);
    stock->gate = stock->max && stock->owned > stock->max ? stock->max : INT64_MAX;
    pool_lock_release(&stock->lock);
}

static int fixed_preheat(struct pool *pool, int64_t count)
{
    int code = stock_preheat(&pool->stock, count);
    set_gate(&pool->stock);
    return code;
}

static bool is_closed_locked(const struct stock *stock)
{
    return stock->in_use >= stock->gate && stock_is_past_max_locked(stock);
}

static void *fixed_get(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    pool_lock_acquire(&stock->lock);
    void *object = __builtin_expect(is_closed_locked(stock), 0) ? NULL : stock_pop_locked(stock);
    if (__builtin_expect(!object, 0))
        return stock_past_bound_unlock(stock, &pool->base.config);
    stock->hits++;
    stock->refusing = false;
    pool_lock_release(&stock->lock);
    return stock_hand_out(stock, object);
}

static void fixed_put(struct pool *pool, void *object)
{
    stock_put(&pool->stock, object);
}

static void *fixed_get_alone(struct pool *pool)
{
    void *object = stock_get_alone(&pool->stock);
    return __builtin_expect(object != NULL, 1) ? object : fixed_get(pool);
}

static void fixed_put_alone(struct pool *pool, void *object)
{
    if (__builtin_expect(!stock_put_alone(&pool->stock, object), 0))
        fixed_put(pool, object);
}

static void fixed_fork_prepare(struct pool *pool)
{
    stock_fork_prepare(&pool->stock);
}

static void fixed_fork_parent(struct pool *pool)
{
    stock_fork_parent(&pool->stock);
}

static void fixed_fork_child(struct pool *pool)
{
    stock_fork_child(&pool->stock);
}

static void fixed_stats(struct pool *pool, struct pool_stats *stats)
{
    stock_stats(&pool->stock, stats);
    stats->bytes_owned += (int64_t)sizeof *pool;
    stats->overhead_bytes += (int64_t)sizeof *pool;
}

static int fixed_resize(struct pool *pool, int64_t max)
{
    (void)stock_resize(&pool->stock, max);
    set_gate(&pool->stock);
    pool_lock_acquire(&pool->stock.lock);
    pool_base_tell_max(&pool->base, pool->stock.max);
    pool_lock_release(&pool->stock.lock);
    return 0;
}

static int64_t fixed_drain(struct pool *pool)
{
    return stock_drain(&pool->stock);
}

static void fixed_close(struct pool *pool)
{
    stock_close(&pool->stock);
    pool_memory_free(pool);
}

static int fixed_open(struct pool **opened, const struct pool_config *config, struct err *err)
{
    (void)err;
    struct pool *pool = pool_memory_alloc_aligned(alignof(struct pool), sizeof *pool);
    if (!pool)
        return -ENOMEM;
    *pool = (struct pool){0};
    stock_init(&pool->stock, config);
    if (config->initial && fixed_preheat(pool, config->initial) < 0) {
        pool_memory_free(pool);
        return -ENOMEM;
    }
    if (config->threads == POOL_THREADS_ONE) {
        atomic_init(&pool->base.get, fixed_get_alone);
        atomic_init(&pool->base.put, fixed_put_alone);
    }
    *opened = pool;
    return 0;
}

static bool fixed_owns(struct pool *pool, const void *object)
{
    return stock_owns(&pool->stock, object);
}

static bool fixed_is_valid(struct pool *pool)
{
    return stock_is_valid(&pool->stock);
}

const struct pool_strategy pool_strategy_fixed = {
    .name = "fixed",
    .summary = "makes its objects at open and owns no more; one stack behind one lock",
    .caps = POOL_CAP_PREHEATS | POOL_CAP_BOUNDED | POOL_CAP_CONSTRUCTS | POOL_CAP_RESIZES | POOL_CAP_FORKS,
    .open = fixed_open,
    .get = fixed_get,
    .put = fixed_put,
    .stats = fixed_stats,
    .close = fixed_close,
    .preheat = fixed_preheat,
    .resize = fixed_resize,
    .drain = fixed_drain,
    .fork_prepare = fixed_fork_prepare,
    .fork_parent = fixed_fork_parent,
    .fork_child = fixed_fork_child,
    .owns = fixed_owns,
    .is_valid = fixed_is_valid,
};
