// SPDX-License-Identifier: Apache-2.0
// Gives memory back, with hysteresis, and reports how much memory there is. See pools/slab/pool.h.
#include "pools/slab/pool.h"

#include "base/clock.h"

#include <errno.h>

enum {
    GIVE_BACK_BYTES_MIN = 64 << 10, // less than this is not worth it,
    GIVE_BACK_SHARE = 64,           // nor is less than this part of the objects owned
};

// How long a call lets threads that need an object go first. Longer only where they get no processor.
#define PATIENCE_NS NS_PER_S

// One call that gives back.
struct giving {
    int64_t from, began_ns, in_use; // as it began; objects
    int64_t retired, bytes;
    bool hasty; // some did not go first in time: no more waiting
};

static void giving_begin(struct pool *pool, struct giving *giving)
{
    *giving = (struct giving){.from = SLAB_LOAD(&pool->store.owned), .began_ns = clock_now_ns()};
    giving->in_use = slab_account(pool).in_use;
    atomic_fetch_add(&pool->giving, 1);
}

static void let_others_go_first(struct pool *pool, struct giving *giving)
{
    slab_store_grow_unlock(&pool->store);
    (void)slab_destruct_leavers(pool, &giving->bytes);
    if (!giving->hasty)
        giving->hasty = !slab_store_serve_first(&pool->store, PATIENCE_NS);
    pthread_mutex_lock(&pool->store.grow_lock);
}

// Under the grow lock, which it releases now and then: what rows and depot hold goes to the store. False: no row moved
// anything while the rows were taken back.
static bool gather(struct pool *pool, struct giving *giving)
{
    uint64_t before = atomic_load(&pool->moves);
    (void)slab_rows_reclaim(pool, NULL);
    uint64_t after = atomic_load(&pool->moves);
    int64_t most =
        slab_depot_held(&pool->depot) / pool->depot.capacity + 1; // others may bring more all the time
    while (slab_depot_drain_some(pool) && most-- > 0)
        let_others_go_first(pool, giving);
    return after != before;
}

// Under the grow lock, which it releases after each piece. Who comes meanwhile finds target and trigger as they are
// to be. False: nothing is free.
static bool give_piece(struct pool *pool, struct giving *giving, int64_t count)
{
    int64_t retired = slab_store_retire_piece(&pool->store, count, &giving->bytes);
    if (retired == 0)
        return false;
    giving->retired += retired;
    SLAB_STORE(&pool->target, slab_less(SLAB_LOAD(&pool->store.owned), SLAB_LOAD(&pool->limit)));
    slab_set_trigger(pool);
    let_others_go_first(pool, giving);
    return true;
}

static int64_t giving_end(struct pool *pool, struct giving *giving)
{
    for (int64_t bytes; (bytes = slab_depot_shrink(&pool->depot, slab_magazines_wanted(pool))) > 0;) {
        giving->bytes += bytes;
        let_others_go_first(pool, giving);
    }
    atomic_fetch_sub(&pool->giving, 1);
    if (giving->retired == 0)
        return giving->bytes;
    int64_t now_ns = clock_now_ns();
    SLAB_ADD(&pool->shrinks, 1);
    struct pool_event event = {.kind = POOL_EVENT_SHRINK,
                               .at_ns = now_ns,
                               .duration_ns = now_ns - giving->began_ns,
                               .from = giving->from,
                               .to = slab_more(giving->from - giving->retired, 0),
                               .trigger = giving->in_use};
    pool_emit(&pool->config, &event);
    return giving->bytes;
}

// Gives back what is free now, wherever it is, and the magazines it needed, as far as more than `keep` are owned:
// other threads may give back as well between the pieces.
static int64_t shrink(struct pool *pool, int64_t keep)
{
    struct giving giving;
    giving_begin(pool, &giving);
    (void)gather(pool, &giving);
    int64_t left = slab_free(pool), count;
    do
        count = slab_less(left - giving.retired, SLAB_LOAD(&pool->store.owned) - keep);
    while (count > 0 && give_piece(pool, &giving, count));
    return giving_end(pool, &giving);
}

// Objects to own so that `in_use` stays below the trigger, with an eighth to spare. Never less than were
// preheated.
static int64_t objects_for(const struct pool *pool, int64_t in_use)
{
    int64_t needed = in_use ? in_use * 100 / pool->config.expand_at_percent + 1 : 0;
    return slab_more(needed + needed / 8, SLAB_LOAD(&pool->floor));
}

// Objects that can be given back; 0 when there are too few to be worth it.
static int64_t surplus_of(const struct pool *pool, int64_t in_use)
{
    int64_t owned = SLAB_LOAD(&pool->store.owned), surplus = owned - objects_for(pool, in_use);
    int64_t least =
        slab_more(GIVE_BACK_BYTES_MIN / (int64_t)pool->store.geometry.stride, owned / GIVE_BACK_SHARE);
    return surplus > least ? surplus : 0;
}

