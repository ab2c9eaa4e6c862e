// SPDX-License-Identifier: Apache-2.0
// Making objects: at open and preheat, at the trigger, and when somebody finds none. See pools/slab/pool.h.
#include "pools/slab/pool.h"

#include "base/clock.h"
#include "pools/expand.h"

#include <errno.h>

enum {
    ROWS_AHEAD = 32,      // rows faulted in beyond those in use
    SPARE_ROWS = 4,       // magazines made for so many threads beyond those there are
    MAGAZINES_SHARE = 32, // magazines have at most this part of the objects' memory ...
    MAGAZINES_MIN = 32,   // ... unless there are so few
};

// Rows are taken back for want of objects at most so often.
#define RECLAIM_EVERY_NS NS_PER_MS

// --- under the grow lock --------------------------------------------------------------------------------

void slab_set_trigger(struct pool *pool)
{
    int64_t owned = SLAB_LOAD(&pool->store.owned), max = pool->config.max;
    int64_t trigger = INT64_MAX;
    if (!max || owned < max)
        trigger = slab_more(expand_trigger(owned, pool->config.expand_at_percent), 1);
    SLAB_STORE(&pool->trigger, trigger);
}

// For what is owned and for the threads there are, and a few more of them.
int64_t slab_magazines_wanted(struct pool *pool)
{
    int64_t owned = SLAB_LOAD(&pool->store.owned), capacity = pool->depot.capacity;
    int64_t bytes = owned * (int64_t)pool->store.geometry.stride;
    int64_t bound = bytes / MAGAZINES_SHARE / (capacity * (int64_t)sizeof(void *)) + MAGAZINES_MIN;
    return slab_less(owned / capacity, bound) + 2 * (thread_slot_ever() + SPARE_ROWS);
}

// 0, or -ENOMEM: then there are fewer, and objects are given to the store instead.
int slab_make_magazines(struct pool *pool)
{
    int threads = thread_slot_ever();
    int code = slab_depot_make(&pool->depot, slab_magazines_wanted(pool));
    int rows = (int)slab_less(threads + ROWS_AHEAD, THREAD_SLOT_ROWS);
    if (threads + SPARE_ROWS < pool->rows_ready)
        return code;
    // An addition of nothing faults the row's page in and does not disturb its owner.
    for (; pool->rows_ready < rows; pool->rows_ready++)
        SLAB_ADD(&pool->rows[pool->rows_ready].gets, 0);
    return code;
}

// Full magazines at hand make an exchange a matter of a few instructions. Some empty ones are left, for
// threads to come.
void slab_fill_magazines(struct pool *pool)
{
    struct slab_depot *depot = &pool->depot;
    int64_t spare = 2 * (thread_slot_ever() + SPARE_ROWS);
    while (SLAB_LOAD(&depot->empty.count) > spare &&
           SLAB_LOAD(&pool->store.owned) - SLAB_LOAD(&pool->store.taken) >= depot->capacity) {
        uint32_t magazine = slab_depot_pop(depot, &depot->empty);
        if (!magazine)
            return;
        void **rounds = slab_magazine_rounds(depot, magazine);
        size_t count = slab_store_take(&pool->store, rounds, depot->capacity);
        bool full = count == depot->capacity;
        if (!full && count)
            slab_store_give(&pool->store, rounds, count);
        slab_depot_push(depot, full ? &depot->full : &depot->empty, magazine);
        if (!full)
            return;
    }
}

// In the background: who gets meanwhile finds magazines, and has no need of the store and its lock.
static void fill_as_it_comes(void *context)
{
    (void)slab_make_magazines(context);
    slab_fill_magazines(context);
}

// owned x growth, as the contract has it. Returns how many objects it made; 0 at max and without memory.
int64_t slab_expand(struct pool *pool, int64_t trigger)
{
    int64_t from = SLAB_LOAD(&pool->store.owned);
    int64_t to = expand_next(from, pool->config.growth, pool->config.max);
    if (to <= from)
        return 0;
    int64_t began_ns = clock_now_ns();
    const struct slab_hurry hurry = {.published = fill_as_it_comes, .context = pool};
    int64_t made = slab_store_grow(&pool->store, to - from, pool->has_thread ? &hurry : NULL);
    (void)slab_make_magazines(pool);
    slab_set_trigger(pool);
    int64_t ended_ns = clock_now_ns();
    if (made == 0) {
        SLAB_STORE(&pool->trigger, INT64_MAX); // next time when somebody finds nothing
        return 0;
    }
    SLAB_ADD(&pool->expansions, 1);
    SLAB_STORE(&pool->longest_expansion_ns,
               slab_more(SLAB_LOAD(&pool->longest_expansion_ns), ended_ns - began_ns));
    struct pool_event event = {.kind = POOL_EVENT_EXPAND,
                               .at_ns = ended_ns,
                               .duration_ns = ended_ns - began_ns,
                               .from = from,
                               .to = from + made,
                               .trigger = trigger};
    pool_emit(&pool->config, &event);
    return made;
}

// Whoever waits for what the holder of the lock was about looks again.
void slab_grow_unlock(struct pool *pool)
{
    pthread_mutex_unlock(&pool->store.grow_lock);
    slab_store_announce(&pool->store);
}

static bool something_free(struct pool *pool)
{
    return SLAB_LOAD(&pool->store.owned) > SLAB_LOAD(&pool->store.taken) || slab_depot_held(&pool->depot) > 0;
}

