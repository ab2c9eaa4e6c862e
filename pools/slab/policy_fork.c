// SPDX-License-Identifier: Apache-2.0
// The state of a pool in a child of fork. pools/pool_strategy.h says when these functions are called.
//
// All locks are held while the process is copied, so no exchange is half done. A thread may be in its fast
// path; then the child has the state between two of its stores. At worst the object that it was about to get
// or put is in use for ever.
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

// Treats the parent's other threads as if they had ended.
void slab_fork_child(struct pool *pool)
{
    slab_store_locks_anew(&pool->store);
    pthread_mutex_unlock(&pool->live_lock);
    pool->has_thread = false;
    for (int slot = 1; slot <= pool->fork_rows; slot++) {
        struct slab_row *row = &pool->rows[slot];
        ROW_STORE(&row->hot.busy, 0);
        pool_lock_make_free(&row->lock);
        if (slot != pool_thread_slot_cached)
            slab_row_thread_exits(pool, slot);
    }
    if (SLAB_LOAD(&pool->fenced))
        SLAB_STORE(&pool->fenced, slab_barrier_register());
}
