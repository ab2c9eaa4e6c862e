// SPDX-License-Identifier: Apache-2.0
// Workloads: the measurements of a pool. A workload is a row of a table in a file of its own. workload.c
// lists the tables. It registers each row with every contender that can do it, every object size and every
// thread count, as WORKLOAD/CONTENDER/BYTES[/threads:N].
//
// Contenders are the strategies, ours and those loaded by --pool, called through the pool's calls, and
//   direct       malloc and free, called as a program calls them: no pool, no count
//   direct-slab  slab by its inlined calls, statistics included
//   bare         calls that do nothing: the floor of loop and call
//   ready        the next of as many objects as can be out, in turn, inlined: the floor where objects are used
//
// Every workload reports the counter `per_op`: seconds of elapsed time for an operation, as one of its
// threads sees it; for loops in windows, of windows at full speed (bench/windows.h). `summary` says what an
// operation is; the default is one get and its put.
//
// A workload's functions get a `struct bench_case *` as context. setup makes a pool for one run (bench_open
// unless the row has its own), all threads of the run call run, teardown closes the pool. Memory of the
// harness comes from bench_map, faulted in and never from malloc: so neither the measured allocator nor the
// kernel's fault counter sees it.
#ifndef POOLMARK_BENCH_WORKLOAD_H
#define POOLMARK_BENCH_WORKLOAD_H

#include "bench/gbench.h"
#include "bench/map.h"
#include "pools/pool.h"
#include "pools/pool_inline.h"

#include <string.h>

enum bench_touch { TOUCH_NOTHING, TOUCH_LINE, TOUCH_320, TOUCH_ALL };
enum bench_way { WAY_POOL, WAY_INLINE, WAY_DIRECT, WAY_BARE, WAY_READY }; // bench/way.h

enum { WORKLOAD_THREADS_MAX = 3, WORKLOAD_BYTES = 3072 };

struct workload {
    const char *name, *summary;
    gb_function *run, *setup, *teardown; // setup and teardown: NULL for bench_open and bench_close
    int64_t objects;                     // most objects that each thread has out at once
    int64_t parameter;                   // the workload's own
    enum bench_touch touch;              // how the workload's threads touch the objects
    unsigned needs, shuns;               // capability flags that a strategy must have, and must not have
    bool both_modes; // strategies that can grow in the background run twice: NAME-inline and NAME-background
    bool adapts; // with both_modes: a third time with growth by the load, in the background: NAME-adaptive
    bool not_single;                   // no run with one thread
    bool one_size;                     // objects of WORKLOAD_BYTES only
    size_t bytes;                      // its only size, which need not be one of the others'; 0: all sizes
    bool calls_only;                   // no run with inlined calls
    bool ready;                        // one thread gets, so `ready` can run too
    int threads[WORKLOAD_THREADS_MAX]; // further thread counts; 0 ends
    int64_t batch, iterations;         // as in struct gb_spec
    // The clock that decides how long it runs. GB_CLOCK_CPU for one thread that never waits; runs with
    // several threads always use elapsed time.
    enum gb_clock clock;
};

struct bench_case {
    const struct workload *workload;
    const struct pool_strategy *strategy; // without a pool: a strategy with the same capabilities
    enum bench_way way;
    enum pool_growth mode;
    enum pool_growth_rule rule;
    size_t bytes;
    char name[96];
    const char *trace; // file for the cost of each get, if the workload writes one; NULL: none

    // Of the current run. Written by setup, read by the threads that start after it.
    struct pool *pool;         // NULL for WAY_DIRECT, WAY_BARE and WAY_READY, which have no pool
    struct pool_inline access; // to `pool`, for bench/way.h
    void *shared;
};

// Opens the pool of a row without its own setup. Strategies that can keep objects ready own all objects that
// the threads will have out, and a quarter more (so that the trigger at 80 % is not reached). The objects
// are touched.
void bench_open(struct gb_state *state, void *bench_case);
void bench_close(struct gb_state *state, void *bench_case);

// As bench_open, with the workload's own config: call bench_config, change it, then call this. Fields that
// the strategy cannot do are left out. Skips the run when the pool cannot be opened.
struct pool_config bench_config(const struct bench_case *bench, int64_t objects);
void bench_open_config(struct gb_state *state, struct bench_case *bench, struct pool_config *config);

// pool_stats, pool_sweep and pool_trim. Without a pool: zeros, and nothing. A counter that follows from statistics is left
// out where they are unknown.
void bench_stats(const struct bench_case *bench, struct pool_stats *stats);
void bench_sweep(const struct bench_case *bench);
void bench_trim(const struct bench_case *bench);

// After the loop: the number of operations that this thread did.
void bench_report_ops(struct gb_state *state, int64_t ops);

// Counts of the calling thread so far: minor page faults; involuntary context switches.
int64_t bench_thread_faults(void);
int64_t bench_thread_preemptions(void);

// Adds every row that fits to the suite, for each of `strategies` (NULL-terminated, as pool_strategies() has
// them) and the other contenders. `cases` gets an array; free it after the last run. `trace` is set
// in each case, and must outlive the runs.
int workloads_register(struct gb_suite *suite, const struct pool_strategy *const *strategies,
                       const char *trace, struct bench_case **cases, struct err *err)
    __attribute__((warn_unused_result));
const struct workload *workload_at(size_t index); // in the order of their tables; NULL after the last

// Adds one case under its name, as workloads_register does for each. `bench` must outlive the runs.
int workload_add(struct gb_suite *suite, struct bench_case *bench, struct err *err)
    __attribute__((warn_unused_result));

enum { BENCH_320 = 320, BENCH_LINE = 64 };

static inline void bench_touch_object(void *object, size_t bytes, enum bench_touch touch)
{
    gb_use(object);
    if (touch == TOUCH_LINE)
        *(volatile uint64_t *)object = 1;
    else if (touch == TOUCH_320)
        memset(object, 1, bytes < BENCH_320 ? bytes : BENCH_320);
    else if (touch == TOUCH_ALL)
        memset(object, 1, bytes);
    gb_use(object);
}

// Reads one word of each line that bench_touch_object wrote.
static inline void bench_read_object(const void *object, size_t bytes, enum bench_touch touch)
{
    size_t to = touch == TOUCH_ALL ? bytes : touch == TOUCH_320 && bytes > BENCH_320 ? BENCH_320 : BENCH_LINE;
    for (size_t at = 0; touch != TOUCH_NOTHING && at < to && at < bytes; at += BENCH_LINE)
        (void)*(const volatile uint64_t *)(const void *)((const char *)object + at);
}

// xorshift64 (Marsaglia 2003): the state must not be 0. Seeded by thread, so that every run does the same.
static inline uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}
static inline uint64_t bench_seed(const struct gb_state *state)
{
    return UINT64_C(0x9E3779B97F4A7C15) * (uint64_t)(gb_thread_index(state) + 1);
}

#endif