// Objects in use count as needed for SLAB_HOLD_NS, or until the next call when that is later. `settled`: no
// more can be given back, however long one waits.
int64_t slab_give_back(struct pool *pool, bool *settled)
{
    int64_t now_ns = clock_now_ns(), in_use = slab_account(pool).in_use;
    int64_t peak =
        slab_more(atomic_exchange_explicit(&pool->recent_peak, in_use, memory_order_relaxed), in_use);
    if (peak >= pool->held_peak || now_ns >= pool->held_until_ns) {
        pool->held_peak = peak;
        pool->held_until_ns = now_ns + SLAB_HOLD_NS;
    }
    int64_t bytes = surplus_of(pool, pool->held_peak) ? shrink(pool, objects_for(pool, pool->held_peak)) : 0;
    *settled = surplus_of(pool, in_use) == 0;
    return bytes;
}

// Counts objects in rows as in use: that can be seen without adding up.
void slab_consider_shrink(struct pool *pool)
{
    if (pool->has_thread && !SLAB_LOAD(&pool->wanted_shrink) &&
        surplus_of(pool, SLAB_LOAD(&pool->store.taken) - slab_depot_held(&pool->depot)))
        slab_wake(pool, &pool->wanted_shrink);
}

// Under the grow lock, after the limit was lowered: retires all free objects beyond it.
static int64_t give_surplus(struct pool *pool)
{
    enum {
        TRIES = 8
    }; // a row that its thread opened before it saw the new limit is closed at one of the next tries
    struct giving giving;
    bool moved;
    int tries = 0;
    giving_begin(pool, &giving);
    do {
        moved = gather(pool, &giving);
        while (slab_is_over(pool) &&
               give_piece(pool, &giving, SLAB_LOAD(&pool->store.owned) - SLAB_LOAD(&pool->limit)))
            ;
    } while (slab_is_over(pool) && moved && ++tries < TRIES);
    return giving_end(pool, &giving);
}

static void grow_lock_last(struct pool *pool)
{
    (void)slab_store_serve_first(&pool->store, PATIENCE_NS);
    pthread_mutex_lock(&pool->store.grow_lock);
}

int slab_resize(struct pool *pool, int64_t max)
{
    grow_lock_last(pool);
    if (pool->drained) { // by another thread, meanwhile
        (void)slab_grow_unlock(pool);
        return -ECANCELED;
    }
    SLAB_STORE(&pool->limit, max ? max : INT64_MAX);
    pool_base_tell_max(&pool->base, max);
    int64_t target = slab_more(SLAB_LOAD(&pool->target), SLAB_LOAD(&pool->store.owned));
    SLAB_STORE(&pool->target, slab_less(target, SLAB_LOAD(&pool->limit)));
    SLAB_STORE(&pool->floor, slab_less(SLAB_LOAD(&pool->floor), SLAB_LOAD(&pool->limit)));
    slab_set_trigger(pool);
    slab_note_move(pool); // a get that was refused may grow the pool now
    if (slab_is_over(pool))
        (void)give_surplus(pool);
    (void)slab_grow_unlock(pool);
    return 0;
}

int64_t slab_drain(struct pool *pool)
{
    grow_lock_last(pool);
    pool->drained = true;
    SLAB_STORE(&pool->limit, 0);
    SLAB_STORE(&pool->target, 0);
    SLAB_STORE(&pool->floor, 0);
    slab_set_trigger(pool);
    int64_t bytes = slab_is_over(pool) ? give_surplus(pool) : 0;
    return bytes + slab_grow_unlock(pool);
}

int64_t slab_sweep(struct pool *pool)
{
    bool settled;
    SLAB_ADD(&pool->sweeps, 1);
    // While the pool grows a sweep is useless.
    bool may_collapse = !pool->has_thread && SLAB_LOAD(&pool->store.to_collapse);
    if ((!surplus_of(pool, 0) && !may_collapse) || pthread_mutex_trylock(&pool->store.grow_lock) != 0)
        return 0;
    int64_t bytes = slab_give_back(pool, &settled);
    if (may_collapse && bytes == 0)
        (void)slab_store_collapse(&pool->store);
    return bytes + slab_grow_unlock(pool);
}

int64_t slab_trim(struct pool *pool)
{
    grow_lock_last(pool);
    int64_t bytes = shrink(pool, 0);
    return bytes + slab_grow_unlock(pool);
}

// Takes no lock, so that it need not wait for a growth. While memory comes or goes, the sums may differ a
// little.
void slab_memory(struct pool *pool, struct pool_stats *stats)
{
    int64_t page = (int64_t)pool->store.geometry.page_bytes;
    stats->owned = SLAB_LOAD(&pool->store.owned);
    stats->bytes_owned = slab_more(slab_bytes(pool), stats->owned * (int64_t)pool->object_bytes);
    stats->overhead_bytes = stats->bytes_owned - stats->owned * (int64_t)pool->object_bytes;
    stats->peak_bytes_owned = SLAB_LOAD(&pool->peak_bytes);
    stats->bytes_allocated =
        pool->store.filled_pages * page + SLAB_LOAD(&pool->overflow) * (int64_t)pool->object_bytes;
}
