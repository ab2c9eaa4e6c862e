// SPDX-License-Identifier: Apache-2.0
// When `expand` grows, and who makes the objects. See pools/strategies/expand.c.
#include "pools/strategies/expand_pool.h"

#include "base/clock.h"

#include <signal.h>

// A get takes the slow path when it would reach the trigger, and when there is a piece to make. The stock sees
// to `max`.
static void set_gate_locked(struct pool *pool)
{
    struct stock *stock = &pool->stock;
    int64_t gate = pool->trigger == INT64_MAX ? INT64_MAX : pool->trigger - 1;
    if (pool->load.mark_at < pool->trigger)
        gate = pool->load.mark_at - 1;
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

void expand_set_trigger_locked(struct pool *pool)
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
    expand_set_trigger_locked(pool);
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
    expand_set_trigger_locked(pool);
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
        expand_set_trigger_locked(pool);
    else
        back_off_locked(pool);
}

int64_t expand_grow_piece_locked(struct pool *pool)
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

// If no piece is left, the step ends by itself, and may be about to: the thread that ends it emits the event
// without the lock.
void expand_cut_growth_locked(struct pool *pool)
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
            while (!pool->closing && expand_grow_piece_locked(pool) > 0)
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
int expand_start_grower(struct pool *pool)
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

void expand_stop_grower(struct pool *pool)
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
bool expand_plan_preheat_locked(struct pool *pool, int64_t count)
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

bool expand_reach_trigger_locked(struct pool *pool)
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
