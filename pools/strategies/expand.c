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
// another thread makes: a get that finds no free object meanwhile is served by malloc, as a miss, and that
// object goes back to malloc when it is put. No lock is held while objects are made.
#include "pools/shared/growth.h"

#include "base/err.h"
#include "base/clock.h"
#include "pools/shared/bell.h"
#include "pools/shared/growth_load.h"
#include "pools/strategies/stock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

struct pool {
    struct pool_base base;

    // Constant.
    bool refuses; // past max
    int expand_at_percent;
    bool adapts; // POOL_RULE_ADAPTIVE
    double growth;
    bool background; // false in a child of fork

    // Background only, one cache line: everything that a get accesses to make the pool grow.
    alignas(64) int64_t wanted_at; // guarded by stock.lock: objects in use that reached the trigger; -1: none
    struct bell bell;              // rung after wanted_at is set
    pthread_t grower;

    // Guarded by stock.lock.
    alignas(64) bool growing; // one expansion at a time
    int64_t trigger;          // objects in use that start one; INT64_MAX while one is under way or wanted
    bool closing;
    int64_t next;            // objects owned after the next expansion
    struct growth_step step; // while growing
    struct growth_load load; // POOL_RULE_ADAPTIVE
    int64_t expansions, longest_expansion_ns;

    struct stock stock;
};

// A get takes the slow path when it would reach the trigger, when there is a piece to make, and when it
// would pass `max` and the stock alone would not stop it.
static void set_gate_locked(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    int64_t gate = pool->trigger == INT64_MAX ? INT64_MAX : pool->trigger - 1;
    if (pool->load.mark_at < pool->trigger)
        gate = pool->load.mark_at - 1;
    bool is_bound = stock->max && (pool->refuses || stock->owned > stock->max);
    if (is_bound && stock->max < gate)
        gate = stock->max;
    stock->gate_at = pool->growing && !pool->background && pool->step.left > 0 ? 0 : gate;
    stock_settle_locked(stock);
}

static int64_t next_owned_locked(const struct pool *pool)
{
    const struct stock *stock = &pool->stock;
    return pool->adapts
               ? growth_load_next(&pool->load, stock->owned, pool->growth, stock->max, stock->object_bytes)
               : growth_next(stock->owned, pool->growth, stock->max);
}

// Sets when the next expansion is due. Call it after `owned`, `max`, `growing` or `wanted_at` changed.
static void set_trigger_locked(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    bool has_room = stock->max == 0 || stock->owned + stock->pending < stock->max;
    bool can_grow = !pool->growing && pool->wanted_at < 0 && !stock->draining && has_room;
    pool->trigger = can_grow ? growth_trigger(stock->owned, pool->expand_at_percent) : INT64_MAX;
    if (pool->adapts)
        growth_load_aim(&pool->load, pool->trigger, stock_in_use_locked(stock));
    pool->next = next_owned_locked(pool);
    set_gate_locked(pool);
}

// Have so many in use reached the trigger? By the load, this may set it higher.
static bool is_reached_locked(struct pool *pool, int64_t in_use)
{
    if (!pool->adapts)
        return in_use >= pool->trigger;
    bool reached = growth_load_is_reached(&pool->load, in_use, pool->stock.owned, pool->expand_at_percent,
                                          pool->stock.object_bytes, &pool->trigger);
    pool->next = next_owned_locked(pool);
    set_gate_locked(pool);
    return reached;
}

// An expansion failed for lack of memory. The next get must not try again. It is tried again when a good
// part of the remaining objects is used, or as many more went to malloc.
static void back_off_locked(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    int64_t in_use = stock_in_use_locked(stock), available = stock->owned - (in_use - stock->strays);
    int64_t pause = available / 2 > stock->owned / 16 ? available / 2 : stock->owned / 16;
    set_trigger_locked(pool);
    if (pool->trigger < in_use + 1 + pause)
        pool->trigger = in_use + 1 + pause;
    growth_load_unmark(&pool->load);
    set_gate_locked(pool);
}

