// SPDX-License-Identifier: Apache-2.0
// Statistics without a shared cache line: each thread counts in its own row, and a reader adds the rows up.
//
// A row has one writer (the thread of its slot, see pools/shared/thread_slot.h), so a count is a plain load,
// add and store. Row 0 is shared by threads without a slot, and is added to atomically. Counts are relaxed:
// they order nothing. A reader who needs exact figures reads when no thread works, which something else must
// have ordered.
//
// In use, and the peak. The number of objects in use is spread over the rows, so no thread knows it exactly.
// Each row keeps its own balance (got here minus put here). It adds the change to a shared sum whenever the
// balance is more than COUNTERS_SLACK away from the last one added. So the sum is off by at most
// COUNTERS_SLACK x live rows; a row is live from its thread's first get or put until the thread exits. Each
// reported figure is a lower bound of the number in use at some instant, never more:
//
//     a read adds up all gets, then all puts: it may include a put that came meanwhile, but no such get
//     the sum less COUNTERS_SLACK x live rows is a lower bound for that figure, however long the read took
//     a row that adds to the sum raises the peak to the sum less COUNTERS_SLACK x other live rows
//
// So the peak is at most COUNTERS_SLACK x 2 x live rows too low. It is never below the number in use at a
// read while no thread works. It is exact with one live row, which reports each new maximum at once.
//
// A strategy with a lock in get and put, or a stack that knows its depth (pools/strategies/stock.h), needs
// none of this.
#ifndef POOLMARK_POOLS_SHARED_COUNTERS_H
#define POOLMARK_POOLS_SHARED_COUNTERS_H

#include "pools/pool.h"
#include "pools/shared/thread_slot.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { COUNTERS_SLACK = 16 };

// Two cache lines: processors fetch neighbouring lines in pairs.
struct counters_row {
    alignas(128) _Atomic int64_t taken; // gets that gave an object: hits, misses and overflow
    _Atomic int64_t put;
    _Atomic int64_t ceiling,
        floor;                 // taken - put above and below which there is more to do; written by the owner
    _Atomic int64_t handed_in; // taken - put when it was last added to the sum
    _Atomic int64_t misses, overflow, refused, failed;
    _Atomic bool live;
};

struct counters {
    struct counters_row *rows; // THREAD_SLOT_ROWS, mapped: a row costs memory once its slot is in use
    _Atomic uint64_t live;     // live rows; above COUNTERS_LIVE_BITS, how often they changed

    alignas(64) _Atomic int64_t in_use_sum; // balances handed in
    _Atomic int64_t peak;
};

enum { COUNTERS_LIVE_BITS = 16 };

int counters_open(struct counters *counters) __attribute__((warn_unused_result)); // 0 or -ENOMEM
void counters_close(struct counters *counters);
void counters_thread_exits(struct counters *counters, int slot); // adds its balance; for struct pool_strategy

// In a child of fork: the threads of all other slots are as if they had exited, however far they were in a count.
// Then `more` objects more are counted as in use; negative: fewer.
void counters_fork_child(struct counters *counters);
void counters_correct(struct counters *counters, int64_t more);

// Fills gets, puts, hits, misses, overflow, refused, failed, in_use and peak_in_use; leaves the rest alone.
void counters_read(struct counters *counters, struct pool_stats *stats);
int64_t counters_in_use(struct counters *counters); // of these

// Memory of the rows, in whole pages: none before a thread has counted.
int64_t counters_bytes(const struct counters *counters);

// The slow halves of the functions below; they count, too.
void counters_take_slowly(struct counters *counters, struct counters_row *row);
void counters_put_slowly(struct counters *counters, struct counters_row *row);
void counters_take_shared(struct counters *counters);
void counters_put_shared(struct counters *counters);

static inline int64_t counters_load(const _Atomic int64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

// A maximum, which orders no other reads. Any thread.
static inline void counters_raise(_Atomic int64_t *most, int64_t value)
{
    int64_t seen = counters_load(most);
    while (value > seen && !atomic_compare_exchange_weak_explicit(most, &seen, value, memory_order_relaxed,
                                                                  memory_order_relaxed))
        ;
}

// By the row's only writer: needs no read-modify-write, only that a reader never sees half a word.
static inline int64_t counters_bump(_Atomic int64_t *count)
{
    int64_t bumped = counters_load(count) + 1;
    atomic_store_explicit(count, bumped, memory_order_relaxed);
    return bumped;
}

static inline int64_t counters_balance(const struct counters_row *row)
{
    return counters_load(&row->taken) - counters_load(&row->put);
}

// A get gave an object to the thread of `slot`. A hit needs no more; the other kinds are counted in addition.
static inline void counters_take(struct counters *counters, int slot)
{
    struct counters_row *row = &counters->rows[slot];
    if (__builtin_expect(slot == 0, 0))
        counters_take_shared(counters);
    else if (__builtin_expect(counters_balance(row) >= counters_load(&row->ceiling), 0))
        counters_take_slowly(counters, row);
    else
        counters_bump(&row->taken);
}

// Call it before any other thread can have the object.
static inline void counters_put(struct counters *counters, int slot)
{
    struct counters_row *row = &counters->rows[slot];
    if (__builtin_expect(slot == 0, 0))
        counters_put_shared(counters);
    else if (__builtin_expect(counters_balance(row) <= counters_load(&row->floor), 0))
        counters_put_slowly(counters, row);
    else
        counters_bump(&row->put);
}

// For rare counts; `count` is a field of the row of `slot`.
static inline void counters_add(_Atomic int64_t *count, int slot)
{
    if (slot == 0)
        atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    else
        counters_bump(count);
}

static inline void counters_miss(struct counters *counters, int slot)
{
    counters_add(&counters->rows[slot].misses, slot);
}

static inline void counters_overflow(struct counters *counters, int slot)
{
    counters_add(&counters->rows[slot].overflow, slot);
}

static inline void counters_refused(struct counters *counters, int slot)
{
    counters_add(&counters->rows[slot].refused, slot);
}

static inline void counters_failed(struct counters *counters, int slot)
{
    counters_add(&counters->rows[slot].failed, slot);
}

#endif
