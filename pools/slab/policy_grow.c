// SPDX-License-Identifier: Apache-2.0
// Making objects: at open and preheat, by pieces when somebody finds none, and a little ahead of that where
// the pool has a thread. See pools/slab/pool.h.
//
// An expansion, as the contract has it, raises the target: owned x growth. The objects up to it come by
// pieces, as they are needed, so that no get waits for more than a piece, and nothing is owned that was never
// needed.
#include "pools/slab/pool.h"

#include "base/clock.h"
#include "pools/shared/growth.h"

#include <errno.h>

enum {
    SPARE_THREADS = 4,     // magazines made for so many threads beyond those there are
    MAGAZINES_SHARE = 32,  // magazines have at most this part of the objects' memory ...
    MAGAZINES_MIN = 32,    // ... unless there are so few
    AHEAD_SHARE = 32,      // the thread sees to it that this part lies free, and a piece
    SLABS_BEFORE_HUGE = 8, // with so many, another as a whole does not make the pool much larger
    IDLE_SHARE = 8,        // rows are taken back instead of growing when they hold this part
};

// Rows are taken back for want of objects at most so often.
#define RECLAIM_EVERY_NS NS_PER_MS

// --- under the grow lock --------------------------------------------------------------------------------

void slab_set_trigger(struct pool *pool)
{
    int64_t target = SLAB_LOAD(&pool->target), trigger = INT64_MAX;
    if (target < SLAB_LOAD(&pool->limit))
        trigger = slab_more(growth_trigger(target, pool->config.expand_at_percent), 1);
    SLAB_STORE(&pool->trigger, trigger);
}

// For what is owned and for the threads there are, and a few more of them.
int64_t slab_magazines_wanted(struct pool *pool)
{
    int64_t owned = SLAB_LOAD(&pool->store.owned), capacity = pool->depot.capacity;
    int64_t bytes = owned * (int64_t)pool->store.geometry.stride;
    int64_t bound = bytes / MAGAZINES_SHARE / (capacity * (int64_t)sizeof(void *)) + MAGAZINES_MIN;
    return slab_less(owned / capacity, bound) + 2 * (SLAB_LOAD(&pool->live_count) + SPARE_THREADS);
}

// 0, or -ENOMEM: then there are fewer, and objects are given to the store instead.
int slab_make_magazines(struct pool *pool)
{
    return slab_depot_make(&pool->depot, slab_magazines_wanted(pool));
}

