// SPDX-License-Identifier: Apache-2.0
#include "pools/slab/store_lists.h"

#include "pools/pool_strategy.h"

#include <errno.h>
#include <string.h>

enum { ROOM_AT_FIRST = 16 };

uint32_t slab_lists_of(const struct slab_store *store, const struct slab *slab)
{
    if (slab->free == 0)
        return SLAB_LIST_NONE;
    uint32_t used = slab->ready - slab->free;
    if (used == 0)
        return SLAB_LIST_UNUSED;
    return SLAB_LIST_UNUSED - 1 -
           (uint32_t)((uint64_t)used * SLAB_LIST_UNUSED / (store->geometry.capacity + 1));
}

static void unlink_slab(struct slab_store *store, struct slab *slab)
{
    if (slab->list == SLAB_LIST_NONE)
        return;
    if (slab->previous)
        slab->previous->next = slab->next;
    else
        store->lists[slab->list] = slab->next;
    if (slab->next)
        slab->next->previous = slab->previous;
    slab->list = SLAB_LIST_NONE;
}

void slab_lists_move(struct slab_store *store, struct slab *slab)
{
    uint32_t list = slab_lists_of(store, slab);
    if (list == slab->list)
        return;
    unlink_slab(store, slab);
    slab->list = list;
    if (list == SLAB_LIST_NONE)
        return;
    slab->previous = NULL;
    slab->next = store->lists[list];
    if (slab->next)
        slab->next->previous = slab;
    store->lists[list] = slab;
}

// --- the register of slabs ------------------------------------------------------------------------------

size_t slab_register_find(const struct slab_store *store, const void *address)
{
    size_t low = 0, high = store->slab_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if ((uintptr_t)store->slabs[middle] < (uintptr_t)address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int move_to(struct slab_store *store, size_t room)
{
    struct slab **slabs = room ? pool_memory_alloc(room * sizeof *slabs) : NULL, **old = store->slabs;
    if (room && !slabs)
        return -ENOMEM;
    pthread_mutex_lock(&store->lock);
    if (store->slab_count)
        memcpy(slabs, old, store->slab_count * sizeof *slabs);
    store->slabs = slabs;
    store->slab_room = (int64_t)room;
    pthread_mutex_unlock(&store->lock);
    pool_memory_free(old);
    return 0;
}

int slab_register_reserve(struct slab_store *store)
{
    if ((int64_t)store->slab_count < store->slab_room)
        return 0;
    return move_to(store, store->slab_count ? store->slab_count * 2 : ROOM_AT_FIRST);
}

void slab_register_fit(struct slab_store *store)
{
    size_t room = store->slab_count ? ROOM_AT_FIRST : 0;
    while (room < store->slab_count)
        room *= 2;
    if ((int64_t)room < store->slab_room)
        (void)move_to(store, room);
}

void slab_register_add(struct slab_store *store, struct slab *slab)
{
    size_t at = slab_register_find(store, slab);
    memmove(store->slabs + at + 1, store->slabs + at, (store->slab_count - at) * sizeof *store->slabs);
    store->slabs[at] = slab;
    store->slab_count++;
}

void slab_register_remove(struct slab_store *store, struct slab *slab)
{
    size_t at = slab_register_find(store, slab);
    store->slab_count--;
    store->collapse_at = 0; // the indexes changed
    memmove(store->slabs + at, store->slabs + at + 1, (store->slab_count - at) * sizeof *store->slabs);
}
