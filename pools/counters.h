// SPDX-License-Identifier: Apache-2.0
// Statistics that cost no shared cache line: each thread counts in a row of its own, and whoever reads adds
// the rows up.
//
// A row has one writer (its slot's thread, see pools/thread_slot.h), so a count is a plain load, add and
// store; row 0, which threads without a slot share, is added to atomically. Counts are relaxed: they order
// nothing, and a reader who needs exact figures reads when nobody works, which something else has ordered.
//
// The peak. How many objects are in use is spread over the rows, so no thread knows it exactly. Each row
// keeps its own balance (got here minus put here) and hands it to a shared sum whenever it is COUNTERS_SLACK
// away from what it last handed in. One thread alone: the peak is exact. With n threads it is off by at most
// n x COUNTERS_SLACK, and never below what is in use when it is read.
//
// Strategies that hold a lock in get and put anyway count under it instead (pools/stock.h).
#ifndef POOLMARK_POOLS_COUNTERS_H
#define POOLMARK_POOLS_COUNTERS_H

#include "pools/pool.h"
#include "pools/thread_slot.h"

#include <stdalign.h>
#include <stdatomic.h>

enum { COUNTERS_SLACK = 16 };

// Two cache lines: processors fetch neighbouring lines in pairs.
struct counters_row {
    alignas(128) _Atomic int64_t taken; // gets that gave an object: hits, misses and overflow
    _Atomic int64_t put;
    _Atomic int64_t misses, overflow, refused, failed;
    _Atomic int64_t ceiling;   // highest taken - put since the balance was last handed in
    _Atomic int64_t handed_in; // taken - put when it was
};

struct counters {
    struct counters_row *rows;  // THREAD_SLOT_ROWS, mapped: a row costs memory once its slot is in use
    _Atomic int64_t in_use_sum; // balances handed in
    _Atomic int64_t peak;
};

int counters_open(struct counters *counters) __attribute__((warn_unused_result)); // 0 or -ENOMEM
void counters_close(struct counters *counters);

// Fills gets, puts, hits, misses, overflow, refused, failed, in_use and peak_in_use; leaves the rest alone.
void counters_read(struct counters *counters, struct pool_stats *stats);

// What the rows take of memory, in whole pages.
int64_t counters_bytes(void);

// The slow halves of the functions below.
void counters_rise(struct counters *counters, struct counters_row *row);
void counters_fall(struct counters *counters, struct counters_row *row);
void counters_take_shared(struct counters *counters);
void counters_put_shared(struct counters *counters);

static inline int64_t counters_load(const _Atomic int64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

// By the row's only writer: no read-modify-write is needed, only that a reader never sees half a word.
static inline int64_t counters_bump(_Atomic int64_t *count)
{
    int64_t bumped = counters_load(count) + 1;
    atomic_store_explicit(count, bumped, memory_order_relaxed);
    return bumped;
}

// A get gave an object to the thread of `slot`. A hit needs no more; the others are counted beside it.
static inline void counters_take(struct counters *counters, int slot)
{
    struct counters_row *row = &counters->rows[slot];
    if (__builtin_expect(slot == 0, 0))
        counters_take_shared(counters);
    else if (__builtin_expect(
                 counters_bump(&row->taken) - counters_load(&row->put) > counters_load(&row->ceiling), 0))
        counters_rise(counters, row);
}

static inline void counters_put(struct counters *counters, int slot)
{
    struct counters_row *row = &counters->rows[slot];
    if (__builtin_expect(slot == 0, 0))
        counters_put_shared(counters);
    else if (__builtin_expect(counters_load(&row->taken) - counters_bump(&row->put) + COUNTERS_SLACK <
                                  counters_load(&row->handed_in),
                              0))
        counters_fall(counters, row);
}

// For the rare counts; `count` is a field of the row of `slot`.
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
