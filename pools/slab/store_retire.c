// SPDX-License-Identifier: Apache-2.0
// How a store gives memory back; see pools/slab/store.h. All functions need grow_lock.
#include "pools/slab/store_lists.h"

// The object is no longer ready. If it is constructed, it is leaving.
static void leave(struct slab_store *store, struct slab *slab, uint32_t index)
{
    if (!slab_bit(slab_constructed_bits(&store->geometry, slab), index)) {
        slab->raw--;
        slab_count_add(&store->raw, -1);
        return;
    }
    slab_bit_clear(slab_constructed_bits(&store->geometry, slab), index);
    slab_bit_set(slab_leaving_bits(&store->geometry, slab), index);
    slab->leaving++;
    slab_count_add(&store->leaving, 1);
    if (slab->awaits || slab->destructing)
        return;
    slab->awaits = true;
    slab->next_leaving = store->awaiting;
    store->awaiting = slab;
}

// Retires up to `count` free objects of the slab, the last ones first. Under `lock`.
static int64_t retire_within(struct slab_store *store, struct slab *slab, int64_t count)
{
    uint64_t *free = slab_free_bits(slab), *ready = slab_ready_bits(&store->geometry, slab);
    int64_t retired = 0;
    for (uint32_t word = slab_words(store->geometry.capacity); word-- > 0 && retired < count;) {
        while (free[word] && retired < count) {
            uint32_t index = word * 64 + 63 - (uint32_t)__builtin_clzll(free[word]);
            slab_bit_clear(free, index);
            slab_bit_clear(ready, index);
            retired++;
            if (store->geometry.keeps)
                leave(store, slab, index);
        }
    }
    slab->free -= (uint32_t)retired;
    slab->ready -= (uint32_t)retired;
    slab_count_add(&store->owned, -retired);
    return retired;
}

// For a slab from which objects were retired or left: gives back the pages that it no longer needs. No other
// thread reaches them: that takes grow_lock, which this thread holds.
static void release(struct slab_store *store, struct slab *slab, int64_t *bytes)
{
    uint32_t pages = slab->resident;
    if (slab->ready == 0 && slab->leaving == 0)
        slab_unmap(&store->geometry, slab);
    else
        pages = slab_pages_release(&store->geometry, slab);
    store->resident_pages -= pages;
    *bytes += (int64_t)(pages * store->geometry.page_bytes);
}

// Under `lock`. An empty slab stays empty until this thread releases grow_lock.
static void remove_if_empty(struct slab_store *store, struct slab *slab)
{
    if (slab->ready == 0 && slab->leaving == 0)
        slab_register_remove(store, slab);
    store->grow_at = 0; // there is room again
}

int64_t slab_store_retire_piece(struct slab_store *store, int64_t count, int64_t *bytes)
{
    int64_t retired = 0, most = (int64_t)(SLAB_BYTES_MIN / store->geometry.stride) + 1;
    pthread_mutex_lock(&store->lock);
    struct slab *slab = NULL;
    for (int list = SLAB_LISTS - 1; list >= 0 && !slab; list--)
        slab = store->lists[list];
    if (slab) {
        retired = retire_within(store, slab, count < most ? count : most);
        slab_lists_move(store, slab);
        remove_if_empty(store, slab);
    }
    pthread_mutex_unlock(&store->lock);
    if (slab)
        release(store, slab, bytes);
    return retired;
}

int64_t slab_store_retire(struct slab_store *store, int64_t count, int64_t *bytes)
{
    int64_t retired = 0, piece = 1;
    for (; retired < count && piece > 0; retired += piece)
        piece = slab_store_retire_piece(store, count - retired, bytes);
    return retired;
}

struct slab *slab_store_leaving_claim(struct slab_store *store)
{
    struct slab *slab = store->awaiting;
    if (!slab)
        return NULL;
    store->awaiting = slab->next_leaving;
    slab->awaits = false;
    slab->destructing = true;
    return slab;
}

size_t slab_store_leaving_list(struct slab_store *store, struct slab *slab, void **objects, size_t count)
{
    const struct slab_geometry *geometry = &store->geometry;
    const uint64_t *leaving = slab_leaving_bits(geometry, slab);
    size_t listed = 0;
    for (uint32_t index = 0; listed < count; index++) {
        index = slab_bits_find(leaving, index, geometry->capacity, true);
        if (index == geometry->capacity)
            break;
        objects[listed++] = slab_object(geometry, slab, index);
    }
    return listed;
}

void slab_store_leaving_gone(struct slab_store *store, struct slab *slab, void **objects, size_t count)
{
    for (size_t i = 0; i < count; i++)
        slab_bit_clear(slab_leaving_bits(&store->geometry, slab),
                       slab_index_of(&store->geometry, objects[i]));
    slab->leaving -= (uint32_t)count;
    slab_count_add(&store->leaving, -(int64_t)count);
}

void slab_store_leaving_end(struct slab_store *store, struct slab *slab, int64_t *bytes)
{
    slab->destructing = false;
    pthread_mutex_lock(&store->lock);
    remove_if_empty(store, slab);
    pthread_mutex_unlock(&store->lock);
    release(store, slab, bytes);
}
