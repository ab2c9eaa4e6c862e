// SPDX-License-Identifier: Apache-2.0
// Magazines and the depot (Bonwick and Adams, "Magazines and Vmem", 2001). A magazine is an array of
// pointers to free objects, its rounds. A thread works on a magazine of its own and exchanges it whole with
// the depot, so that the cost of sharing is paid once for each magazine. The depot is stacks: of empty
// magazines, and of full ones, one for each memory node.
//
// Memory nodes (NUMA). A full magazine goes to the stack of the node on which its thread runs, and a thread takes from
// that of its own node first: it gets objects that were last used there, and most of those have their pages there. It
// takes from another node's before new objects are made, and before a get is refused. No magazine moves between
// stacks but by way of a thread's row. So a search finds in several stacks what it would find in one (pool.h, `moves`).
// On a machine with one node there is one stack.
//
// Push and pop take no lock. A stack's head holds a magazine's number and a count of changes. The count
// makes a late compare-and-swap fail when a head went and came back. A magazine's number is valid as long as
// the depot is open. The memory of its rounds comes by whole pages when objects are made, never in a get or
// put, and goes back with the objects. A thread that finds no empty magazine gives objects to the store
// (pools/slab/store.h) instead.
//
// The size of magazines is fixed; misses do not raise it (unlike section 3.5 of that paper). In bursts of
// 1000 a get and its put take 84 instructions with 32 rounds, 61 with 256 and 60 with 512, so little is left
// to win. Smaller magazines would not save memory either: the objects in the rows of 1000 idle threads (209
// MB of 3 KiB objects) are taken back when the pool is swept (4 MB are left).
//
//     uint32_t magazine = slab_depot_pop(depot, &depot->empty);  // 0: there is none
//     void **rounds = slab_magazine_rounds(depot, magazine);     // depot->capacity of them
//     slab_depot_push_full(depot, magazine);
#ifndef POOLMARK_POOLS_SLAB_DEPOT_H
#define POOLMARK_POOLS_SLAB_DEPOT_H

#include "pools/shared/memory_node.h"

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
    uint32_t capacity; // rounds of a magazine: a power of two, so whole magazines fit a page
    uint32_t limit;    // magazines that can be made
    size_t page_bytes;
    uint32_t chunk_shift; // a chunk holds the rounds of 1 << chunk_shift magazines
    void ***chunks; // of magazine n: chunk (n - 1) >> chunk_shift; mapped when a page of it is first made
    _Atomic uint32_t *next; // of magazine n: number of the magazine below it in a stack, at [n - 1]
    uint64_t *made;         // a bit for each page of rounds; guarded by the store's grow lock
    // Also under the grow lock, but statistics read them without it: atomic, in the default order, since they
    // change rarely.
    _Atomic int64_t made_pages;
    _Atomic uint32_t ever_made; // highest magazine: their table has memory up to here
    int nodes;                  // stacks of full magazines
    struct slab_stack empty, full[MEMORY_NODES_MAX];
};

// Rounds of a magazine for objects of that stride: a quarter of the L2 cache, within the bounds above.
uint32_t slab_magazine_capacity(size_t stride);

// `objects_max`: the most objects there will ever be; 0: unknown. 0 or -ENOMEM.
int slab_depot_open(struct slab_depot *depot, uint32_t capacity, int64_t objects_max)
    __attribute__((warn_unused_result));
void slab_depot_close(struct slab_depot *depot);

// Under the store's grow lock: ensures `count` magazines, or as many as the limit allows. 0, or -ENOMEM with
// fewer.
int slab_depot_make(struct slab_depot *depot, int64_t count) __attribute__((warn_unused_result));

// Under the store's grow lock: gives back some pages of empty magazines, while more than about `count` magazines
// are left. Returns bytes given back; 0: no more.
int64_t slab_depot_shrink(struct slab_depot *depot, int64_t count);

int64_t slab_depot_bytes(const struct slab_depot *depot); // memory of the depot
int64_t slab_depot_count(const struct slab_depot *depot); // magazines there are

// Magazine numbers; 0 for none. The caller owns a popped magazine.
uint32_t slab_depot_pop(struct slab_depot *depot, struct slab_stack *stack);
void slab_depot_push(struct slab_depot *depot, struct slab_stack *stack, uint32_t magazine);

// The same of full magazines: those of this thread's node, or failing that of another.
uint32_t slab_depot_pop_full(struct slab_depot *depot);
void slab_depot_push_full(struct slab_depot *depot, uint32_t magazine);

void slab_depot_prefetch(
    const struct slab_depot *depot); // the memory that a pop of a full magazine and a get from it use

// Objects in the depot; an estimate while others work.
static inline int64_t slab_depot_held(const struct slab_depot *depot)
{
    int64_t count = 0;
    for (int node = 0; node < depot->nodes; node++)
        count += atomic_load_explicit(&depot->full[node].count, memory_order_relaxed);
    return count * depot->capacity;
}

// Exact of each stack, not an estimate. Acquire: a thread that sees none sees everything done before the last was
// popped.
static inline bool slab_depot_has_full(const struct slab_depot *depot)
{
    for (int node = 0; node < depot->nodes; node++)
        if ((uint32_t)atomic_load_explicit(&depot->full[node].head, memory_order_acquire) != 0)
            return true;
    return false;
}

static inline void **slab_magazine_rounds(const struct slab_depot *depot, uint32_t magazine)
{
    uint32_t at = magazine - 1, within = at & ((1u << depot->chunk_shift) - 1);
    return depot->chunks[at >> depot->chunk_shift] + (size_t)within * depot->capacity;
}

#endif
