// SPDX-License-Identifier: Apache-2.0
// Makes objects: at open and preheat; in pieces when a get finds none; and a little ahead of need where the
// pool has a thread. See pools/slab/pool.h.
//
// An expansion, as in the contract, raises the target to owned x growth. The objects up to the target are
// made in pieces, as they are needed. So no get waits for more than a piece, and no object is owned before
// it is needed.
#include "pools/slab/pool.h"

#include "base/clock.h"
#include "pools/shared/growth.h"
#include "pools/slab/store_lists.h"

#include <errno.h>

enum {
    SPARE_THREADS = 4,     // magazines are made for so many threads more than there are
    MAGAZINES_SHARE = 32,  // magazines have at most this part of the objects' memory ...
    MAGAZINES_MIN = 32,    // ... unless there are so few
    AHEAD_SHARE = 32,      // the thread keeps this part free, and a piece
    AHEAD_MOST_SHARE = 8,  // by the load at most this part, and a piece
    SLABS_BEFORE_HUGE = 8, // with so many slabs, one more as a whole does not make the pool much larger
    IDLE_SHARE = 8,        // when rows hold this part, they are taken back instead of growing
};

// Rows are taken back to get objects at most this often.
#define RECLAIM_EVERY_NS NS_PER_MS

// --- under the grow lock --------------------------------------------------------------------------------

void slab_set_trigger(struct pool *pool)
{
    int64_t target = SLAB_LOAD(&pool->target), trigger = INT64_MAX;
    if (target < SLAB_LOAD(&pool->limit))
        trigger = slab_more(growth_trigger(target, pool->config.expand_at_percent), 1);
    SLAB_STORE(&pool->trigger, trigger);
}

// Enough for the objects owned and the threads in the pool, and for some more threads.
int64_t slab_magazines_wanted(struct pool *pool)
{
    int64_t owned = SLAB_LOAD(&pool->store.owned), capacity = pool->depot.capacity;
    int64_t bytes = owned * (int64_t)pool->store.geometry.stride;
    int64_t bound = bytes / MAGAZINES_SHARE / (capacity * (int64_t)sizeof(void *)) + MAGAZINES_MIN;
    return slab_less(owned / capacity, bound) + 2 * (SLAB_LOAD(&pool->live_count) + SPARE_THREADS);
}

// 0, or -ENOMEM: then there are fewer magazines, and objects are given to the store instead. Comes after each growth,
// so what is owned is at a peak now, if ever.
int slab_make_magazines(struct pool *pool)
{
    int code = slab_depot_make(&pool->depot, slab_magazines_wanted(pool));
    slab_note_bytes(pool);
    return code;
}

// With full magazines ready, an exchange takes a few instructions. Some empty ones remain for new threads.
void slab_fill_magazines(struct pool *pool)
{
    struct slab_depot *depot = &pool->depot;
    int64_t spare = 2 * (SLAB_LOAD(&pool->live_count) + SPARE_THREADS);
    while (SLAB_LOAD(&depot->empty.count) > spare && !slab_is_over(pool) &&
           slab_free(pool) >= depot->capacity) {
        uint32_t magazine = slab_depot_pop(depot, &depot->empty);
        if (!magazine)
            return;
        void **rounds = slab_magazine_rounds(depot, magazine);
        size_t count = slab_store_take(&pool->store, rounds, depot->capacity);
        bool full = count == depot->capacity;
        if (!full && count)
            slab_store_give(&pool->store, rounds, count);
        if (!full) {
            slab_depot_push(depot, &depot->empty, magazine);
            return;
        }
        slab_depot_push_full(depot, magazine);
    }
}

static bool adapts(const struct pool *pool)
{
    return pool->config.growth_rule == POOL_RULE_ADAPTIVE;
}

// By the load, arrivals are counted from one expansion to the next.
static int64_t next_target(struct pool *pool, int64_t from, int64_t max, int64_t trigger)
{
    if (!adapts(pool))
        return growth_next(from, pool->config.growth, max);
    int64_t now_ns = clock_now_ns();
    growth_load_arrive(&pool->load, now_ns, trigger);
    growth_load_mark(&pool->load, now_ns, trigger);
    return growth_load_next(&pool->load, from, pool->config.growth, max, pool->object_bytes);
}

