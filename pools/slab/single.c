// SPDX-License-Identifier: Apache-2.0
// Gets and puts past the rows, one object at a time, and what happens when there is none. See
// pools/slab/pool.h.
#include "pools/slab/pool.h"

#include "base/clock.h"
#include "pools/poison.h"

#include <sched.h>

static void *take(struct pool *pool)
{
    void *object = NULL;
    if (slab_store_take(&pool->store, &object, 1) == 1)
        return object;
    uint32_t magazine = slab_depot_pop(&pool->depot, &pool->depot.full);
    if (magazine) {
        void **rounds = slab_magazine_rounds(&pool->depot, magazine);
        object = rounds[pool->depot.capacity - 1];
        slab_store_give(&pool->store, rounds, pool->depot.capacity - 1);
        slab_depot_push(&pool->depot, &pool->depot.empty, magazine);
    }
    return object;
}

// Counts a get; true when the pool grew because of it.
static bool note_get(struct pool *pool)
{
    SLAB_ADD(&pool->single_gets, 1);
    int64_t in_use = slab_account(pool).in_use;
    slab_note_peak(pool, in_use);
    return in_use >= SLAB_LOAD(&pool->trigger) && slab_want_growth(pool, in_use);
}

// An overflow object may be made only in exact mode, which lasts while one is out. It is counted before it
// exists, under the lock that ending exact mode takes.
static bool overflow_begin(struct pool *pool)
{
    pthread_mutex_lock(&pool->store.lock);
    bool exact = SLAB_LOAD(&pool->exact);
    if (exact)
        SLAB_ADD(&pool->overflow_out, 1);
    pthread_mutex_unlock(&pool->store.lock);
    return exact;
}

static void emit_refusal(struct pool *pool)
{
    if (atomic_exchange_explicit(&pool->refusing, true, memory_order_relaxed))
        return;
    int64_t owned = SLAB_LOAD(&pool->store.owned);
    struct pool_event event = {
        .kind = POOL_EVENT_REFUSE, .at_ns = clock_now_ns(), .from = owned, .to = owned, .trigger = owned};
    pool_emit(&pool->config, &event);
}

// Past `max`. `*again`: exact mode ended just now, so something is free.
static void *get_past_max(struct pool *pool, bool *again)
{
    *again = false;
    if (pool->config.overflow == POOL_OVERFLOW_REFUSE) {
        SLAB_ADD(&pool->refused, 1);
        emit_refusal(pool);
        return NULL;
    }
    if (!overflow_begin(pool)) {
        *again = true;
        return NULL;
    }
    char *block = pool_memory_alloc_aligned(SLAB_LINE_BYTES, SLAB_OVERFLOW_BYTES + pool->object_bytes);
    if (!block) {
        SLAB_ADD(&pool->failed, 1);
        SLAB_ADD(&pool->overflow_out, -1);
        return NULL;
    }
    (void)note_get(pool); // at max it does not grow
    SLAB_ADD(&pool->overflow, 1);
    return block + SLAB_OVERFLOW_BYTES;
}

void *slab_get_single(struct pool *pool)
{
    bool missed = false;
    for (;;) {
        void *object = take(pool);
        if (object) {
            if (note_get(pool) || missed)
                SLAB_ADD(&pool->misses, 1);
            return object;
        }
        bool again = true;
        switch (slab_make_room(pool)) {
        case SLAB_ROOM_FOUND:
            sched_yield(); // somebody has in hand what we look for
            break;
        case SLAB_ROOM_MADE:
            missed = true;
            break;
        case SLAB_ROOM_AT_MAX:
            object = get_past_max(pool, &again);
            break;
        case SLAB_ROOM_NO_MEMORY:
            SLAB_ADD(&pool->failed, 1);
            return NULL;
        }
        if (!again)
            return object;
    }
}

// Back to magazines when a quarter is free again and no overflow object is out.
static void leave_exact(struct pool *pool)
{
    pthread_mutex_lock(&pool->store.lock);
    int64_t owned = SLAB_LOAD(&pool->store.owned), free = owned - SLAB_LOAD(&pool->store.taken);
    // Relaxed: who reads false late goes one object at a time once more, which is always right.
    if (pool->can_reclaim && SLAB_LOAD(&pool->overflow_out) == 0 && free * 4 > owned)
        SLAB_STORE(&pool->exact, false);
    pthread_mutex_unlock(&pool->store.lock);
}

static bool put_overflow(struct pool *pool, void *object)
{
    if (!slab_is_overflow(object))
        return false;
    unpoison((char *)object - SLAB_OVERFLOW_BYTES, SLAB_OVERFLOW_BYTES + pool->object_bytes);
    pool_memory_free((char *)object - SLAB_OVERFLOW_BYTES);
    SLAB_ADD(&pool->single_puts, 1);
    SLAB_ADD(&pool->overflow_out, -1);
    return true;
}

void slab_put_single(struct pool *pool, void *object)
{
    if (!put_overflow(pool, object)) {
        // Counted first: once it is given, somebody else may have got it, and been counted.
        SLAB_ADD(&pool->single_puts, 1);
        slab_store_give(&pool->store, &object, 1);
    }
    SLAB_STORE(&pool->refusing, false);
    if (SLAB_LOAD(&pool->exact))
        leave_exact(pool);
}
