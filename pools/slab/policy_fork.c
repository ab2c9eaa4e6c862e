// SPDX-License-Identifier: Apache-2.0
// The state of a pool in a child of fork. pools/pool_strategy.h says when these functions are called.
//
// All locks are held while the process is copied, so no exchange is half done. But a thread may be in its fast path, or
// past the rows between an object and its count. Then the child has the state between the two: the object is in use
// for ever there, or free, and counted the other way. So the child counts again what is out.
#include "pools/slab/pool.h"

// In the order in which other code takes the locks.
void slab_fork_prepare(struct pool *pool)
{
    pthread_mutex_lock(&pool->store.grow_lock);
    pool->fork_rows = thread_slot_ever();
    for (int slot = 1; slot <= pool->fork_rows; slot++)
        slab_row_lock(&pool->rows[slot]);
    pthread_mutex_lock(&pool->live_lock);
    pthread_mutex_lock(&pool->store.lock);
}

void slab_fork_parent(struct pool *pool)
{
    pthread_mutex_unlock(&pool->store.lock);
    pthread_mutex_unlock(&pool->live_lock);
    for (int slot = pool->fork_rows; slot >= 1; slot--)
        slab_row_unlock(&pool->rows[slot]);
    int64_t bytes = 0;
    slab_store_grow_unlock(&pool->store); // threads that found it taken meanwhile wait for this
    (void)slab_retire_surplus(pool, &bytes);
}

// After all rows but the own one were emptied. The sums stand for threads that ended.
static void count_what_is_out(struct pool *pool)
{
    const struct slab_row *own = &pool->rows[pool_thread_slot_cached];
    int64_t free_here = own->previous_fill + (own->loaded ? ROW_LOAD(&own->hot.top) - own->bottom : 0);
    int64_t out = SLAB_LOAD(&pool->store.taken) - slab_depot_held(&pool->depot) - free_here;
    struct slab_account account = slab_account(pool);
    int64_t more = out - (account.given - account.put - SLAB_LOAD(&pool->overflow_out));
    SLAB_ADD(more > 0 ? &pool->gone_gets : &pool->gone_puts, more > 0 ? more : -more);
}

// Treats the parent's other threads as if they had ended.
void slab_fork_child(struct pool *pool)
{
    slab_store_locks_anew(&pool->store);
    SLAB_STORE(&pool->giving, 0);
    pthread_mutex_unlock(&pool->live_lock);
    pool->has_thread = false;
    for (int slot = 1; slot <= pool->fork_rows; slot++) {
        struct slab_row *row = &pool->rows[slot];
        ROW_STORE(&row->hot.busy, 0);
        pool_lock_make_free(&row->lock);
        if (slot != pool_thread_slot_cached)
            slab_row_thread_exits(pool, slot);
    }
    count_what_is_out(pool);
    if (SLAB_LOAD(&pool->fenced))
        SLAB_STORE(&pool->fenced, slab_barrier_register());
}