bool slab_expand(struct pool *pool, int64_t trigger)
{
    int64_t from = SLAB_LOAD(&pool->target), limit = SLAB_LOAD(&pool->limit);
    if (from >= limit)
        return false;
    int64_t to = next_target(pool, from, limit < INT64_MAX ? limit : 0, trigger);
    SLAB_STORE(&pool->target, to);
    slab_set_trigger(pool);
    SLAB_ADD(&pool->expansions, 1);
    struct pool_event event = {
        .kind = POOL_EVENT_EXPAND, .at_ns = clock_now_ns(), .from = from, .to = to, .trigger = trigger};
    pool_emit(&pool->config, &event);
    return true;
}

// Makes `count` objects, as far as the target allows. Returns how many; 0 at the target or without memory.
static int64_t make(struct pool *pool, int64_t count, enum slab_haste haste)
{
    int64_t room = SLAB_LOAD(&pool->target) - SLAB_LOAD(&pool->store.owned);
    if (room <= 0)
        return 0;
    int64_t began_ns = clock_now_ns();
    int64_t made = slab_store_grow(&pool->store, slab_less(count, room), haste);
    (void)slab_make_magazines(pool);
    int64_t took_ns = clock_now_ns() - began_ns;
    growth_load_made(&pool->load, made, took_ns);
    growth_load_made(&pool->flow, made, took_ns);
    SLAB_STORE(&pool->longest_expansion_ns, slab_more(SLAB_LOAD(&pool->longest_expansion_ns), took_ns));
    return made;
}

static int64_t objects_at_hand(struct pool *pool)
{
    return SLAB_LOAD(&pool->store.owned) - SLAB_LOAD(&pool->store.taken) + slab_depot_held(&pool->depot);
}

static int64_t objects_ahead(struct pool *pool)
{
    int64_t owned = SLAB_LOAD(&pool->store.owned), ahead = SLAB_LOAD(&pool->ahead);
    int64_t wanted = ahead ? slab_less(ahead, owned / AHEAD_MOST_SHARE) : owned / AHEAD_SHARE;
    return wanted + slab_store_piece(&pool->store);
}

// How fast objects left store and depot since the last time, and how many to have ahead for that.
static void see_flow(struct pool *pool)
{
    int64_t now_ns = clock_now_ns();
    int64_t out = SLAB_LOAD(&pool->store.taken) - slab_depot_held(&pool->depot);
    if (!adapts(pool) || (pool->flow.marked && now_ns - pool->flow.marked_ns < NS_PER_MS))
        return;
    growth_load_arrive(&pool->flow, now_ns, out);
    growth_load_mark(&pool->flow, now_ns, out);
    SLAB_STORE(&pool->ahead, growth_load_ahead(&pool->flow, slab_store_piece(&pool->store)));
}

void slab_top_up(struct pool *pool)
{
    see_flow(pool);
    int64_t capacity = pool->store.geometry.capacity, piece = slab_store_piece(&pool->store);
    while (objects_at_hand(pool) < objects_ahead(pool)) {
        // First the rest of a slab, and no more: otherwise each new slab would begin with small pages.
        int64_t room = slab_store_room(&pool->store);
        bool large = SLAB_LOAD(&pool->store.owned) >= SLABS_BEFORE_HUGE * capacity;
        int64_t count = large && room == 0 ? capacity : large ? slab_less(room, piece) : piece;
        if (make(pool, count, SLAB_AHEAD) == 0)
            return;
        slab_fill_magazines(pool);
    }
}

// Under the store's lock, under which objects move from depot to store. Exact: a waiter that went by the
// depot's counts could take a magazine for there that another thread has already.
static bool is_free_locked(struct pool *pool)
{
    return (slab_free(pool) > 0 && slab_may_take_locked(pool)) || slab_depot_has_full(&pool->depot);
}

static bool something_free(struct pool *pool)
{
    pthread_mutex_lock(&pool->store.lock);
    bool free = is_free_locked(pool);
    pthread_mutex_unlock(&pool->store.lock);
    return free;
}

// No more objects may or can be made: searches everywhere. False: at one instant of this call nothing was
// free, except objects in rows out of reach. With such rows the result is not noted in `none_since`. Then
// the next get must go to its own row again: if that is one of them, no other thread can close it.
static bool search(struct pool *pool)
{
    uint64_t before = atomic_load(&pool->moves), after;
    if (something_free(pool) || slab_rows_reclaim(pool, &after) > 0 || after != before)
        return true;
    if (!pool->unreached && SLAB_LOAD(&pool->store.owned) >= SLAB_LOAD(&pool->limit))
        atomic_store(&pool->none_since, before);
    return false;
}

// The missing objects may be idle in rows. Taking them costs some microseconds, and their owners then need
// others. So not too often, and not for few objects.
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

