// SPDX-License-Identifier: Apache-2.0
// Finds which object of a pool an address is: the batches' memory, by rising address. Read without a lock,
// changed with the pool's lock held.
//
// A reader that meets a change (a sequence count, odd during a change) cannot tell; its caller then takes
// the lock and asks again. A search begins where the last one in that area ended: `hints` has one entry for
// each 512 KiB of address space, since batches are about as large.
#ifndef POOLMARK_POOLS_STRATEGIES_STOCK_MAP_H
#define POOLMARK_POOLS_STRATEGIES_STOCK_MAP_H

#include "pools/strategies/free_stack.h"

#include <stddef.h>

enum { STOCK_MAP_HINTS = 256, STOCK_MAP_HINT_SHIFT = 19, STOCK_MAP_ROOM_AT_FIRST = 16 };
enum { STOCK_MAP_LARGE = 256 }; // objects

struct stock_batch;

// All fields are written with release and read with acquire. So a reader that sees a part of a change also
// sees that the sequence count is odd, or another.
struct stock_piece {
    _Atomic uintptr_t start;
    _Atomic size_t bytes;
    _Atomic uint32_t first;    // number of the first object
    struct stock_batch *batch; // with the lock held only
};

struct stock_room {
    struct stock_room *older; // older and smaller arrays; readers may use them until close
    size_t room;
    struct stock_piece pieces[];
};

struct stock_map {
    _Atomic uint32_t sequence;
    unsigned shift;   // the stride is odd << shift
    uint64_t inverse; // of the odd part, modulo 2^64
    struct stock_piece *_Atomic pieces;
    _Atomic size_t count;
    // The first large batch, which has most objects if it exists: read without the sequence. Set once. When
    // the batch goes, `main_bytes` becomes 0 for good. A thread that later puts an object of the same
    // addresses got that object after the change.
    _Atomic uintptr_t main_start;
    _Atomic size_t main_bytes;
    _Atomic uint32_t main_first;
    struct stock_room *room;
    size_t stride;
    _Atomic uint32_t hints[STOCK_MAP_HINTS];
};

int stock_map_open(struct stock_map *map, size_t stride) __attribute__((warn_unused_result)); // 0 or -ENOMEM
void stock_map_close(struct stock_map *map);
int64_t stock_map_bytes(const struct stock_map *map);

uint32_t stock_map_search(struct stock_map *map, const void *object); // the slow half of stock_map_find

// Exact, since an object begins at a multiple of the stride.
static inline uint32_t stock_map_quotient(const struct stock_map *map, size_t offset)
{
    return (uint32_t)((offset >> map->shift) * map->inverse);
}

// Looks where the object, or another one near it, was found last.
static inline uint32_t stock_map_guess(struct stock_map *map, const void *object)
{
    uint32_t sequence = atomic_load_explicit(&map->sequence, memory_order_acquire);
    size_t hint = ((uintptr_t)object >> STOCK_MAP_HINT_SHIFT) % STOCK_MAP_HINTS;
    // The hint before the array: no array is smaller than an older one.
    size_t at = atomic_load_explicit(&map->hints[hint], memory_order_acquire);
    const struct stock_piece *piece = atomic_load_explicit(&map->pieces, memory_order_acquire) + at;
    size_t offset = (uintptr_t)object - atomic_load_explicit(&piece->start, memory_order_acquire);
    size_t bytes = atomic_load_explicit(&piece->bytes, memory_order_acquire);
    uint32_t first = atomic_load_explicit(&piece->first, memory_order_acquire);
    bool is_same = atomic_load_explicit(&map->sequence, memory_order_relaxed) == sequence;
    if (__builtin_expect(offset < bytes && is_same && sequence % 2 == 0, 1))
        return first + stock_map_quotient(map, offset);
    return stock_map_search(map, object);
}

static inline bool stock_map_main(struct stock_map *map, const void *object, uint32_t *number)
{
    // Acquire: a thread that sees the size also sees the start.
    size_t bytes = atomic_load_explicit(&map->main_bytes, memory_order_acquire);
    size_t offset = (uintptr_t)object - atomic_load_explicit(&map->main_start, memory_order_relaxed);
    *number = atomic_load_explicit(&map->main_first, memory_order_relaxed) + stock_map_quotient(map, offset);
    return offset < bytes;
}

// The object's number; FREE_STACK_NONE: it is in no batch, or the map is being changed.
static inline uint32_t stock_map_find(struct stock_map *map, const void *object)
{
    uint32_t number;
    return stock_map_main(map, object, &number) ? number : stock_map_guess(map, object);
}

// With the lock held.
struct stock_batch *stock_map_batch(const struct stock_map *map, const void *object); // or NULL
// The i-th of `count` batches.
static inline struct stock_batch *stock_map_at(const struct stock_map *map, size_t i)
{
    return atomic_load_explicit(&map->pieces, memory_order_relaxed)[i].batch;
}
static inline size_t stock_map_count(const struct stock_map *map)
{
    return atomic_load_explicit(&map->count, memory_order_relaxed);
}

// Is there no room for another batch? Then make room without the lock (`stock_map_make_room`), offer it with
// the lock, and free the room that the offer returns.
bool stock_map_is_full(const struct stock_map *map);
struct stock_room *stock_map_make_room(size_t room); // NULL: no memory
struct stock_room *stock_map_offer(struct stock_map *map, struct stock_room *room);

void stock_map_add(struct stock_map *map, struct stock_batch *batch, const void *start, size_t bytes,
                   uint32_t first);
void stock_map_remove(struct stock_map *map, const void *start);

#endif