// Full magazines at hand make an exchange a matter of a few instructions. Some empty ones are left, for
// threads to come.
void slab_fill_magazines(struct pool *pool)
{
    struct slab_depot *depot = &pool->depot;
    int64_t spare = 2 * (SLAB_LOAD(&pool->live_count) + SPARE_THREADS);
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

bool slab_expand(struct pool *pool, int64_t trigger)
{
    int64_t from = SLAB_LOAD(&pool->target), limit = SLAB_LOAD(&pool->limit);
    if (from >= limit)
        return false;
    int64_t to = growth_next(from, pool->config.growth, limit < INT64_MAX ? limit : 0);
    SLAB_STORE(&pool->target, to);
    slab_set_trigger(pool);
    SLAB_ADD(&pool->expansions, 1);
    struct pool_event event = {
        .kind = POOL_EVENT_EXPAND, .at_ns = clock_now_ns(), .from = from, .to = to, .trigger = trigger};
    pool_emit(&pool->config, &event);
    return true;
}

// Makes so many objects, as far as the target goes. Returns how many; 0 at the target and without memory.
static int64_t make(struct pool *pool, int64_t count, enum slab_haste haste)
{
    int64_t room = SLAB_LOAD(&pool->target) - SLAB_LOAD(&pool->store.owned);
    if (room <= 0)
        return 0;
    int64_t began_ns = clock_now_ns();
    int64_t made = slab_store_grow(&pool->store, slab_less(count, room), haste);
    (void)slab_make_magazines(pool);
    int64_t took_ns = clock_now_ns() - began_ns;
    SLAB_STORE(&pool->longest_expansion_ns, slab_more(SLAB_LOAD(&pool->longest_expansion_ns), took_ns));
    return made;
}

static int64_t objects_at_hand(struct pool *pool)
{
    return SLAB_LOAD(&pool->store.owned) - SLAB_LOAD(&pool->store.taken) + slab_depot_held(&pool->depot);
}

static int64_t objects_ahead(struct pool *pool)
{
    return SLAB_LOAD(&pool->store.owned) / AHEAD_SHARE + slab_store_piece(&pool->store);
}

void slab_top_up(struct pool *pool)
{
    int64_t capacity = pool->store.geometry.capacity, piece = slab_store_piece(&pool->store);
    while (objects_at_hand(pool) < objects_ahead(pool)) {
        // What is left of a slab first, and no more: else each new one is begun by small pages.
        int64_t room = slab_store_room(&pool->store);
        bool large = SLAB_LOAD(&pool->store.owned) >= SLABS_BEFORE_HUGE * capacity;
        int64_t count = large && room == 0 ? capacity : large ? slab_less(room, piece) : piece;
        if (make(pool, count, SLAB_AHEAD) == 0)
            return;
        slab_fill_magazines(pool);
    }
}

// In one look: what goes from depot to store does so under the store's lock.
static bool something_free(struct pool *pool)
{
    pthread_mutex_lock(&pool->store.lock);
    bool free =
        SLAB_LOAD(&pool->store.owned) > SLAB_LOAD(&pool->store.taken) || slab_depot_has_full(&pool->depot);
    pthread_mutex_unlock(&pool->store.lock);
    return free;
}

// No more may be made, or can be: looks everywhere. False: at one instant of this call nothing was free, save
// what lies in rows out of reach. With such rows that is not noted: the next get has to come to its own row
// again, for if that is one of them nobody else can close it.
static bool search(struct pool *pool)
{
    uint64_t before = atomic_load(&pool->moves), after;
    if (something_free(pool) || slab_rows_reclaim(pool, &after) > 0 || after != before)
        return true;
    if (!pool->unreached && SLAB_LOAD(&pool->store.owned) >= SLAB_LOAD(&pool->limit))
        atomic_store(&pool->none_since, before);
    return false;
}

// What is missing may lie idle in rows. To fetch it costs some microseconds, and whoever works in those rows
// has to come for more; so not too often, and not for little.
static bool reclaim_instead(struct pool *pool)
{
    int64_t now_ns = clock_now_ns();
    if (now_ns - pool->reclaimed_ns < RECLAIM_EVERY_NS)
        return false;
    int64_t owned = SLAB_LOAD(&pool->store.owned);
    int64_t idle = owned - (slab_account(pool).in_use - SLAB_LOAD(&pool->overflow_out));
    if (idle * IDLE_SHARE < owned || idle < 2 * slab_store_piece(&pool->store))
        return false;
    pool->reclaimed_ns = now_ns;
    return slab_rows_reclaim(pool, NULL) > 0;
}

// Makes a piece, or finds out why not.
static enum slab_room make_room_locked(struct pool *pool)
{
    int64_t owned = SLAB_LOAD(&pool->store.owned);
    if (something_free(pool))
        return SLAB_ROOM_FOUND;
    if (owned >= SLAB_LOAD(&pool->target) && !slab_expand(pool, owned))
        return search(pool) ? SLAB_ROOM_FOUND : SLAB_ROOM_AT_MAX;
    if (reclaim_instead(pool))
        return SLAB_ROOM_FOUND;
    if (make(pool, slab_store_piece(&pool->store), SLAB_NOW) > 0)
        return SLAB_ROOM_MADE;
    return search(pool) ? SLAB_ROOM_FOUND : SLAB_ROOM_NO_MEMORY;
}

static int preheat_raw(struct pool *pool, int64_t count)
{
    int code = 0;
    pthread_mutex_lock(&pool->store.grow_lock);
    int64_t owned = SLAB_LOAD(&pool->store.owned);
    if (count > SLAB_LOAD(&pool->limit) - owned) {
        code = -ERANGE;
    } else {
        int64_t made = slab_store_grow(&pool->store, count, SLAB_AT_LEISURE), bytes = 0;
        code = slab_make_magazines(pool);
        if (made < count || code < 0) {
            (void)slab_store_retire(&pool->store, made, &bytes);
            code = -ENOMEM;
        } else {
            SLAB_ADD(&pool->floor, count);
            SLAB_STORE(&pool->target, slab_more(SLAB_LOAD(&pool->target), owned + count));
        }
        slab_set_trigger(pool);
    }
    slab_store_grow_unlock(&pool->store);
    return code;
}

// What preheat made cannot all be constructed.
static int undo_preheat(struct pool *pool, int64_t count)
{
    int64_t bytes = 0;
    pthread_mutex_lock(&pool->store.grow_lock);
    (void)slab_store_retire(&pool->store, count, &bytes);
    SLAB_STORE(&pool->floor, slab_more(SLAB_LOAD(&pool->floor) - count, 0)); // a resize may have been there
    slab_store_grow_unlock(&pool->store);
    (void)slab_destruct_leavers(pool);
    return -ENOMEM;
}

int slab_preheat(struct pool *pool, int64_t count)
{
    int code = preheat_raw(pool, count);
    if (code < 0)
        return code;
    if (slab_construct_some(pool, count) < 0)
        return undo_preheat(pool, count);
    pthread_mutex_lock(&pool->store.grow_lock);
    slab_fill_magazines(pool);
    slab_store_grow_unlock(&pool->store);
    return 0;
}

// --- for gets and puts ----------------------------------------------------------------------------------

void slab_want_growth(struct pool *pool, int64_t in_use)
{
    if (pool->has_thread) {
        if (!bell_is_rung(&pool->bell))
            SLAB_STORE(&pool->wanted_at, in_use);
        bell_ring(&pool->bell);
        return;
    }
    // When another thread grows or gives back, the trigger is looked at again at the next exchange.
    if (pthread_mutex_trylock(&pool->store.grow_lock) != 0)
        return;
    if (in_use >= SLAB_LOAD(&pool->trigger))
        (void)slab_expand(pool, in_use);
    slab_store_grow_unlock(&pool->store);
}

void slab_consider_growth(struct pool *pool)
{
    if (pool->has_thread && SLAB_LOAD(&pool->target) > SLAB_LOAD(&pool->store.owned) &&
        objects_at_hand(pool) < objects_ahead(pool) / 2)
        bell_ring(&pool->bell);
}

void slab_want_magazines(struct pool *pool)
{
    slab_wake(pool, &pool->wanted_magazines);
    if (pool->has_thread || pthread_mutex_trylock(&pool->store.grow_lock) != 0)
        return;
    (void)slab_make_magazines(pool);
    slab_store_grow_unlock(&pool->store);
}

void slab_wake(struct pool *pool, _Atomic bool *flag)
{
    if (pool->has_thread && !SLAB_LOAD(flag) && !atomic_exchange_explicit(flag, true, memory_order_relaxed))
        bell_knock(&pool->bell);
}

// Waits until something is published, or whoever is about it ended without. True when something lies free.
static bool wait_for_objects(struct pool *pool, uint64_t generation)
{
    struct slab_store *store = &pool->store;
    pthread_mutex_lock(&store->lock);
    while (store->generation == generation && objects_at_hand(pool) <= 0)
        pthread_cond_wait(&store->published, &store->lock);
    bool free = objects_at_hand(pool) > 0;
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
    // The generation is read first: whoever has the lock now announces after that.
    uint64_t generation = generation_of(pool);
    if (pthread_mutex_trylock(&pool->store.grow_lock) != 0)
        return wait_for_objects(pool, generation) ? SLAB_ROOM_MADE : SLAB_ROOM_FOUND;
    enum slab_room room = make_room_locked(pool);
    slab_store_grow_unlock(&pool->store);
    if (pool->has_thread && room == SLAB_ROOM_MADE)
        bell_ring(&pool->bell);
    return room;
}
