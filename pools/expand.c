// SPDX-License-Identifier: Apache-2.0
// expand: makes `initial` objects at open; when the objects in use reach `expand_at_percent` of those owned,
// it grows to min(owned x growth, max). Past `max`: malloc or refusal, as `overflow` says. Owns no less until
// pool_resize asks for it.
//
// Inline, the get that reaches the trigger makes the new objects before it returns, and counts as a miss. In
// the background it only leaves word that it did, on one cache line, and calls a thread of the pool's own
// (pools/bell.h) and goes on; the new objects' pages and their rack's are faulted in by that thread before
// they become available. Nobody waits for a growth under way: a get that finds no object free meanwhile is
// served by malloc, as a miss, and that object goes back to malloc when it is put. No lock is held while
// objects are made.
#include "pools/expand.h"

#include "base/clock.h"
#include "pools/bell.h"
#include "pools/stock.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

struct pool {
    struct pool_base base;

    // Constant.
    bool refuses; // past max
    int expand_at_percent;
    double growth;
    bool background;

    // Background only, one cache line: all that a get touches to have the pool grow.
    alignas(64) int64_t wanted_at; // guarded by stock.lock: objects in use that reached the trigger; 0: none
    struct bell bell;              // rung after that
    pthread_t grower;

    // Guarded by stock.lock.
    alignas(64) bool growing; // one expansion at a time
    int64_t trigger;          // objects in use that set one off; INT64_MAX while one is under way or wanted
    bool closing;
    int64_t next;                                // objects owned after the next expansion
    int64_t grow_from, grow_count, grow_trigger; // the expansion under way
    int64_t expansions, longest_expansion_ns;

    struct stock stock;
};

int64_t expand_trigger(int64_t owned, int64_t expand_at_percent)
{
    return owned * expand_at_percent / 100;
}

int64_t expand_next(int64_t owned, double growth, int64_t max)
{
    // 100 x 1.15 is 114.999... in binary: what is whole on paper must not lose one to the rounding.
    const double rounding = 1e-6;
    int64_t next = (int64_t)floor((double)owned * growth + rounding);
    if (next <= owned)
        next = owned + 1;
    return max && next > max ? max : next;
}

// A get looks closer when it would reach the trigger, or pass `max` where the stock alone would not stop it.
static void set_gate_locked(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    int64_t gate = pool->trigger == INT64_MAX ? INT64_MAX : pool->trigger - 1;
    bool is_bound = stock->max && (pool->refuses || stock->owned > stock->max);
    stock->gate = is_bound && stock->max < gate ? stock->max : gate;
}

// Sets when the next expansion is due, after `owned`, `max`, `growing` or `wanted_at` changed.
static void set_trigger_locked(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    bool has_room = stock->max == 0 || stock->owned + stock->pending < stock->max;
    bool can_grow = !pool->growing && !pool->wanted_at && !stock->draining && has_room;
    pool->trigger = can_grow ? expand_trigger(stock->owned, pool->expand_at_percent) : INT64_MAX;
    pool->next = expand_next(stock->owned, pool->growth, stock->max);
    set_gate_locked(pool);
}

// An expansion failed for want of memory: not again with the very next get, but when a good part of what is
// left is used or as many more went to malloc.
static void back_off_locked(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    int64_t available = stock->owned - (stock->in_use - stock->strays);
    int64_t pause = available / 2 > stock->owned / 16 ? available / 2 : stock->owned / 16;
    set_trigger_locked(pool);
    if (pool->trigger < stock->in_use + 1 + pause)
        pool->trigger = stock->in_use + 1 + pause;
    set_gate_locked(pool);
}

// Background: leaves it to the pool's thread. The bell is to be rung after that.
static void want_growth_locked(struct pool *pool)
{
    pool->wanted_at = pool->stock.in_use;
    pool->trigger = INT64_MAX;
    set_gate_locked(pool);
}

// `trigger`: objects in use that set it off. False when what is being made already leaves no room for more.
static bool begin_growth_locked(struct pool *pool, int64_t trigger)
{
    struct stock *stock = &pool->stock;
    int64_t bound = stock->max ? stock->max - stock->pending : INT64_MAX;
    int64_t count = (pool->next < bound ? pool->next : bound) - stock->owned;
    pool->growing = count > 0 && stock_plan_locked(stock, count);
    pool->wanted_at = 0;
    set_trigger_locked(pool);
    if (!pool->growing)
        return false;
    pool->grow_from = stock->owned;
    pool->grow_count = count;
    pool->grow_trigger = trigger;
    return true;
}

