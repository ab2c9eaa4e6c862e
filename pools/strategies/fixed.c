// SPDX-License-Identifier: Apache-2.0
// fixed: makes `initial` objects at open and owns no more, unless pool_preheat adds some (up to `max`, which
// pool_resize may change). A get that finds none free is beyond the bound: served by malloc or refused, as
// `overflow` says. A resize makes again, before it returns, the objects that an earlier resize gave back.
#include "pools/strategies/stock.h"

#include <errno.h>

struct pool {
    struct pool_base base;
    int64_t made; // guarded by stock.lock: objects made at open and by preheats
    struct stock stock;
};

static int fixed_preheat(struct pool *pool, int64_t count)
{
    struct stock *stock = &pool->stock;
    int code = stock_preheat(stock, count);
    pool_lock_acquire(&stock->lock);
    pool->made += code == 0 ? count : 0;
    pool_lock_release(&stock->lock);
    return code;
}

static __attribute__((noinline)) void *get_closely(struct pool *pool, uint32_t number, bool alone)
{
    struct stock *stock = &pool->stock;
    if (stock_pop_few(stock, &number, alone))
        return stock_hand_out(stock, stock_object(stock, number));
    pool_lock_acquire(&stock->lock);
    if (!stock_pop_locked(stock, &number) || number == FREE_STACK_NONE)
        return stock_past_bound_unlock(stock, &pool->base.config);
    stock->refusing = false;
    stock_settle_locked(stock);
    pool_lock_release(&stock->lock);
    return stock_hand_out(stock, stock_object(stock, number));
}

static void *fixed_get(struct pool *pool)
{
    return stock_get(&pool->stock, pool, FREE_STACK_IS_ALONE(), get_closely);
}

static void fixed_put(struct pool *pool, void *object)
{
    stock_put(&pool->stock, object, FREE_STACK_IS_ALONE());
}

static void *fixed_get_alone(struct pool *pool)
{
    return stock_get(&pool->stock, pool, true, get_closely);
}

static void fixed_put_alone(struct pool *pool, void *object)
{
    stock_put(&pool->stock, object, true);
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
    stats->peak_bytes_owned += (int64_t)sizeof *pool;
}

static int fixed_resize(struct pool *pool, int64_t max)
{
    struct stock *stock = &pool->stock;
    (void)stock_resize(stock, max);
    pool_lock_acquire(&stock->lock);
    int64_t wanted = stock->max && stock->max < pool->made ? stock->max : pool->made;
    int64_t missing = wanted - stock->owned - stock->pending;
    bool makes = missing > 0 && stock_plan_locked(stock, missing);
    pool_base_tell_max(&pool->base, stock->max);
    pool_lock_release_surely(&stock->lock);
    int code = makes ? stock_grow(stock, missing) : 0;
    return code == -ERANGE ? 0 : code; // another resize, to less, is in force by now
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
    struct pool *pool = pool_memory_alloc_aligned(alignof(struct pool), sizeof *pool);
    if (!pool)
        return -ENOMEM;
    *pool = (struct pool){.made = 0};
    int code = stock_open(&pool->stock, config, err);
    if (code < 0)
        goto fail_stock;
    if (config->initial && (code = fixed_preheat(pool, config->initial)) < 0)
        goto fail_preheat;
    if (config->threads == POOL_THREADS_ONE) {
        atomic_init(&pool->base.get, fixed_get_alone);
        atomic_init(&pool->base.put, fixed_put_alone);
    }
    *opened = pool;
    return 0;

fail_preheat:
    stock_close(&pool->stock);
fail_stock:
    pool_memory_free(pool);
    return code;
}

static bool fixed_owns(struct pool *pool, const void *object)
{
    return stock_owns(&pool->stock, object);
}

static bool fixed_is_valid(struct pool *pool)
{
    return stock_is_valid(&pool->stock);
}

static void fixed_beside(struct pool *pool, struct pool_beside *beside)
{
    stock_beside(&pool->stock, beside);
}

const struct pool_strategy pool_strategy_fixed = {
    .name = "fixed",
    .summary = "makes its objects at open and owns no more; one stack without a lock",
    .caps = POOL_CAP_PREHEATS | POOL_CAP_BOUNDED | POOL_CAP_CONSTRUCTS | POOL_CAP_RESIZES | POOL_CAP_FORKS,
    .open = fixed_open,
    .get = fixed_get,
    .put = fixed_put,
    .stats = fixed_stats,
    .beside = fixed_beside,
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
