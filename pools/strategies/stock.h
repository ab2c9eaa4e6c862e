// SPDX-License-Identifier: Apache-2.0
// The objects of `fixed` and `expand`, and the memory they are in.
//
// Objects are made in batches: one block of memory for `count` objects. Each object has a number; the numbers
// of the free ones are in a lock-free stack (pools/strategies/free_stack.h), and the map
// (pools/strategies/stock_map.h) tells the number of an address. A new batch joins as a reserve; when the
// stack is empty, a get fills it with a whole reserve at once, whose chain was laid when it was made. So a
// batch joins in constant time, however many objects it has.
//
// A get pops and a put pushes without a lock, so nobody waits for a thread that was preempted in the middle
// of either. The lock is for what is rare: making and giving back batches, an empty stack, the pool's bounds,
// strays, statistics. A stray is an object that malloc served, past `max` or while a batch was being made; it
// goes back to malloc when it is put.
//
// How many are in use follows from the depth of the stack: at_empty - depth, where at_empty (objects that
// would be in use if the stack were empty) changes under the lock only. A get that leaves fewer free than the
// gate says has to look closer: a trigger or a bound is reached, or there are more in use than ever. The gate
// is set anew under the lock (stock_settle_locked) whenever what it follows from changed. Who sets it looks
// at the stack afterwards, and who pops looks at the gate afterwards, both in the one order of sequentially
// consistent operations: one of them sees the other. So no get slips past a bound, and the figures are exact:
//
//     hits = pops, which the stack's tag counts, less those that were no hits
//     peak: each get that leaves fewer free than any before it says so, by lowering the gate
//
// A batch retires when the pool is to own less: its free objects leave the stack, those in use are counted as
// they come back, and when all are home its memory goes back. A batch is all that can be given back here.
// While one retires, puts take the lock. A put that looked before it retired looks again after its push.
//
// Invariants: owned = free + reserves + home + in use - strays. Functions whose name ends in _locked want the
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

// The most objects: their numbers have 32 bits.
#define STOCK_COUNT_MAX NUMBERS_MAX

struct stock_batch {
    struct stock_batch *next;   // among the reserves, or those that are gone
    struct number_range *range; // owned
    char *memory;               // count x stride bytes, owned
    int64_t count;
    int64_t home;      // of a batch that retires: objects that are back; otherwise -1
    uint32_t home_top; // and the chain of them
    bool is_reserve;   // none of its objects was given out since it joined
};

// What a get was served by, besides the stock.
enum stock_stray { STOCK_MISS, STOCK_OVERFLOW };

struct stock {
    // One cache line: all that a pop or push touches, entries and map aside.
    alignas(64) struct free_stack free;
    _Atomic uint64_t gate;   // epoch, and the fewest free objects that a get may leave without looking closer
    _Atomic uint32_t closed; // the part of it that is not for the peak: below it a get has to take the lock
    _Atomic uint32_t puts_lock;  // some batch retires, or the pool drains
    size_t stride, object_bytes; // constant

    alignas(64) struct stock_map map;

    alignas(64) struct pool_lock lock; // guards all the rest
    int64_t gate_at;                   // objects in use at which a get has to look closer; INT64_MAX for none
    int64_t peak;                      // as of the last settling
    int64_t at_empty;                  // as of the last settling; strays that are being made not among them
    int64_t pops;                      // as of `tag`
    uint32_t tag;
    int64_t not_hits;   // pops that were no hits: taken back, of a miss, or the lock's holder's own
    int64_t strays;     // objects out that malloc served, those being made among them
    int64_t being_made; // strays whose malloc has not come back yet
    int64_t max;        // 0: unbounded
    int64_t misses, overflow, refused, failed;
    int64_t owned;
    int64_t reserved; // objects of reserves
    int64_t home;     // objects of batches that retire, that are back
    int64_t retiring; // batches
    int64_t pending;  // objects being made, not yet owned
    int64_t bytes_allocated;
    bool refusing;                               // the last get was refused
    bool draining;                               // all batches retire
    struct stock_batch *reserves, *last_reserve; // oldest first
    struct numbers numbers;
    struct pool_config config; // constant
};

// 0; -ENOMEM; -EINVAL with the reason in `err`: more objects than there are numbers.
int stock_open(struct stock *stock, const struct pool_config *config, struct err *err)
    __attribute__((warn_unused_result));
void stock_close(struct stock *stock); // frees all batches; objects still out are gone with them

// Makes `count` objects, their pages faulted in if the config said touch, and then makes them available. The
// caller has added the count to `pending` (stock_plan_locked), from which it is taken again however this
// ends. 0, or -ENOMEM with everything undone.
int stock_grow(struct stock *stock, int64_t count) __attribute__((warn_unused_result));
// Plans `count` more, unless there would be more than `max` then, or the pool drains.
bool stock_plan_locked(struct stock *stock, int64_t count);
// Both: pool_preheat of these strategies. -ERANGE past `max`.
int stock_preheat(struct stock *stock, int64_t count) __attribute__((warn_unused_result));

// Sets `max`, has batches retire that are above it, and takes back those that need not retire any more. The
// caller sets its gate anew, while stock_is_past_max_locked. Returns bytes given back. Drain has all of them
// retire, for good.
int64_t stock_resize(struct stock *stock, int64_t max);
int64_t stock_drain(struct stock *stock);

