// SPDX-License-Identifier: Apache-2.0
// The free objects of `fixed` and `expand`, and the memory they are in.
//
// Objects are made in batches: one block of memory for `count` objects, and a rack with room for as many
// pointers. Free objects stand in racks, as pointers, so that nothing is linked through an object and free
// ones can be poisoned. Pops and pushes work on the current rack; when it is empty or full it is exchanged
// whole. So a new batch joins by linking its full rack, in constant time under the lock however many objects
// it brings.
//
// Invariants: every rack but the current one is empty or full. Places in racks = objects owned by batches
// that do not retire, so a push always finds room. owned = free + in use - strays. A stray is an object that
// malloc served, past `max` or while a batch was being made; it goes back to malloc when it is put.
//
// A batch retires when the pool is to own less: its free objects leave the racks, those in use are counted as
// they come back, and when all are home its memory goes back. A batch is all that can be given back here.
//
// The lock is held for a handful of instructions, and statistics are counted under it, where they cost
// nothing more: exact, at the price that all threads share the lock's cache line. That is what these
// strategies are: one stack behind one lock. Functions whose name ends in _locked want the lock held; the
// others must be called without it.
#ifndef POOLMARK_POOLS_STRATEGIES_STOCK_H
#define POOLMARK_POOLS_STRATEGIES_STOCK_H

#include "pools/shared/object.h"
#include "pools/pool_strategy.h"
#include "pools/shared/pool_lock.h"

#include <stdalign.h>

struct stock_batch {
    struct stock_batch *next; // in the list of full or of empty racks
    char *memory;             // count x stride bytes, owned
    int64_t count;            // objects, and places in the rack
    int64_t home;             // of a batch that retires: objects that are back; otherwise -1
    void *rack[];
};

// What a get was served by, besides the stock.
enum stock_stray { STOCK_MISS, STOCK_OVERFLOW };

struct stock {
    // One cache line: all that a pop or push touches, the rack aside.
    alignas(64) struct pool_lock lock; // guards all the rest
    void **top;                        // the place above the current rack's topmost free object
    void **low;                        // where a pop stops to look: the current rack's bottom, or one above
    void **limit;                      // the current rack's end
    int64_t in_use, peak;
    int64_t hits;
    int64_t gate; // objects in use at which a get has to look closer; INT64_MAX for none

    alignas(64) int64_t strays; // objects out that malloc served, those being made among them
    int64_t retiring;           // batches
    int64_t max;                // 0: unbounded
    int64_t being_made;         // strays whose malloc has not come back yet
    int64_t misses, overflow, refused, failed;
    int64_t owned;
    int64_t pending; // objects being made, not yet owned
    int64_t bytes_allocated;
    bool refusing; // the last get was refused
    bool draining; // all batches retire
    struct stock_batch *current, *full, *empty;
    struct stock_batch **batches; // all, by rising address of memory
    size_t batch_count, batch_room;

    struct pool_config config; // constant, as are these
    size_t object_bytes, stride;
};

void stock_init(struct stock *stock, const struct pool_config *config);
void stock_close(struct stock *stock); // frees all batches; objects still out are gone with them

// Makes `count` objects, their pages faulted in if the config said touch, and then makes them available. The
// caller has added the count to `pending` (stock_plan_locked), from which it is taken again however this
// ends. 0, or -ENOMEM with everything undone.
int stock_grow(struct stock *stock, int64_t count) __attribute__((warn_unused_result));
// Plans `count` more, unless there would be more than `max` then, or the pool drains.
bool stock_plan_locked(struct stock *stock, int64_t count);
// Both: pool_preheat of these strategies. -ERANGE past `max`.
int stock_preheat(struct stock *stock, int64_t count) __attribute__((warn_unused_result));

// Sets `max`, and has batches retire that are above it. The caller sets its gate anew, while
// `stock_is_above_max`. Returns bytes given back. Drain has all of them retire, for good.
int64_t stock_resize(struct stock *stock, int64_t max);
int64_t stock_drain(struct stock *stock);

// More is owned than `max`, and as many are in use: no object of the pool may be given out.
static inline bool stock_is_past_max_locked(const struct stock *stock)
{
    return stock->max && stock->owned > stock->max && stock->in_use - stock->strays >= stock->max;
}

// An object from malloc, counted as `kind`; NULL, counted as failed, when there is no memory. The caller has
// counted it as in use and stray already (stock_reserve_locked), so that bounds hold while malloc works.
void *stock_stray(struct stock *stock, enum stock_stray kind);
// A get past the bound, by the pool's overflow policy: an object from malloc, or NULL, counted as refused and
// told to the listener when it is the first of a run. Called with the lock held; lets it go.
void *stock_past_bound_unlock(struct stock *stock, const struct pool_config *config);

void stock_put(struct stock *stock, void *object);

// Around fork, see pools/pool_strategy.h. The child gives up the batches and strays that others were making.
void stock_fork_prepare(struct stock *stock);
void stock_fork_parent(struct stock *stock);
void stock_fork_child(struct stock *stock);

void stock_stats(struct stock *stock,
                 struct pool_stats *stats);               // not expansions, nor the pool struct's own bytes
bool stock_owns(struct stock *stock, const void *object); // is it in a batch?
bool stock_is_valid(struct stock *stock);

// The slow half of a pop; false when nothing is left.
bool stock_next_rack_locked(struct stock *stock);

static inline void stock_count_in_use_locked(struct stock *stock)
{
    stock->in_use++;
    if (stock->in_use > stock->peak)
        stock->peak = stock->in_use;
}

// A free object, counted as in use, or NULL when none is free. The caller counts the hit.
static inline void *stock_pop_locked(struct stock *stock)
{
    if (__builtin_expect(stock->top == stock->low, 0) && !stock_next_rack_locked(stock))
        return NULL;
    stock_count_in_use_locked(stock);
    return *--stock->top;
}

static inline void stock_reserve_locked(struct stock *stock)
{
    stock->in_use++;
    stock->strays++;
    stock->being_made++;
}

// For the object that a pop gave, once the lock is free.
static inline void *stock_hand_out(struct stock *stock, void *object)
{
    unpoison(object, stock->object_bytes);
    object_keeps_state(&stock->config, object, stock->object_bytes);
    return object;
}

// For a pool of one thread: the whole get and put in the common case, without the lock. NULL and false:
// nothing happened, and the ordinary way is to be taken.
static inline void *stock_get_alone(struct stock *stock)
{
    if (__builtin_expect(stock->in_use >= stock->gate || stock->top == stock->low, 0))
        return NULL;
    stock_count_in_use_locked(stock);
    stock->hits++;
    stock->refusing = false;
    return stock_hand_out(stock, *--stock->top);
}

static inline bool stock_put_alone(struct stock *stock, void *object)
{
    if (__builtin_expect((stock->strays | stock->retiring) != 0 || stock->top == stock->limit, 0))
        return false;
    stock->in_use--;
    poison(object, stock->object_bytes);
    *stock->top++ = object;
    return true;
}

#endif
