// SPDX-License-Identifier: Apache-2.0
// The objects of `fixed` and `expand`, and their memory.
//
// Objects are made in batches: one block of memory for `count` objects. Each object has a number. The
// numbers of the free objects are in a lock-free stack (pools/strategies/free_stack.h). The map
// (pools/strategies/stock_map.h) finds the number for an address. A new batch joins as a reserve, with the
// chain of its numbers ready. When the stack is empty, a get fills it with a whole reserve at once. So a
// batch joins in constant time, however many objects it has.
//
// Pop and push take no lock, so no thread waits for one that was preempted in the middle of either. The lock
// is for rare work: making and giving back batches, an empty stack, the pool's bounds, strays, statistics.
//
// A stray is an object that malloc served, and goes back to malloc when it is put. There are two kinds: overflow,
// beyond `max`; and misses, got while the batch that the get needed was being made. A miss stands for an object of the
// pool: together with the pool's own objects in use, misses that are out are never more than `max`. So a get is
// overflow exactly when `max` objects that are not overflow are in use, even where the pool has free objects by then
// that came too late for a miss. Whether a batch was made sooner or later changes hits to misses, and no overflow. The
// kind of a stray is in a header before it.
//
// The objects in use follow from the depth of the stack: in use = at_empty - depth. at_empty, the objects
// that would be in use if the stack were empty, changes only under the lock. The gate is the fewest free
// objects that a fast get may leave. A get that would leave fewer takes the slow path: a trigger or a bound
// is reached, or there is a new peak. The gate is set again under the lock (stock_settle_locked) whenever the
// state it follows from changed. A thread that sets the gate reads the stack afterwards; a thread that pops
// reads the gate afterwards. Both operations are sequentially consistent, so at least one of the threads
// sees the other. So no get passes a bound unnoticed, and the figures are exact:
//
//     hits = pops, which the stack's tag counts, minus the pops that were not hits
//     peak: each get that leaves fewer free than any before lowers the gate
//
// A batch retires when the pool has to own less. Its free objects leave the stack, those in use are counted
// as they come back ("home"), and when all are back its memory is freed. Memory is given back only by whole
// batches. While a batch retires, puts take the lock. A put that checked before the batch retired checks
// again after its push.
//
// To find a batch's free objects, all free ones are taken out of the stack at once, and sorted by portions. In between
// the lock is free. A get that finds the stack empty sorts a portion.
//
// Invariant: owned = free + unsorted + reserves + home + in use - strays. Functions whose name ends in _locked need the
// lock held; the others must be called without it.
#ifndef POOLMARK_POOLS_STRATEGIES_STOCK_H
#define POOLMARK_POOLS_STRATEGIES_STOCK_H

#include "pools/pool_strategy.h"
#include "pools/shared/object.h"
#include "pools/shared/pool_lock.h"
#include "pools/strategies/free_stack.h"
#include "pools/strategies/numbers.h"
#include "pools/strategies/stock_map.h"

#include <stdalign.h>

// The most objects: numbers have 32 bits.
#define STOCK_COUNT_MAX NUMBERS_MAX

struct stock_batch {
    struct stock_batch *next;   // in the list of reserves, or of batches to be freed
    struct number_range *range; // owned by the batch
    char *memory;               // count x stride bytes, owned by the batch
    int64_t count;
    int64_t rounding_bytes; // what the allocator added to `memory` and to this struct
    int64_t home;           // of a retiring batch: objects that are back; otherwise -1
    uint32_t home_top;      // the chain of those objects
    bool is_reserve;        // no object was given out since it joined
};

struct stock {
    // One cache line with everything that a pop or push accesses, except entries and map.
    alignas(64) struct free_stack free;
    _Atomic uint64_t gate;   // epoch, and the fewest free objects that a fast get may leave
    _Atomic uint32_t closed; // the part of the gate that is not for the peak: below it a get takes the lock
    _Atomic uint32_t puts_lock;  // a batch retires, or the pool drains
    size_t stride, object_bytes; // constant

    alignas(64) struct stock_map map;