// With the gate set anew to what `gate_at` and the rest say, and the peak noted: before the lock is let go
// after any of it changed.
void stock_settle_locked(struct stock *stock);
int64_t stock_in_use_locked(const struct stock *stock); // strays that are being made among them

// No object may be given out beyond so many in use: gets past `max` are refused; or more is owned than `max`,
// and as many of the pool's own are in use.
bool stock_is_past_max_locked(const struct stock *stock, int64_t in_use);

// A free object's number, counted as a hit; FREE_STACK_NONE when none is free. A number that stock_pop gave
// already is kept. False: the get is past the bound, and has none.
bool stock_pop_locked(struct stock *stock, uint32_t *number);
void stock_count_miss_locked(struct stock *stock); // the pop before was none

// Counts a stray that is being made. False: there are as many in use as may be.
bool stock_reserve_locked(struct stock *stock) __attribute__((warn_unused_result));
// An object from malloc, counted as `kind`; NULL, counted as failed, when there is no memory. The caller has
// counted it as in use and stray already (stock_reserve_locked), so that bounds hold while malloc works.
void *stock_stray(struct stock *stock, enum stock_stray kind);
// A get past the bound, by the pool's overflow policy: an object from malloc, or NULL, counted as refused and
// told to the listener when it is the first of a run. Called with the lock held; lets it go.
void *stock_past_bound_unlock(struct stock *stock, const struct pool_config *config);

// Around fork, see pools/pool_strategy.h. The child gives up the batches and strays that others were making.
void stock_fork_prepare(struct stock *stock);
void stock_fork_parent(struct stock *stock);
void stock_fork_child(struct stock *stock);

// Not expansions, nor the pool struct's own bytes.
void stock_stats(struct stock *stock, struct pool_stats *stats);
bool stock_owns(struct stock *stock, const void *object); // is it in a batch?
bool stock_is_valid(struct stock *stock);                 // nobody else is at it

// --- the hot path -----------------------------------------------------------------------------------------

enum {
    STOCK_POPS_A_COUNT = 1 << 30
}; // so often the tag is read at least, so that it is not missed that it wrapped

// The slow halves.
#define STOCK_FEW_LEFT (FREE_STACK_NONE - 1) // no object's number

// For a get of which stock_pop gave no object. True: it has one by now, `number`. False: it has to look
// closer with the lock held, where stock_pop_locked takes `number`.
bool stock_pop_few(struct stock *stock, uint32_t *number, bool alone);
void stock_put_elsewhere(struct stock *stock, void *object, bool alone);
void stock_collect(struct stock *stock);

// The gate is of another time: what it followed from changed.
static inline bool stock_is_another_epoch(uint64_t gate, uint64_t other)
{
    return (gate ^ other) >> 32;
}

static inline bool stock_is_settled(struct stock *stock, uint64_t gate, uint64_t head, bool alone)
{
    bool counts = (head >> 32) % STOCK_POPS_A_COUNT == 0;
    // After the pop, see above.
    return !(counts | (!alone && stock_is_another_epoch(atomic_load(&stock->gate), gate)));
}

static inline char *stock_object(const struct stock *stock, uint32_t number)
{
    const struct free_stack_chunk *chunk = free_stack_chunk(&stock->free, number);
    char *segment = atomic_load_explicit(&chunk->objects[number % FREE_STACK_CHUNK / FREE_STACK_SEGMENT],
                                         memory_order_relaxed);
    return segment + number % FREE_STACK_SEGMENT * stock->stride;
}

// The object, or NULL: the get has to look closer. Then `number` is what it popped all the same,
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
        // Before the exchange, which all later loads wait for. It may be stale, as the entry is.
        object = stock_object(stock, *number);
        if (__builtin_expect(free_stack_depth_of(entry) <= (uint32_t)gate, 0)) {
            *number = STOCK_FEW_LEFT;
            return NULL;
        }
    } while (__builtin_expect(
        !free_stack_exchange(&stock->free, &head, free_stack_popped(head, entry), alone), 0));
    return __builtin_expect(stock_is_settled(stock, gate, head, alone), 1) ? object : NULL;
}

// For an object that was popped, without the lock.
static inline void *stock_hand_out(struct stock *stock, void *object)
{
    unpoison(object, stock->object_bytes);
    object_keeps_state(&stock->config, object, stock->object_bytes);
    return object;
}

static inline __attribute__((always_inline)) void stock_push(struct stock *stock, void *object,
                                                             uint32_t number, bool alone)
{
    poison(object, stock->object_bytes);
    free_stack_push(&stock->free, number, alone);
    // After the push: who set it collects what is in the stack after that.
    if (__builtin_expect(!alone && atomic_load(&stock->puts_lock) != 0, 0))
        stock_collect(stock);
}

static inline __attribute__((always_inline)) void stock_put(struct stock *stock, void *object, bool alone)
{
    uint32_t number;
    bool is_in_main = stock_map_main(&stock->map, object, &number);
    // Relaxed: a hint, as it is looked at again.
    bool locks = atomic_load_explicit(&stock->puts_lock, memory_order_relaxed) != 0;
    if (__builtin_expect(is_in_main & !locks, 1))
        stock_push(stock, object, number, alone);
    else
        stock_put_elsewhere(stock, object, alone);
}

#endif
