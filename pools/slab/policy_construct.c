// SPDX-License-Identifier: Apache-2.0
// Constructed objects; see pools/slab/pool.h. Calls the program's functions, with no lock held.
#include "pools/slab/pool.h"

#include "pools/shared/object.h"

int slab_construct(struct pool *pool, void *object)
{
    unpoison(object, pool->object_bytes);
    int code = object_construct(&pool->config, object);
    if (code < 0) {
        poison(object, pool->object_bytes);
        slab_store_give_raw(&pool->store, object);
        slab_note_move(pool);
        (void)slab_settle(pool);
    }
    return code;
}

// One at a time, so that a get meanwhile finds the others.
int slab_construct_some(struct pool *pool, int64_t count)
{
    for (void *object; count > 0 && (object = slab_store_take_raw(&pool->store)); count--) {
        int code = slab_construct(pool, object);
        if (code < 0)
            return code;
        poison(object, pool->object_bytes);
        slab_store_give(&pool->store, &object, 1);
        slab_note_move(pool);
        (void)slab_settle(pool); // a bound may have been set meanwhile
    }
    return 0;
}

static void destruct_those_of(struct pool *pool, struct slab *slab, bool free_alone)
{
    const struct slab_geometry *geometry = &pool->store.geometry;
    const uint64_t *constructed = slab_constructed_bits(geometry, slab), *free = slab_free_bits(slab);
    for (uint32_t index = 0; index < geometry->capacity; index++) {
        index = slab_bits_find(constructed, index, geometry->capacity, true);
        if (index < geometry->capacity && (!free_alone || slab_bit(free, index)))
            object_destruct(&pool->config, slab_object(geometry, slab, index), pool->object_bytes);
    }
}

// No other thread uses the pool. In a child of fork, objects that the parent's other threads were
// constructing or destructing stay as they are: how far they got is unknown.
void slab_destruct_all(struct pool *pool)
{
    bool forked = pool->base.forked;
    if (!pool->store.geometry.keeps)
        return;
    if (forked) {
        pthread_mutex_lock(&pool->store.grow_lock);
        (void)slab_rows_reclaim(pool, NULL);
        while (slab_depot_drain_some(pool))
            ;
        slab_store_grow_unlock(&pool->store);
    }
    (void)slab_settle(pool);
    for (size_t i = 0; i < pool->store.slab_count; i++)
        destruct_those_of(pool, pool->store.slabs[i], forked);
}
