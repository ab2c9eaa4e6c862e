// SPDX-License-Identifier: Apache-2.0
// A list of object pointers for `sync`: its owner pushes and pops at the newest end, other threads take from
// the oldest end. A ring whose room is a power of two. All calls need the row's lock held, except
// sync_list_looks_empty.
#ifndef POOLMARK_POOLS_STRATEGIES_SYNC_LIST_H
#define POOLMARK_POOLS_STRATEGIES_SYNC_LIST_H

#include "pools/pool_strategy.h"

#include <stdatomic.h>

enum { SYNC_LIST_ROOM_AT_FIRST = 32 };

struct sync_list {
    void **places;        // owned; NULL: room for none
    size_t room, oldest;  // oldest: index of the place, below room
    _Atomic size_t count; // changed under the lock only
};

// Called without the lock, so the answer may be out of date at once. Saves a search through many lists most
// of the locks.
static inline bool sync_list_looks_empty(const struct sync_list *list)
{
    return atomic_load_explicit(&list->count, memory_order_relaxed) == 0;
}

// Relaxed here and below: the lock orders.
static inline size_t sync_list_count(const struct sync_list *list)
{
    return atomic_load_explicit(&list->count, memory_order_relaxed);
}

static inline void sync_list_set_count(struct sync_list *list, size_t count)
{
    atomic_store_explicit(&list->count, count, memory_order_relaxed);
}

// False when there is no room.
static inline bool sync_list_push(struct sync_list *list, void *object)
{
    size_t count = sync_list_count(list);
    if (count == list->room)
        return false;
    list->places[(list->oldest + count) & (list->room - 1)] = object;
    sync_list_set_count(list, count + 1);
    return true;
}

static inline void *sync_list_pop_newest(struct sync_list *list)
{
    size_t count = sync_list_count(list);
    if (count == 0)
        return NULL;
    sync_list_set_count(list, count - 1);
    return list->places[(list->oldest + count - 1) & (list->room - 1)];
}

static inline void *sync_list_pop_oldest(struct sync_list *list)
{
    size_t count = sync_list_count(list);
    if (count == 0)
        return NULL;
    void *object = list->places[list->oldest];
    list->oldest = (list->oldest + 1) & (list->room - 1);
    sync_list_set_count(list, count - 1);
    return object;
}

// Moves the list into `places`, which has more room. Returns the old places, for the caller to free.
static inline void **sync_list_move_to(struct sync_list *list, void **places, size_t room)
{
    void **old = list->places;
    size_t count = sync_list_count(list);
    for (size_t i = 0; i < count; i++)
        places[i] = old[(list->oldest + i) & (list->room - 1)];
    list->places = places;
    list->room = room;
    list->oldest = 0;
    return old;
}

// Moves all objects and the room from `from` to `to`, which has no places. Afterwards `from` is as new.
static inline void sync_list_hand_over(struct sync_list *from, struct sync_list *to)
{
    to->places = from->places;
    to->room = from->room;
    to->oldest = from->oldest;
    sync_list_set_count(to, sync_list_count(from));
    from->places = NULL;
    from->room = from->oldest = 0;
    sync_list_set_count(from, 0);
}

#endif