// Makes a piece, or reports why not. What is free beyond the limit goes back first, since no get may have it, unless
// a thread is at that.
static enum slab_room make_room_locked(struct pool *pool)
{
    int64_t bytes = 0;
    if (slab_is_over(pool) && !SLAB_LOAD(&pool->giving))
        (void)slab_store_retire(&pool->store, SLAB_LOAD(&pool->store.owned) - SLAB_LOAD(&pool->limit),
                                &bytes);
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
    } else if (!pool_memory_is_conceivable(count * (int64_t)pool->store.geometry.stride)) {
        code = -ENOMEM;
    } else {
        int64_t made = slab_store_grow(&pool->store, count, SLAB_AT_LEISURE), bytes = 0;
        if (made == count)
            code = slab_make_magazines(pool);
        if (made < count || code < 0) {
            slab_note_bytes(pool);
            (void)slab_store_retire(&pool->store, made, &bytes);
            code = -ENOMEM;
        } else {
            SLAB_ADD(&pool->floor, count);
            SLAB_STORE(&pool->target, slab_more(SLAB_LOAD(&pool->target), owned + count));
        }
        slab_set_trigger(pool);
    }
    (void)slab_grow_unlock(pool);
    return code;
}

// Not all objects made by preheat can be constructed: gives them back.
static int undo_preheat(struct pool *pool, int64_t count)
{
    int64_t bytes = 0;
    pthread_mutex_lock(&pool->store.grow_lock);
    (void)slab_store_retire(&pool->store, count, &bytes);
    SLAB_STORE(&pool->floor, slab_more(SLAB_LOAD(&pool->floor) - count, 0)); // a resize may have lowered it
    // More may be owned than the limit, when that was lowered meanwhile.
    int64_t target = slab_more(SLAB_LOAD(&pool->target) - count, SLAB_LOAD(&pool->store.owned));
    SLAB_STORE(&pool->target, slab_less(target, SLAB_LOAD(&pool->limit)));
    slab_set_trigger(pool);
    (void)slab_grow_unlock(pool);
    return -ENOMEM;
}

// The books of what went back again go back too. `magazines`: as many as there were.
static int fail_preheat(struct pool *pool, int64_t magazines, int code)
{
    pthread_mutex_lock(&pool->store.grow_lock);
    while (slab_depot_shrink(&pool->depot, magazines) > 0)
        ;
    slab_register_fit(&pool->store);
    (void)slab_grow_unlock(pool);
    return code;
}

int slab_preheat(struct pool *pool, int64_t count)
{
    int64_t magazines = slab_depot_count(&pool->depot);
    int code = preheat_raw(pool, count);
    if (code == 0 && slab_construct_some(pool, count) < 0)
        code = undo_preheat(pool, count);
    if (code < 0)
        return code == -ENOMEM ? fail_preheat(pool, magazines, code) : code;
    pthread_mutex_lock(&pool->store.grow_lock);
    slab_fill_magazines(pool);
    (void)slab_grow_unlock(pool);
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
    // When another thread grows or gives back, the trigger is checked again at the next exchange.
    if (pthread_mutex_trylock(&pool->store.grow_lock) != 0)
        return;
    if (in_use >= SLAB_LOAD(&pool->trigger))
        (void)slab_expand(pool, in_use);
    (void)slab_grow_unlock(pool);
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
    (void)slab_grow_unlock(pool);
}

void slab_wake(struct pool *pool, _Atomic bool *flag)
{
    if (pool->has_thread && !SLAB_LOAD(flag) && !atomic_exchange_explicit(flag, true, memory_order_relaxed))
        bell_knock(&pool->bell);
}

// Waits until objects are published, or the thread that makes them ended without. True when an object is
// free that a get may have.
static bool wait_for_objects(struct pool *pool, uint64_t generation)
{
    struct slab_store *store = &pool->store;
    bool free;
    pthread_mutex_lock(&store->lock);
    while (!(free = is_free_locked(pool)) && store->generation == generation)
        pthread_cond_wait(&store->published, &store->lock);
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
    // Reads the generation first: the thread that holds the lock now will announce after that.
    uint64_t generation = generation_of(pool);
    if (pthread_mutex_trylock(&pool->store.grow_lock) != 0)
        return wait_for_objects(pool, generation) ? SLAB_ROOM_MADE : SLAB_ROOM_FOUND;
    enum slab_room room = make_room_locked(pool);
    (void)slab_grow_unlock(pool);
    if (pool->has_thread && room == SLAB_ROOM_MADE)
        bell_ring(&pool->bell);
    return room;
}