// The expansion that begin_growth_locked set out; called without the lock, by one thread at a time.
static void grow(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    int64_t start = clock_now_ns();
    int code = stock_grow(stock, pool->grow_count);
    int64_t end = clock_now_ns();
    struct pool_event event = {.kind = POOL_EVENT_EXPAND, .at_ns = end, .duration_ns = end - start};
    event.from = pool->grow_from;
    event.to = pool->grow_from + pool->grow_count;
    event.trigger = pool->grow_trigger;

    spin_lock(&stock->lock);
    if (code == 0) {
        pool->expansions++;
        if (event.duration_ns > pool->longest_expansion_ns)
            pool->longest_expansion_ns = event.duration_ns;
    }
    spin_unlock(&stock->lock);
    // Told before the next expansion can begin, so that a listener hears of them in order.
    if (code == 0)
        pool_emit(&pool->base.config, &event);
    spin_lock(&stock->lock);
    pool->growing = false;
    if (code == 0)
        set_trigger_locked(pool);
    else
        back_off_locked(pool);
    spin_unlock(&stock->lock);
}

// The pool's own thread: grows when called, and again while the trigger is reached anyway.
static void *grower_main(void *argument)
{
    struct pool *pool = argument;
    struct stock *stock = &pool->stock;
    for (;;) {
        bell_wait(&pool->bell, 0);
        // The lock's line stays with those who get, unless there is a reason.
        if (!bell_answer(&pool->bell))
            continue;
        spin_lock(&stock->lock);
        while (!pool->closing && pool->wanted_at && begin_growth_locked(pool, pool->wanted_at)) {
            spin_unlock(&stock->lock);
            grow(pool);
            bell_grew(&pool->bell);
            spin_lock(&stock->lock);
            if (stock->in_use >= pool->trigger)
                want_growth_locked(pool);
        }
        bool closing = pool->closing;
        spin_unlock(&stock->lock);
        if (closing)
            return NULL;
    }
}

// Signals are for the program's own threads.
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
    spin_lock(&pool->stock.lock);
    pool->closing = true;
    spin_unlock(&pool->stock.lock);
    bell_ring(&pool->bell);
    bell_knock(&pool->bell);
    pthread_join(pool->grower, NULL);
    bell_destroy(&pool->bell);
}

static int expand_preheat(struct pool *pool, int64_t count)
{
    struct stock *stock = &pool->stock;
    int code = stock_preheat(stock, count);
    spin_lock(&stock->lock);
    set_trigger_locked(pool);
    spin_unlock(&stock->lock);
    return code;
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
        .background = config->growth_mode == POOL_GROW_BACKGROUND,
    };
    int code = 0;
    stock_init(&pool->stock, config);
    set_trigger_locked(pool); // nobody else knows the pool yet
    if (config->initial)
        code = expand_preheat(pool, config->initial);
    if (code < 0)
        goto fail_preheat;
    if (pool->background && (code = start_grower(pool)) < 0) {
        err_set(err, code, "pool %s: its thread cannot be started: %s", config->name, strerror(-code));
        goto fail_grower;
    }
    *opened = pool;
    return 0;

fail_grower:
    stock_close(&pool->stock);
fail_preheat:
    pool_memory_free(pool);
    return code;
}

// Refusal counts whatever is in use, objects that malloc served while the pool was short among them.
static bool must_refuse_locked(const struct pool *pool)
{
    const struct stock *stock = &pool->stock;
    return pool->refuses && stock->max && stock->in_use >= stock->max;
}

// None is free and `max` is not reached. Called with the lock held; lets it go.
static void *get_while_short(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    bool due = stock->in_use >= pool->trigger;
    if (due && pool->background) {
        want_growth_locked(pool);
    } else if (due && begin_growth_locked(pool, stock->in_use)) {
        spin_unlock(&stock->lock);
        grow(pool);
        spin_lock(&stock->lock);
        // Others may have been quicker to take what was made, up to the bound.
        void *object = must_refuse_locked(pool) ? NULL : stock_pop_locked(stock);
        if (object) {
            stock->misses++;
            spin_unlock(&stock->lock);
            return stock_hand_out(stock, object);
        }
        if (must_refuse_locked(pool))
            return stock_past_bound_unlock(stock, &pool->base.config);
    }
    stock_reserve_locked(stock);
    spin_unlock(&stock->lock);
    if (due && pool->background)
        bell_ring(&pool->bell);
    return stock_stray(stock, STOCK_MISS);
}