// Background: leaves the growth to the pool's thread. The caller notifies the thread afterwards.
static void want_growth_locked(struct pool *pool)
{
    pool->wanted_at = stock_in_use_locked(&pool->stock);
    pool->trigger = INT64_MAX;
    growth_load_unmark(&pool->load);
    set_gate_locked(pool);
}

// `trigger`: objects in use that started it. False when the objects being made already leave no room for
// more.
static bool begin_growth_locked(struct pool *pool, int64_t trigger)
{
    struct stock *stock = &pool->stock;
    int64_t bound = stock->max ? stock->max - stock->pending : INT64_MAX;
    int64_t count = (pool->next < bound ? pool->next : bound) - stock->owned;
    pool->growing = count > 0 && stock_plan_locked(stock, count);
    pool->wanted_at = -1;
    if (pool->growing)
        growth_begin(&pool->step, stock->owned, count, trigger, stock->stride);
    set_trigger_locked(pool);
    return pool->growing;
}

// The last piece was made, or one failed and the others were given up. Releases the lock to emit the event
// before the next expansion can begin, so that a listener gets the events in order.
static void end_growth_locked(struct pool *pool)
{
    if (pool->step.made > 0) {
        struct pool_event event = growth_event(&pool->step);
        pool->expansions++;
        pool_lock_release(&pool->stock.lock);
        pool_emit(&pool->base.config, &event);
        pool_lock_acquire(&pool->stock.lock);
    }
    pool->growing = false;
    if (pool->step.made == pool->step.planned)
        set_trigger_locked(pool);
    else
        back_off_locked(pool);
}

// Makes a piece of the step under way, if one is left. Releases the lock meanwhile. Returns how many objects
// became available.
static int64_t grow_piece_locked(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    int64_t count = pool->growing ? growth_take(&pool->step) : 0;
    if (count == 0)
        return 0;
    set_gate_locked(pool);
    pool_lock_release(&stock->lock);
    int64_t start = clock_now_ns();
    int code = stock_grow(stock, count);
    int64_t took = clock_now_ns() - start;
    pool_lock_acquire(&stock->lock);
    if (code == 0)
        growth_load_made(&pool->load, count, took);
    if (code < 0)
        stock->pending -= pool->step.left;
    else if (took > pool->longest_expansion_ns)
        pool->longest_expansion_ns = took;
    if (growth_made(&pool->step, count, code < 0 ? 0 : count, took))
        end_growth_locked(pool);
    return code < 0 ? 0 : count;
}

// The pieces of the step that no thread took are not made. If none is left, the step ends by itself, and may
// be about to: the thread that ends it emits the event without the lock.
static void cut_growth_locked(struct pool *pool)
{
    if (!pool->growing || pool->step.left == 0)
        return;
    pool->stock.pending -= pool->step.left;
    pool->step.planned -= pool->step.left;
    pool->step.left = 0;
    if (pool->step.making == 0)
        end_growth_locked(pool);
}

// The pool's own thread: grows when notified, and again while the trigger is reached.
static void *grower_main(void *argument)
{
    struct pool *pool = argument;
    struct stock *stock = &pool->stock;
    for (;;) {
        bell_wait(&pool->bell, 0);
        // The cache line of the lock stays with the getting threads, unless there is a reason.
        if (!bell_answer(&pool->bell))
            continue;
        pool_lock_acquire(&stock->lock);
        while (!pool->closing && pool->wanted_at >= 0 && begin_growth_locked(pool, pool->wanted_at)) {
            while (!pool->closing && grow_piece_locked(pool) > 0)
                ;
            bell_grew(&pool->bell);
            if (is_reached_locked(pool, stock_in_use_locked(stock)))
                want_growth_locked(pool);
        }
        bool closing = pool->closing;
        pool_lock_release(&stock->lock);
        if (closing)
            return NULL;
    }
}

// The program's own threads handle signals.
static int start_grower(struct pool *pool)
{
    sigset_t all, before;
    int code = bell_init(&pool->bell);
    if (code < 0)
        return code;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    code = -pthread_create(&pool->grower, NULL, grower_main, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code < 0)
        bell_destroy(&pool->bell);
    else
        pthread_setname_np(pool->grower, "pool-grow");
    return code;
}