    alignas(64) struct pool_lock lock; // guards all the rest
    int64_t gate_at;  // the strategy's own: gets are slow from so many in use on; INT64_MAX: never
    int64_t peak;     // as of the last settling
    int64_t at_empty; // as of the last settling; without strays being made
    int64_t pops;     // as of `tag`
    uint32_t tag;
    int64_t not_hits;   // pops that were not hits: taken back, of a miss, or by the lock's holder
    int64_t strays;     // objects out that malloc served, those being made included
    int64_t being_made; // strays whose malloc has not returned yet
    int64_t misses_out, misses_being_made; // of these, the ones that are no overflow
    int64_t max;                           // 0: unbounded
    int64_t misses, overflow, refused, failed;
    int64_t owned;
    int64_t reserved;       // objects of reserves
    int64_t home;           // objects of retiring batches that are back
    uint32_t unsorted;      // chain of free objects that are to be sorted
    int64_t unsorted_count; // its length
    int64_t retiring;       // batches
    int64_t pending;        // objects being made, not yet owned
    int64_t bytes_allocated;
    int64_t peak_bytes;                          // owned, bookkeeping included
    int64_t rounding_bytes;                      // of all batches
    bool refusing;                               // the last get was refused
    bool draining;                               // all batches retire
    struct stock_batch *reserves, *last_reserve; // oldest first
    struct numbers numbers;
    struct pool_config config; // constant
};

// 0; -ENOMEM; -EINVAL: more objects than there are numbers, `err` says so.
int stock_open(struct stock *stock, const struct pool_config *config, struct err *err)
    __attribute__((warn_unused_result));
void stock_close(struct stock *stock); // frees all batches, also objects still out

// Makes `count` objects, faults their pages in if the config says touch, and then makes them available. The
// caller has added `count` to `pending` (stock_plan_locked); this call subtracts it again in any case. 0;
// -ENOMEM; -ECANCELED, -ERANGE: a drain or a smaller `max` overtook it. After an error everything is undone.
int stock_grow(struct stock *stock, int64_t count) __attribute__((warn_unused_result));
// Plans `count` more objects. False: there would be more than `max`, or the pool drains.
bool stock_plan_locked(struct stock *stock, int64_t count);
// Both of the above: pool_preheat of these strategies. -ERANGE past `max`.
int stock_preheat(struct stock *stock, int64_t count) __attribute__((warn_unused_result));

// Sets `max`, lets the batches above it retire, and takes back those that need not retire any more. Returns bytes
// given back. Drain retires all batches, for good.
int64_t stock_resize(struct stock *stock, int64_t max);
int64_t stock_drain(struct stock *stock);

// Sets the gate again from `gate_at` and the rest, and notes the peak. Call it before the lock is released
// after any of these changed.
void stock_settle_locked(struct stock *stock);
int64_t stock_in_use_locked(const struct stock *stock); // strays being made included

// With so many in use: are as many as `max` in use that are not overflow?
bool stock_is_past_max_locked(const struct stock *stock, int64_t in_use);

// A free object's number, counted as a hit; FREE_STACK_NONE when none is free. A number from stock_pop is
// kept. False: the get is beyond the bound and has no object. May release the lock in between.
bool stock_pop_locked(struct stock *stock, uint32_t *number);
void stock_count_miss_locked(struct stock *stock); // the pop before was not a hit

// An object from malloc that stands for one of the pool, counted as a miss; NULL, counted as failed, when there is no
// memory. First count it as in use and as a stray with the lock held, so that bounds hold during malloc. False: it
// would be past `max`.
bool stock_reserve_miss_locked(struct stock *stock) __attribute__((warn_unused_result));
void *stock_make_miss(struct stock *stock);
// A get beyond the bound, by the pool's overflow policy: an object from malloc, or NULL, counted as refused.
// The listener gets only the first refusal in a row. Needs the lock; releases it.
void *stock_past_bound_unlock(struct stock *stock, const struct pool_config *config);

// Around fork, see pools/pool_strategy.h. The child gives up batches and strays that other threads were
// making.
void stock_fork_prepare(struct stock *stock);
void stock_fork_parent(struct stock *stock);
void stock_fork_child(struct stock *stock);

// Without the expansions, and without the bytes of the pool struct itself.
void stock_stats(struct stock *stock, struct pool_stats *stats);
void stock_beside(struct stock *stock, struct pool_beside *beside); // strays, and rounding of the batches
bool stock_owns(struct stock *stock, const void *object);           // is the object in a batch?
bool stock_is_valid(struct stock *stock);                           // while no other thread uses it

// --- the hot path -----------------------------------------------------------------------------------------

enum {
    STOCK_POPS_A_COUNT = 1 << 30
}; // the tag is read at least this often, so that no wrap of the tag can be missed

