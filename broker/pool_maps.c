// SPDX-License-Identifier: Apache-2.0
#include "broker/pool_maps.h"

#include "pools/pool_strategy.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 64 };

static struct {
    pthread_mutex_t lock; // guards the rest; taken while a pool's locks are held
    struct mapping_range *ranges;
    size_t count, room;
} maps = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void add(uintptr_t from, size_t bytes)
{
    if (maps.count == maps.room) {
        size_t room = maps.room ? 2 * maps.room : ROOM_MIN;
        struct mapping_range *ranges = realloc(maps.ranges, room * sizeof *ranges);
        if (!ranges)
            return;
        maps.ranges = ranges;
        maps.room = room;
    }
    maps.ranges[maps.count++] = (struct mapping_range){from, from + bytes, MAPPING_POOL};
}

// From the end: maps that come and go are the latest.
static void remove_at(uintptr_t from)
{
    for (size_t i = maps.count; i-- > 0;)
        if (maps.ranges[i].from == from) {
            maps.ranges[i] = maps.ranges[--maps.count];
            return;
        }
}

static void on_map(void *block, size_t bytes, bool is_mapped)
{
    pthread_mutex_lock(&maps.lock);
    if (is_mapped)
        add((uintptr_t)block, bytes);
    else
        remove_at((uintptr_t)block);
    pthread_mutex_unlock(&maps.lock);
}

void pool_maps_watch(void)
{
    pool_memory_tell_maps(on_map);
}

size_t pool_maps_list(struct mapping_range *ranges, size_t most)
{
    pthread_mutex_lock(&maps.lock);
    size_t count = maps.count;
    if (count > 0 && most > 0)
        memcpy(ranges, maps.ranges, (count < most ? count : most) * sizeof *ranges);
    pthread_mutex_unlock(&maps.lock);
    return count;
}

size_t pool_maps_bytes(void)
{
    pthread_mutex_lock(&maps.lock);
    size_t bytes = maps.room * sizeof *maps.ranges;
    pthread_mutex_unlock(&maps.lock);
    return bytes;
}
