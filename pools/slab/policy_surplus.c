// SPDX-License-Identifier: Apache-2.0
// What is left to do when the grow lock is released: objects that nobody may have any more go back. See
// pools/slab/pool.h.
#include "pools/slab/pool.h"

#include "pools/shared/object.h"

enum { LEAVERS_AT_ONCE = 64 }; // destructed for each access to the store

// Called with the grow lock held, but releases it while it destructs.
static void destruct_in(struct pool *pool, struct slab *slab)
{
    void *objects[LEAVERS_AT_ONCE];
    for (size_t count; (count = slab_store_leaving_list(&pool->store, slab, objects, LEAVERS_AT_ONCE));) {
        slab_store_grow_unlock(&pool->store);
        for (size_t i = 0; i < count; i++)
            object_destruct(&pool->config, objects[i], pool->object_bytes);
        pthread_mutex_lock(&pool->store.grow_lock);
        slab_store_leaving_gone(&pool->store, slab, objects, count);
    }
}

bool slab_destruct_leavers(struct pool *pool, int64_t *bytes)
{
    bool worked = false;
    if (SLAB_LOAD(&pool->store.leaving) == 0)
        return false;
    pthread_mutex_lock(&pool->store.grow_lock);
    for (struct slab *slab; (slab = slab_store_leaving_claim(&pool->store));) {
        destruct_in(pool, slab);
        slab_store_leaving_end(&pool->store, slab, bytes);
        worked = true;
    }
    slab_store_grow_unlock(&pool->store);
    return worked;
}

// The pool owns more than its limit, and some of that is free. False: not so, or another thread holds the
// grow lock or gives back: that thread does it when it releases the lock for good.
bool slab_retire_surplus(struct pool *pool, int64_t *bytes)
{
    if (!slab_is_over(pool) || slab_free(pool) <= 0 || atomic_load(&pool->giving) ||
        pthread_mutex_trylock(&pool->store.grow_lock) != 0)
        return false;
    int64_t surplus = SLAB_LOAD(&pool->store.owned) - SLAB_LOAD(&pool->limit);
    if (surplus > 0)
        (void)slab_store_retire(&pool->store, surplus, bytes);
    slab_store_grow_unlock(&pool->store);
    return true;
}

// Who gave an object to the store looks for the surplus after that, and may find the grow lock taken. The
// thread that holds it looks after releasing it. Both take the store's lock in between (to give; to
// announce), so one of them sees what the other did. `giving` ends before that, under the grow lock. The
// surplus comes last: destructing takes the grow lock too.
int64_t slab_settle(struct pool *pool)
{
    int64_t bytes = 0;
    bool worked;
    do {
        worked = !atomic_load(&pool->giving) && slab_destruct_leavers(pool, &bytes);
        worked |= slab_retire_surplus(pool, &bytes);
    } while (worked);
    return bytes;
}

int64_t slab_grow_unlock(struct pool *pool)
{
    slab_store_grow_unlock(&pool->store);
    return slab_settle(pool);
}
