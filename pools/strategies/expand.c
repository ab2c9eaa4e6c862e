// SPDX-License-Identifier: Apache-2.0
// expand: makes `initial` objects at open. When the objects in use reach `expand_at_percent` of those owned,
// it grows to min(owned x growth, max). Beyond `max` it uses malloc or refuses, as `overflow` says. It owns
// no less until pool_resize asks for it.
//
// With POOL_RULE_ADAPTIVE the load says when and how much (pools/shared/growth_load.h).
//
// New objects are made and become available in pieces (pools/shared/growth.h). Inline: the get that reaches
// the trigger makes the first piece before it returns. The gets after it make the others, one each. These
// gets count as misses. In the background: a get only notes that the trigger was reached, on one cache line,
// notifies the pool's own thread (pools/shared/bell.h) and goes on. That thread faults in the pages of the
// new objects and of their stack entries before the objects become available. No get waits for a piece that
// new objects and of their stack entries before the objects become available. No get waits for a piece that
// another thread makes: a get that finds no free object meanwhile is served by malloc, as a miss, and that
// object goes back to malloc when it is put. Until then it counts against `max` in place of an object of the
// pool, so how many gets are overflow does not depend on when the thread ran. No lock is held while objects are
// made.
#include "pools/strategies/expand_pool.h"

#include "base/err.h"

#include <errno.h>
#include <string.h>

static int expand_preheat(struct pool *pool, int64_t count)
{
    struct stock *stock = &pool->stock;
    pool_lock_acquire(&stock->lock);
    int code = expand_plan_preheat_locked(pool, count) ? 0 : -ERANGE;
    expand_set_trigger_locked(pool);
    pool_lock_release(&stock->lock);
    if (code == 0)
        code = stock_grow(stock, count);
    pool_lock_acquire(&stock->lock);
    expand_set_trigger_locked(pool);
    pool_lock_release(&stock->lock);
    return code;
}

// No object is free and `max` is not reached. `reached`: the pool's thread is to be notified. Needs the
// lock; releases it.
static void *get_while_short_unlock(struct pool *pool, bool reached)
{
    struct stock *stock = &pool->stock;
    if (!pool->background && expand_grow_piece_locked(pool) > 0) {
        // Other threads may have taken the new objects already, up to the bound.
        uint32_t number = FREE_STACK_NONE;
        if (!stock_pop_locked(stock, &number))
            return stock_past_bound_unlock(stock, &pool->base.config);
        if (number != FREE_STACK_NONE) {
            stock_count_miss_locked(stock);
            stock_settle_locked(stock);
            pool_lock_release(&stock->lock);
            return stock_hand_out(stock, stock_object(stock, number));
        }
    }
    if (!stock_reserve_miss_locked(stock))
        return stock_past_bound_unlock(stock, &pool->base.config);
    pool_lock_release(&stock->lock);
    if (reached)
        bell_ring(&pool->bell);
    return stock_make_miss(stock);
}

// The slow path of a get: the stack is empty, or the gate demands it. `number`: the object already popped,
// if any.
static __attribute__((noinline)) void *get_closely(struct pool *pool, uint32_t number, bool alone)
{
    struct stock *stock = &pool->stock;
    if (stock_pop_few(stock, &number, alone))
        return stock_hand_out(stock, stock_object(stock, number));
    pool_lock_acquire(&stock->lock);
    if (!stock_pop_locked(stock, &number))
        return stock_past_bound_unlock(stock, &pool->base.config);
    if (number == FREE_STACK_NONE && stock->max && stock->owned >= stock->max)
        return stock_past_bound_unlock(stock, &pool->base.config);
    stock->refusing = false;
    bool reached = expand_reach_trigger_locked(pool);
    if (number == FREE_STACK_NONE)
        return get_while_short_unlock(pool, reached);
    bool makes = !pool->background && pool->growing && pool->step.left > 0;
    if (makes) {
        stock_count_miss_locked(stock);
        (void)expand_grow_piece_locked(pool);
    }
    stock_settle_locked(stock);
    pool_lock_release(&stock->lock);
    if (reached)
        bell_ring(&pool->bell);
    return stock_hand_out(stock, stock_object(stock, number));
}

static void *expand_get(struct pool *pool)
{
    return stock_get(&pool->stock, pool, FREE_STACK_IS_ALONE(), get_closely);
}

static void expand_put(struct pool *pool, void *object)
{
    stock_put(&pool->stock, object, FREE_STACK_IS_ALONE());
}

static void *expand_get_alone(struct pool *pool)
{
    return stock_get(&pool->stock, pool, true, get_closely);
}

static void expand_put_alone(struct pool *pool, void *object)
{
    stock_put(&pool->stock, object, true);
}

static void expand_fork_prepare(struct pool *pool)
{
    stock_fork_prepare(&pool->stock);
}

static void expand_fork_parent(struct pool *pool)
{
    stock_fork_parent(&pool->stock);
}

