// SPDX-License-Identifier: Apache-2.0
#include "pools/strategies/stock_map.h"

#include "pools/pool_strategy.h"

#include <errno.h>

static void set_piece(struct stock_piece *piece, uintptr_t start, size_t bytes, uint32_t first,
                      struct stock_batch *batch)
{
    atomic_store_explicit(&piece->start, start, memory_order_release);
    atomic_store_explicit(&piece->bytes, bytes, memory_order_release);
    atomic_store_explicit(&piece->first, first, memory_order_release);
    piece->batch = batch;
}

static uintptr_t start_of(const struct stock_piece *piece)
{
    return atomic_load_explicit(&piece->start, memory_order_acquire);
}

static void copy_piece(struct stock_piece *to, const struct stock_piece *from)
{
    set_piece(to, start_of(from), atomic_load_explicit(&from->bytes, memory_order_acquire),
              atomic_load_explicit(&from->first, memory_order_acquire), from->batch);
}

static struct stock_piece *pieces_of(const struct stock_map *map)
{
    return atomic_load_explicit(&map->pieces, memory_order_acquire);
}

struct stock_room *stock_map_make_room(size_t room)
{
    struct stock_room *made = pool_memory_alloc(sizeof *made + room * sizeof made->pieces[0]);
    if (!made)
        return NULL;
    made->older = NULL;
    made->room = room;
    for (size_t i = 0; i < room; i++)
        set_piece(&made->pieces[i], 0, 0, 0, NULL);
    return made;
}

int stock_map_open(struct stock_map *map, size_t stride)
{
    map->stride = stride;
    map->shift = (unsigned)__builtin_ctzll(stride);
    uint64_t odd = stride >> map->shift,
             inverse = odd; // correct in three bits; each step doubles the number (Newton)
    for (int step = 0; step < 5; step++)
        inverse *= 2 - odd * inverse;
    map->inverse = inverse;
    map->room = stock_map_make_room(STOCK_MAP_ROOM_AT_FIRST);
    if (!map->room)
        return -ENOMEM;
    atomic_init(&map->pieces, map->room->pieces);
    return 0;
}

void stock_map_close(struct stock_map *map)
{
    while (map->room) {
        struct stock_room *room = map->room;
        map->room = room->older;
        pool_memory_free(room);
    }
}

int64_t stock_map_bytes(const struct stock_map *map)
{
    size_t bytes = 0;
    for (const struct stock_room *room = map->room; room; room = room->older)
        bytes += sizeof *room + room->room * sizeof room->pieces[0];
    return (int64_t)bytes;
}

// How many of `count` pieces begin at or below the address.
static size_t begin_up_to(const struct stock_piece *pieces, size_t count, uintptr_t address)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (start_of(&pieces[middle]) <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t stock_map_search(struct stock_map *map, const void *object)
{
    uint32_t sequence = atomic_load_explicit(&map->sequence, memory_order_acquire);
    // The count before the array: no array is smaller than an older one.
    size_t count = atomic_load_explicit(&map->count, memory_order_acquire);
    const struct stock_piece *pieces = pieces_of(map);
    size_t at = begin_up_to(pieces, count, (uintptr_t)object);
    if (at-- == 0)
        return FREE_STACK_NONE;
    size_t offset = (uintptr_t)object - start_of(&pieces[at]);
    size_t bytes = atomic_load_explicit(&pieces[at].bytes, memory_order_acquire);
    uint32_t first = atomic_load_explicit(&pieces[at].first, memory_order_acquire);
    if (sequence % 2 || atomic_load_explicit(&map->sequence, memory_order_relaxed) != sequence ||
        offset >= bytes)
        return FREE_STACK_NONE;
    size_t hint = ((uintptr_t)object >> STOCK_MAP_HINT_SHIFT) % STOCK_MAP_HINTS;
    atomic_store_explicit(&map->hints[hint], (uint32_t)at, memory_order_release);
    return first + stock_map_quotient(map, offset);
}

struct stock_batch *stock_map_batch(const struct stock_map *map, const void *object)
{
    const struct stock_piece *pieces = pieces_of(map);
    size_t at = begin_up_to(pieces, stock_map_count(map), (uintptr_t)object);
    if (at == 0)
        return NULL;
    const struct stock_piece *piece = &pieces[at - 1];
    bool is_in =
        (uintptr_t)object - start_of(piece) < atomic_load_explicit(&piece->bytes, memory_order_acquire);
    return is_in ? piece->batch : NULL;
}

bool stock_map_is_full(const struct stock_map *map)
{
    return stock_map_count(map) == map->room->room;
}

// The sequence is odd during a change: what was read meanwhile is invalid.
static void begin_change(struct stock_map *map)
{
    uint32_t sequence = atomic_load_explicit(&map->sequence, memory_order_relaxed);
    atomic_store_explicit(&map->sequence, sequence + 1, memory_order_relaxed);
}

static void end_change(struct stock_map *map)
{
    uint32_t sequence = atomic_load_explicit(&map->sequence, memory_order_relaxed);
    atomic_store_explicit(&map->sequence, sequence + 1, memory_order_release);
}

struct stock_room *stock_map_offer(struct stock_map *map, struct stock_room *room)
{
    if (room->room <= map->room->room)
        return room; // another thread was faster
    for (size_t i = 0; i < stock_map_count(map); i++)
        copy_piece(&room->pieces[i], &map->room->pieces[i]);
    room->older = map->room;
    map->room = room;
    // Release: a thread that sees the array sees the copies.
    begin_change(map);
    atomic_store_explicit(&map->pieces, room->pieces, memory_order_release);
    end_change(map);
    return NULL;
}

// The array of pieces was published before this count, which needs it.
static void set_count(struct stock_map *map, size_t count)
{
    atomic_store_explicit(&map->count, count, memory_order_release);
}

void stock_map_add(struct stock_map *map, struct stock_batch *batch, const void *start, size_t bytes,
                   uint32_t first)
{
    struct stock_piece *pieces = map->room->pieces;
    size_t count = stock_map_count(map), at = begin_up_to(pieces, count, (uintptr_t)start);
    begin_change(map);
    for (size_t i = count; i > at; i--)
        copy_piece(&pieces[i], &pieces[i - 1]);
    set_piece(&pieces[at], (uintptr_t)start, bytes, first, batch);
    set_count(map, count + 1);
    end_change(map);
    bool has_main = atomic_load_explicit(&map->main_start, memory_order_relaxed);
    if (has_main || bytes < STOCK_MAP_LARGE * map->stride)
        return;
    atomic_store_explicit(&map->main_first, first, memory_order_relaxed);
    atomic_store_explicit(&map->main_start, (uintptr_t)start, memory_order_relaxed);
    atomic_store_explicit(&map->main_bytes, bytes, memory_order_release);
}

void stock_map_remove(struct stock_map *map, const void *start)
{
    struct stock_piece *pieces = map->room->pieces;
    size_t count = stock_map_count(map), at = begin_up_to(pieces, count, (uintptr_t)start) - 1;
    if (atomic_load_explicit(&map->main_start, memory_order_relaxed) == (uintptr_t)start)
        atomic_store_explicit(&map->main_bytes, 0, memory_order_relaxed);
    begin_change(map);
    for (size_t i = at; i + 1 < count; i++)
        copy_piece(&pieces[i], &pieces[i + 1]);
    set_piece(&pieces[count - 1], 0, 0, 0, NULL);
    set_count(map, count - 1);
    end_change(map);
}
