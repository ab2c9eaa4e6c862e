// SPDX-License-Identifier: Apache-2.0
// Gets and puts that the fast path does not serve: from the row if it has an object, else past the rows, one
// object at a time; overflow. See pools/slab/pool.h.
#include "pools/slab/pool.h"

#include "base/clock.h"
#include "pools/shared/object.h"

// Under the store's lock throughout, so that a search does not miss objects on their way from depot to
// store. `raw`: the object is still to be constructed. NULL also where as many as the limit are taken: what is
// free then goes back.
static void *take(struct pool *pool, bool *raw)
{
    void *object = NULL;
    struct slab_depot *depot = &pool->depot;
    pthread_mutex_lock(&pool->store.lock);
    bool may = slab_may_take_locked(pool);
    size_t got = may ? slab_store_take_locked(&pool->store, &object, 1) : 0;
    uint32_t magazine = got ? 0 : slab_depot_pop_full(depot);
    if (magazine) {
        slab_store_give_locked(&pool->store, slab_magazine_rounds(depot, magazine), depot->capacity);
        slab_depot_push(depot, &depot->empty, magazine);
        may = slab_may_take_locked(pool);
        got = may ? slab_store_take_locked(&pool->store, &object, 1) : 0;
    }
    *raw = got == 0;
    if (may && got == 0)
        object = slab_store_take_raw_locked(&pool->store);
    pthread_mutex_unlock(&pool->store.lock);
    return object;
}

// Counts a get outside the rows, and checks whether it reaches the peak or the trigger.
static void note_get(struct pool *pool)
{
    int64_t turn = atomic_fetch_add_explicit(&pool->single_gets, 1, memory_order_relaxed);
    if (!slab_worth_adding_up(pool, turn))
        return;
    int64_t in_use = slab_account(pool).in_use;
    slab_note_peak(pool, in_use);
    if (in_use >= SLAB_LOAD(&pool->trigger))
        slab_want_growth(pool, in_use);
}

static void emit_refusal(struct pool *pool)
{
    if (SLAB_LOAD(&pool->refusing) || atomic_exchange_explicit(&pool->refusing, true, memory_order_relaxed))
        return;
    int64_t owned = SLAB_LOAD(&pool->store.owned);
    struct pool_event event = {
        .kind = POOL_EVENT_REFUSE, .at_ns = clock_now_ns(), .from = owned, .to = owned, .trigger = owned};
    pool_emit(&pool->config, &event);
}

static void *get_past_max(struct pool *pool)
{
    if (pool->config.overflow == POOL_OVERFLOW_REFUSE) {
        SLAB_ADD(&pool->refused, 1);
        emit_refusal(pool);
        return NULL;
    }
    char *block = pool_memory_alloc_aligned(POOL_INLINE_LINE_BYTES, SLAB_OVERFLOW_BYTES + pool->object_bytes);
    if (!block) {
        SLAB_ADD(&pool->failed, 1);
        return NULL;
    }
    if (object_construct(&pool->config, block + SLAB_OVERFLOW_BYTES) < 0) {
        pool_memory_free(block);
        SLAB_ADD(&pool->failed, 1);
        return NULL;
    }
    SLAB_ADD(&pool->overflow_out, 1);
    note_get(pool); // at max it does not grow
    SLAB_ADD(&pool->overflow, 1);
    return block + SLAB_OVERFLOW_BYTES;
}

// Finds, makes or awaits an object; or NULL, and why. `room`: how it came.
static void *find_single(struct pool *pool, bool *raw, enum slab_room *room)
{
    void *object = take(pool, raw);
    *room = SLAB_ROOM_FOUND;
    if (object)
        return object;
    bool missed = false;
    slab_store_be_needy(&pool->store);
    while (!object) {
        *room = slab_make_room(pool);
        missed |= *room == SLAB_ROOM_MADE;
        if (*room == SLAB_ROOM_AT_MAX || *room == SLAB_ROOM_NO_MEMORY)
            break;
        object = take(pool, raw); // or another thread has it: searches again
    }
    slab_store_be_served(&pool->store);
    if (object)
        *room = missed ? SLAB_ROOM_MADE : SLAB_ROOM_FOUND;
    return object;
}

static void *get_single(struct pool *pool)
{
    bool raw;
    enum slab_room room;
    void *object = find_single(pool, &raw, &room);
    if (!object && room == SLAB_ROOM_AT_MAX)
        return get_past_max(pool);
    if (!object || (raw && slab_construct(pool, object) < 0)) {
        SLAB_ADD(&pool->failed, 1);
        return NULL;
    }
    note_get(pool);
    if (room == SLAB_ROOM_MADE)
        SLAB_ADD(&pool->misses, 1);
    return object;
}

void *slab_get_slow(struct pool *pool)
{
    if (slab_known_empty(pool))
        return get_past_max(pool);
    int slot = thread_slot();
    struct slab_wish wish = {0};
    void *object = slot ? slab_row_get(pool, &pool->rows[slot], &wish) : NULL;
    if (wish.magazine)
        slab_want_magazines(pool);
    if (slab_is_over(pool))
        (void)slab_settle(pool); // what the row gave to the store
    if (!object)
        return get_single(pool);
    if (wish.reached)
        slab_want_growth(pool, wish.reached);
    slab_consider_growth(pool);
    return object;
}

static void put_overflow(struct pool *pool, void *object)
{
    char *block = (char *)object - SLAB_OVERFLOW_BYTES;
    unpoison(block, SLAB_OVERFLOW_BYTES);
    object_destruct(&pool->config, object, pool->object_bytes);
    pool_memory_free(block);
    SLAB_ADD(&pool->single_puts, 1);
    SLAB_ADD(&pool->overflow_out, -1);
}

static void put_single(struct pool *pool, void *object)
{
    // Counted first: once given, the object may be got and counted by another thread.
    SLAB_ADD(&pool->single_puts, 1);
    slab_store_give(&pool->store, &object, 1);
    slab_note_move(pool);
}

void slab_put_slow(struct pool *pool, void *object)
{
    if (SLAB_LOAD(&pool->refusing))
        SLAB_STORE(&pool->refusing, false);
    if (slab_is_overflow(object)) {
        put_overflow(pool, object);
        return;
    }
    int slot = thread_slot();
    struct slab_wish wish = {0};
    bool done = slot && slab_row_put(pool, &pool->rows[slot], object, &wish);
    if (wish.magazine)
        slab_want_magazines(pool);
    if (!done)
        put_single(pool, object);
    if (slab_is_over(pool))
        (void)slab_settle(pool);
    slab_consider_shrink(pool);
}