static void expand_fork_child(struct pool *pool)
{
    stock_fork_child(&pool->stock);
    pool->background = pool->growing = false; // the thread belongs to the parent
    pool->step = (struct growth_step){0};
    pool->wanted_at = -1;
    expand_set_trigger_locked(pool);
}

static void expand_stats(struct pool *pool, struct pool_stats *stats)
{
    stock_stats(&pool->stock, stats);
    stats->bytes_owned += (int64_t)sizeof *pool;
    stats->overhead_bytes += (int64_t)sizeof *pool;
    stats->peak_bytes_owned += (int64_t)sizeof *pool;
    pool_lock_acquire(&pool->stock.lock);
    stats->expansions = pool->expansions;
    stats->longest_expansion_ns = pool->longest_expansion_ns;
    pool_lock_release(&pool->stock.lock);
}

static int expand_resize(struct pool *pool, int64_t max)
{
    struct stock *stock = &pool->stock;
    (void)stock_resize(stock, max);
    pool_lock_acquire(&stock->lock);
    if (stock->max && stock->owned + stock->pending > stock->max)
        expand_cut_growth_locked(pool);
    expand_set_trigger_locked(pool);
    pool_base_tell_max(&pool->base, stock->max);
    pool_lock_release_surely(&stock->lock);
    return 0;
}

static int64_t expand_drain(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    int64_t bytes = stock_drain(stock);
    pool_lock_acquire(&stock->lock);
    expand_cut_growth_locked(pool);
    expand_set_trigger_locked(pool);
    pool_lock_release_surely(&stock->lock);
    return bytes;
}

static void expand_close(struct pool *pool)
{
    if (pool->background)
        expand_stop_grower(pool);
    stock_close(&pool->stock);
    pool_memory_free(pool);
}

static int expand_open(struct pool **opened, const struct pool_config *config, struct err *err)
{
    struct pool *pool = pool_memory_alloc_aligned(alignof(struct pool), sizeof *pool);
    if (!pool)
        return -ENOMEM;
    *pool = (struct pool){
        .expand_at_percent = config->expand_at_percent,
        .growth = config->growth,
        .adapts = config->growth_rule == POOL_RULE_ADAPTIVE,
        .load = GROWTH_LOAD_NONE,
        .background = config->growth_mode == POOL_GROW_BACKGROUND,
        .wanted_at = -1,
    };
    int code = 0;
    code = stock_open(&pool->stock, config, err);
    if (code < 0)
        goto fail_stock;
    expand_set_trigger_locked(pool); // no other thread knows the pool yet
    if (config->initial)
        code = expand_preheat(pool, config->initial);
    if (code < 0)
        goto fail_preheat;
    if (pool->background && (code = expand_start_grower(pool)) < 0) {
        code = err_set(err, -EAGAIN, "pool %s: its thread cannot be started: pthread_create: %s",
                       config->name, strerror(-code));
        goto fail_grower;
    }
    if (config->threads == POOL_THREADS_ONE) {
        atomic_init(&pool->base.get, expand_get_alone);
        atomic_init(&pool->base.put, expand_put_alone);
    }
    *opened = pool;
    return 0;

fail_grower:
fail_preheat:
    stock_close(&pool->stock);
fail_stock:
    pool_memory_free(pool);
    return code;
}

static bool expand_owns(struct pool *pool, const void *object)
{
    return stock_owns(&pool->stock, object);
}

static bool expand_is_valid(struct pool *pool)
{
    pool_lock_acquire(&pool->stock.lock);
    bool valid = pool->stock.gate_at < pool->trigger || pool->trigger == INT64_MAX;
    valid = valid && (pool->growing || pool->closing || pool->step.left + pool->step.making == 0);
    pool_lock_release(&pool->stock.lock);
    return valid && stock_is_valid(&pool->stock);
}

static void expand_beside(struct pool *pool, struct pool_beside *beside)
{
    stock_beside(&pool->stock, beside);
}

const struct pool_strategy pool_strategy_expand = {
    .name = "expand",
    .summary =
        "grows by a factor when its use reaches a share of what it owns, inline or on a thread of its own",
    .caps = POOL_CAP_GROWS | POOL_CAP_BACKGROUND | POOL_CAP_PREHEATS | POOL_CAP_BOUNDED |
            POOL_CAP_CONSTRUCTS | POOL_CAP_RESIZES | POOL_CAP_FORKS | POOL_CAP_ADAPTS,
    .open = expand_open,
    .get = expand_get,
    .put = expand_put,
    .stats = expand_stats,
    .beside = expand_beside,
    .close = expand_close,
    .preheat = expand_preheat,
    .resize = expand_resize,
    .drain = expand_drain,
    .fork_prepare = expand_fork_prepare,
    .fork_parent = expand_fork_parent,
    .fork_child = expand_fork_child,
    .owns = expand_owns,
    .is_valid = expand_is_valid,
};