static void stop_grower(struct pool *pool)
{
    pool_lock_acquire(&pool->stock.lock);
    pool->closing = true;
    pool_lock_release(&pool->stock.lock);
    bell_ring(&pool->bell);
    bell_knock(&pool->bell);
    pthread_join(pool->grower, NULL);
    bell_destroy(&pool->bell);
}

// What a step under way has not begun to make may be made by a preheat instead: else the bound would not allow
// objects that are not there yet. As many as are too many, in the same hold of the lock.
static bool plan_preheat_locked(struct pool *pool, int64_t count)
{
    struct stock *stock = &pool->stock;
    int64_t excess = stock->max ? stock->owned + stock->pending + count - stock->max : 0;
    bool joins = pool->growing && excess > 0 && excess <= pool->step.left;
    if (joins) {
        stock->pending -= excess;
        pool->step.planned -= excess;
        pool->step.left -= excess;
    }
    bool fits = stock_plan_locked(stock, count);
    if (joins && pool->step.left == 0 && pool->step.making == 0)
        end_growth_locked(pool);
    return fits;
}

static int expand_preheat(struct pool *pool, int64_t count)
{
    struct stock *stock = &pool->stock;
    pool_lock_acquire(&stock->lock);
    int code = plan_preheat_locked(pool, count) ? 0 : -ERANGE;
    set_trigger_locked(pool);
    pool_lock_release(&stock->lock);
    if (code == 0)
        code = stock_grow(stock, count);
    pool_lock_acquire(&stock->lock);
    set_trigger_locked(pool);
    pool_lock_release(&stock->lock);
    return code;
}

// No object is free and `max` is not reached. `reached`: the pool's thread is to be notified. Needs the
// lock; releases it.
static void *get_while_short_unlock(struct pool *pool, bool reached)
{
    struct stock *stock = &pool->stock;
    if (!pool->background && grow_piece_locked(pool) > 0) {
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
    if (!stock_reserve_locked(stock))
        return stock_past_bound_unlock(stock, &pool->base.config);
    pool_lock_release(&stock->lock);
    if (reached)
        bell_ring(&pool->bell);
    return stock_stray(stock, STOCK_MISS);
}

// When the trigger is reached: begins an expansion, or leaves it to the pool's thread. Returns true for the
// latter.
static bool reach_trigger_locked(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    int64_t in_use = stock_in_use_locked(stock);
    if (!is_reached_locked(pool, in_use))
        return false;
    if (pool->background)
        want_growth_locked(pool);
    else
        (void)begin_growth_locked(pool, in_use);
    return pool->background;
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
    bool reached = reach_trigger_locked(pool);
    if (number == FREE_STACK_NONE)
        return get_while_short_unlock(pool, reached);
    bool makes = !pool->background && pool->growing && pool->step.left > 0;
    if (makes) {
        stock_count_miss_locked(stock);
        (void)grow_piece_locked(pool);
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
    set_trigger_locked(pool);
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
        cut_growth_locked(pool);
    set_trigger_locked(pool);
    pool_base_tell_max(&pool->base, stock->max);
    pool_lock_release(&stock->lock);
    return 0;
}

static int64_t expand_drain(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    int64_t bytes = stock_drain(stock);
    pool_lock_acquire(&stock->lock);
    cut_growth_locked(pool);
    set_trigger_locked(pool);
    pool_lock_release(&stock->lock);
    return bytes;
}

static void expand_close(struct pool *pool)
{
    if (pool->background)
        stop_grower(pool);
    stock_close(&pool->stock);
    pool_memory_free(pool);
}

static int expand_open(struct pool **opened, const struct pool_config *config, struct err *err)
{
    struct pool *pool = pool_memory_alloc_aligned(alignof(struct pool), sizeof *pool);
    if (!pool)
        return -ENOMEM;
    *pool = (struct pool){
        .refuses = config->overflow == POOL_OVERFLOW_REFUSE,
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
    set_trigger_locked(pool); // no other thread knows the pool yet
    if (config->initial)
        code = expand_preheat(pool, config->initial);
    if (code < 0)
        goto fail_preheat;
    if (pool->background && (code = start_grower(pool)) < 0) {
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
