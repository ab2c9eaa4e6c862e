// SPDX-License-Identifier: Apache-2.0
// Magazines and the depot (Bonwick and Adams, "Magazines and Vmem", 2001): a magazine is an array of pointers
// to free objects, its rounds; a thread works on one of its own and exchanges it whole with the depot, so
// that the cost of sharing is paid once a magazine. The depot is two stacks, of magazines with rounds and of
// empty ones.
//
// Pushing and popping take no lock: a stack's head holds a magazine's number and a count of changes, which
// keeps a late compare-and-swap from taking a head that went and came back. A magazine's number stays good as
// long as the depot is open; the memory of its rounds comes by the page when objects are made, never in a get
// or put, and goes back when they go. Whoever finds no empty magazine gives objects to the store
// (pools/slab/store.h) instead.
//
// A magazine's size is fixed, and not raised by misses (section 3.5 of that paper): in bursts of 1000 a get
// and its put take 84 instructions with 32 rounds, 61 with 256 and 60 with 512, so there is little left to
// win. Nor would smaller magazines save memory: what 1000 idle threads have in their rows (209 MB of 3 KiB
// objects) is taken back when the pool is swept (4 MB are left).
//
//     uint32_t magazine = slab_depot_pop(depot, &depot->empty);  // 0: there is none
//     void **rounds = slab_magazine_rounds(depot, magazine);     // depot->capacity of them
//     slab_depot_push(depot, &depot->full, magazine);
#ifndef POOLMARK_POOLS_SLAB_DEPOT_H
#define POOLMARK_POOLS_SLAB_DEPOT_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SLAB_ROUNDS_MIN = 8, SLAB_ROUNDS_MAX = 256 }; // of a magazine

struct slab_stack {
    alignas(128) _Atomic uint64_t head; // changes << 32 | number of the first magazine, 0 for none
    _Atomic int64_t count;              // an estimate while others work
};

struct slab_depot {
    uint32_t capacity; // rounds of a magazine: a power of two, so that whole magazines fit a page
    uint32_t limit;    // magazines that can be made
    size_t page_bytes;
    uint32_t chunk_shift; // a chunk has the rounds of 1 << chunk_shift magazines
    void ***chunks; // of magazine n: chunk (n - 1) >> chunk_shift; mapped when a page of it is first made
    _Atomic uint32_t *next; // of magazine n: number of the one below it in a stack, [n - 1]
    uint64_t *made;         // a bit a page of rounds; guarded by the store's grow lock
    // The same; statistics read them without the lock: atomic, in the default order, since they change
    // rarely.
    _Atomic int64_t made_pages;
    _Atomic uint32_t ever_made; // magazines: as far as their table has memory
    struct slab_stack full, empty;
};

// Rounds of a magazine for objects of that stride: a quarter of the L2 cache's worth, within the bounds
// above.
uint32_t slab_magazine_capacity(size_t stride);

// `objects_max`: most objects there will ever be, 0 for unknown. 0 or -ENOMEM.
int slab_depot_open(struct slab_depot *depot, uint32_t capacity, int64_t objects_max)
    __attribute__((warn_unused_result));
void slab_depot_close(struct slab_depot *depot);

// Under the store's grow lock: sees to it that there are `count` magazines, or as many as the limit allows.
// 0, or -ENOMEM with fewer.
int slab_depot_make(struct slab_depot *depot, int64_t count) __attribute__((warn_unused_result));

// Under the store's grow lock: gives back pages of empty magazines until about `count` are left. Returns
// bytes.
int64_t slab_depot_shrink(struct slab_depot *depot, int64_t count);

int64_t slab_depot_bytes(const struct slab_depot *depot); // that it has of memory

// Magazine numbers; 0 for none. A popped magazine is the caller's.
uint32_t slab_depot_pop(struct slab_depot *depot, struct slab_stack *stack);
void slab_depot_push(struct slab_depot *depot, struct slab_stack *stack, uint32_t magazine);

void slab_depot_prefetch(
    const struct slab_depot *depot); // what a pop of a full one and a get of it will touch

// Objects in the depot; an estimate while others work.
static inline int64_t slab_depot_held(const struct slab_depot *depot)
{
    return atomic_load_explicit(&depot->full.count, memory_order_relaxed) * depot->capacity;
}

// Exact: no estimate. Acquire: whoever sees none sees what was done before the last was popped.
static inline bool slab_depot_has_full(const struct slab_depot *depot)
{
    return (uint32_t)atomic_load_explicit(&depot->full.head, memory_order_acquire) != 0;
}

static inline void **slab_magazine_rounds(const struct slab_depot *depot, uint32_t magazine)
{
    uint32_t at = magazine - 1, within = at & ((1u << depot->chunk_shift) - 1);
    return depot->chunks[at >> depot->chunk_shift] + (size_t)within * depot->capacity;
}

#endif