// An object was taken and the trigger reached. Called with the lock held; lets it go.
static void *get_and_grow(struct pool *pool, void *object)
{
    struct stock *stock = &pool->stock;
    if (pool->background) {
        stock->hits++;
        want_growth_locked(pool);
        spin_unlock(&stock->lock);
        bell_ring(&pool->bell);
        return stock_hand_out(stock, object);
    }
    bool begins = begin_growth_locked(pool, stock->in_use);
    if (begins)
        stock->misses++;
    else
        stock->hits++;
    spin_unlock(&stock->lock);
    if (begins)
        grow(pool);
    return stock_hand_out(stock, object);
}

// Called with the lock held; lets it go.
static void *get_unlock(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    if (stock_is_past_max_locked(stock) || must_refuse_locked(pool))
        return stock_past_bound_unlock(stock, &pool->base.config);
    stock->refusing = false;
    void *object = stock_pop_locked(stock);
    if (!object)
        return stock->max && stock->owned >= stock->max ? stock_past_bound_unlock(stock, &pool->base.config)
                                                        : get_while_short(pool);
    if (stock->in_use >= pool->trigger)
        return get_and_grow(pool, object);
    stock->hits++;
    spin_unlock(&stock->lock);
    return stock_hand_out(stock, object);
}

static void *expand_get(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    spin_lock(&stock->lock);
    if (__builtin_expect(stock->in_use >= stock->gate, 0))
        return get_unlock(pool);
    void *object = stock_pop_locked(stock);
    if (__builtin_expect(!object, 0))
        return get_unlock(pool);
    stock->hits++;
    stock->refusing = false;
    spin_unlock(&stock->lock);
    return stock_hand_out(stock, object);
}

static void expand_put(struct pool *pool, void *object)
{
    stock_put(&pool->stock, object);
}

static void expand_stats(struct pool *pool, struct pool_stats *stats)
{
    stock_stats(&pool->stock, stats);
    stats->bytes_owned += (int64_t)sizeof *pool;
    stats->overhead_bytes += (int64_t)sizeof *pool;
    spin_lock(&pool->stock.lock);
    stats->expansions = pool->expansions;
    stats->longest_expansion_ns = pool->longest_expansion_ns;
    spin_unlock(&pool->stock.lock);
}

static int expand_resize(struct pool *pool, int64_t max)
{
    struct stock *stock = &pool->stock;
    (void)stock_resize(stock, max);
    spin_lock(&stock->lock);
    set_trigger_locked(pool);
    spin_unlock(&stock->lock);
    return 0;
}

static int64_t expand_drain(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    int64_t bytes = stock_drain(stock);
    spin_lock(&stock->lock);
    set_trigger_locked(pool);
    spin_unlock(&stock->lock);
    return bytes;
}

static void expand_close(struct pool *pool)
{
    if (pool->background)
        stop_grower(pool);
    stock_close(&pool->stock);
    pool_memory_free(pool);
}

static bool expand_owns(struct pool *pool, const void *object)
{
    return stock_owns(&pool->stock, object);
}

static bool expand_is_valid(struct pool *pool)
{
    spin_lock(&pool->stock.lock);
    bool valid = pool->stock.gate < pool->trigger || pool->trigger == INT64_MAX;
    spin_unlock(&pool->stock.lock);
    return valid && stock_is_valid(&pool->stock);
}

const struct pool_strategy pool_strategy_expand = {
    .name = "expand",
    .summary =
        "grows by a factor when its use reaches a share of what it owns, inline or on a thread of its own",
    .caps = POOL_CAP_GROWS | POOL_CAP_BACKGROUND | POOL_CAP_PREHEATS | POOL_CAP_BOUNDED |
            POOL_CAP_CONSTRUCTS | POOL_CAP_RESIZES,
    .open = expand_open,
    .get = expand_get,
    .put = expand_put,
    .stats = expand_stats,
    .close = expand_close,
    .preheat = expand_preheat,
    .resize = expand_resize,
    .drain = expand_drain,
    .owns = expand_owns,
    .is_valid = expand_is_valid,
};