// The slow halves.
#define STOCK_FEW_LEFT (FREE_STACK_NONE - 1) // not the number of an object

// For a get when stock_pop gave no object. True: it has one now, `number`. False: it has to take the lock
// and call stock_pop_locked with `number`.
bool stock_pop_few(struct stock *stock, uint32_t *number, bool alone);
void stock_put_elsewhere(struct stock *stock, void *object, bool alone);
void stock_collect(struct stock *stock); // once more takes objects of retiring batches out of the stack

// The gate was set again since: the state that it follows from changed.
static inline bool stock_is_another_epoch(uint64_t gate, uint64_t other)
{
    return (gate ^ other) >> 32;
}

static inline bool stock_is_settled(struct stock *stock, uint64_t gate, uint64_t head, bool alone)
{
    bool counts = (head >> 32) % STOCK_POPS_A_COUNT == 0;
    // Read after the pop, see above.
    return !(counts | (!alone && stock_is_another_epoch(atomic_load(&stock->gate), gate)));
}

static inline char *stock_object(const struct stock *stock, uint32_t number)
{
    const struct free_stack_chunk *chunk = free_stack_chunk(&stock->free, number);
    char *segment = atomic_load_explicit(&chunk->objects[number % FREE_STACK_CHUNK / FREE_STACK_SEGMENT],
                                         memory_order_relaxed);
    return segment + number % FREE_STACK_SEGMENT * stock->stride;
}

// The object, or NULL: the get has to take the slow path. Then `number` is the object popped nevertheless,
// FREE_STACK_NONE, or STOCK_FEW_LEFT.
static inline __attribute__((always_inline)) void *stock_pop(struct stock *stock, uint32_t *number,
                                                             bool alone)
{
    uint64_t gate = atomic_load_explicit(&stock->gate, memory_order_acquire); // before the pop
    uint64_t head = free_stack_look(&stock->free), entry;
    char *object;
    do {
        *number = (uint32_t)head;
        if (__builtin_expect(*number == FREE_STACK_NONE, 0))
            return NULL;
        entry = free_stack_entry(&stock->free, *number);
        // Before the exchange, since all later loads wait for that. It may be stale, as the entry may be.
        object = stock_object(stock, *number);
        if (__builtin_expect(free_stack_depth_of(entry) <= (uint32_t)gate, 0)) {
            *number = STOCK_FEW_LEFT;
            return NULL;
        }
    } while (__builtin_expect(
        !free_stack_exchange(&stock->free, &head, free_stack_popped(head, entry), alone), 0));
    return __builtin_expect(stock_is_settled(stock, gate, head, alone), 1) ? object : NULL;
}

// For an object that was popped without the lock.
static inline void *stock_hand_out(struct stock *stock, void *object)
{
    unpoison(object, stock->object_bytes);
    object_keeps_state(&stock->config, object, stock->object_bytes);
    return object;
}

// The slow path of a strategy's get: the stack is empty, or the gate demands it. `number`: see stock_pop.
typedef void *stock_get_closely(struct pool *pool, uint32_t number, bool alone);

// A get of a strategy whose pool has this stock.
static inline __attribute__((always_inline)) void *stock_get(struct stock *stock, struct pool *pool,
                                                             bool alone, stock_get_closely *closely)
{
    uint32_t number;
    void *object = stock_pop(stock, &number, alone);
    if (__builtin_expect(!object, 0))
        return closely(pool, number, alone);
    return stock_hand_out(stock, object);
}

static inline __attribute__((always_inline)) void stock_push(struct stock *stock, void *object,
                                                             uint32_t number, bool alone)
{
    poison(object, stock->object_bytes);
    free_stack_push(&stock->free, number, alone);
    // After the push: the thread that set it collects what is in the stack later.
    if (__builtin_expect(!alone && atomic_load(&stock->puts_lock) != 0, 0))
        stock_collect(stock);
}

static inline __attribute__((always_inline)) void stock_put(struct stock *stock, void *object, bool alone)
{
    uint32_t number;
    bool is_in_main = stock_map_main(&stock->map, object, &number);
    // Relaxed: only a hint, since the slow path checks it again.
    bool locks = atomic_load_explicit(&stock->puts_lock, memory_order_relaxed) != 0;
    if (__builtin_expect(is_in_main & !locks, 1))
        stock_push(stock, object, number, alone);
    else
        stock_put_elsewhere(stock, object, alone);
}

#endif