// All that is owned is in use: nothing is free, and nobody has something in hand on its way.
static bool all_in_use(struct pool *pool)
{
    return !something_free(pool) &&
           slab_account(pool).in_use - SLAB_LOAD(&pool->overflow_out) >= SLAB_LOAD(&pool->store.owned);
}

// Nothing lies in store or depot, and no more may be owned: what lies in rows comes out.
static enum slab_room reclaim_at_max(struct pool *pool)
{
    if (!SLAB_LOAD(&pool->exact)) {
        pthread_mutex_lock(&pool->store.lock);
        SLAB_STORE(&pool->exact, true);
        pthread_mutex_unlock(&pool->store.lock);
        slab_rows_reclaim(pool);
    }
    return all_in_use(pool) ? SLAB_ROOM_AT_MAX : SLAB_ROOM_FOUND;
}

// Objects in use are below the trigger: what is missing lies idle in rows. To fetch it costs some
// microseconds, and whoever works in those rows has to come for more; so not too often.
static bool reclaim_instead(struct pool *pool)
{
    int64_t now_ns = clock_now_ns();
    if (slab_account(pool).in_use >= SLAB_LOAD(&pool->trigger) ||
        now_ns - pool->reclaimed_ns < RECLAIM_EVERY_NS)
        return false;
    pool->reclaimed_ns = now_ns;
    slab_rows_reclaim(pool);
    return something_free(pool);
}

// Grows, or finds out why not.
enum slab_room slab_make_room_locked(struct pool *pool)
{
    if (something_free(pool))
        return SLAB_ROOM_FOUND;
    int64_t owned = SLAB_LOAD(&pool->store.owned);
    if (pool->config.max && owned >= pool->config.max)
        return reclaim_at_max(pool);
    if (reclaim_instead(pool))
        return SLAB_ROOM_FOUND;
    if (slab_expand(pool, owned) > 0)
        return SLAB_ROOM_MADE;
    slab_rows_reclaim(pool);
    return something_free(pool) ? SLAB_ROOM_FOUND : SLAB_ROOM_NO_MEMORY;
}

int slab_preheat(struct pool *pool, int64_t count)
{
    int code = 0;
    pthread_mutex_lock(&pool->store.grow_lock);
    if (pool->config.max && count > pool->config.max - SLAB_LOAD(&pool->store.owned)) {
        code = -ERANGE;
    } else {
        int64_t made = slab_store_grow(&pool->store, count, NULL), bytes = 0;
        code = slab_make_magazines(pool);
        if (made < count || code < 0) {
            (void)slab_store_retire(&pool->store, made, &bytes);
            code = -ENOMEM;
        } else {
            SLAB_ADD(&pool->floor, count);
            slab_fill_magazines(pool);
        }
        slab_set_trigger(pool);
    }
    slab_grow_unlock(pool);
    return code;
}

// --- for gets and puts ----------------------------------------------------------------------------------

bool slab_want_growth(struct pool *pool, int64_t in_use)
{
    if (pool->has_thread) {
        if (!bell_is_rung(&pool->bell))
            SLAB_STORE(&pool->wanted_at, in_use);
        bell_ring(&pool->bell);
        return false;
    }
    // When another thread grows or gives back, the trigger is looked at again at the next exchange.
    if (pthread_mutex_trylock(&pool->store.grow_lock) != 0)
        return false;
    bool grew = in_use >= SLAB_LOAD(&pool->trigger) && slab_expand(pool, in_use) > 0;
    slab_grow_unlock(pool);
    return grew;
}

void slab_want_magazines(struct pool *pool)
{
    slab_thread_wake(pool, &pool->wanted_magazines);
    if (pool->has_thread || pthread_mutex_trylock(&pool->store.grow_lock) != 0)
        return;
    (void)slab_make_magazines(pool);
    slab_grow_unlock(pool);
}

// At max and in exact mode there is nothing to wait for: no lock is needed to say so.
static bool is_at_max(struct pool *pool)
{
    return pool->config.max && SLAB_LOAD(&pool->exact) && SLAB_LOAD(&pool->store.owned) >= pool->config.max &&
           all_in_use(pool);
}

// Waits until something is published, or whoever is about it ended without. True when something lies free.
static bool wait_for_objects(struct pool *pool, uint64_t generation)
{
    struct slab_store *store = &pool->store;
    pthread_mutex_lock(&store->lock);
    while (store->generation == generation && !something_free(pool))
        pthread_cond_wait(&store->published, &store->lock);
    bool free = something_free(pool);
    pthread_mutex_unlock(&store->lock);
    return free;
}

static uint64_t generation_of(struct pool *pool)
{
    pthread_mutex_lock(&pool->store.lock);
    uint64_t generation = pool->store.generation;
    pthread_mutex_unlock(&pool->store.lock);
    return generation;
}

enum slab_room slab_make_room(struct pool *pool)
{
    if (is_at_max(pool))
        return SLAB_ROOM_AT_MAX;
    bool may_grow = !pool->config.max || SLAB_LOAD(&pool->store.owned) < pool->config.max;
    uint64_t generation = generation_of(pool);
    if (pool->has_thread && may_grow) {
        slab_thread_wake(pool, &pool->wanted_objects);
        if (wait_for_objects(pool, generation))
            return SLAB_ROOM_MADE;
        generation = generation_of(pool);
    }
    // The generation was read first: whoever has the lock now announces after that.
    if (pthread_mutex_trylock(&pool->store.grow_lock) != 0)
        return wait_for_objects(pool, generation) ? SLAB_ROOM_MADE : SLAB_ROOM_FOUND;
    enum slab_room room = slab_make_room_locked(pool);
    slab_grow_unlock(pool);
    return room;
}
