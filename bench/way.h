// SPDX-License-Identifier: Apache-2.0
// How a workload takes and gives back objects: in the way of a user of that contender. Each timed loop is
// compiled once for each way, so that no contender pays for a decision that its users would not have.
//
//     WAY_POOL     pool_get and pool_put, as most programs call a pool
//     WAY_INLINE   the hot path compiled in (pools/pool_inline.h); contender direct-slab
//     WAY_DIRECT   malloc and free of the allocator, without a pool
//     WAY_BARE     calls that do nothing. Shows what loop and call take by themselves: what a contender takes more is its
//                  own work. No contender that is called can be faster
//     WAY_READY    the next of objects that are there already, in turn, without a call. Shows what the use of the objects
//                  takes by itself: cache misses, and lines that go from one processor to another. For workloads in
//                  which that is much of the time (burst_1000, remote_1_1)
//
//     ALWAYS_INLINE void lifo(state, bench, enum bench_way way)
//     {
//         ... bench_get(&bench->access, bytes, way) ...
//     }
//     BENCH_RUN(run_lifo, lifo(state, bench, way))      // in the table: .run = run_lifo
//
// Where a call costs little beside the work that is measured with it, use bench_take and bench_give, which
// decide at run time.
#ifndef POOLMARK_BENCH_WAY_H
#define POOLMARK_BENCH_WAY_H

#include "bench/workload.h"

#include <stdlib.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

// The calls of `bare`: functions that do nothing, through a pointer that the compiler cannot resolve, as
// calls into a shared library are. The object is the calling thread's own, BENCH_BARE_BYTES long.
enum { BENCH_BARE_BYTES = 16384 };
extern void *(*const bench_bare_get)(size_t bytes);
extern void (*const bench_bare_put)(void *object);

// The objects of `ready`: as many as the workload can have out at once, given in turn. Like slab's they are an
// odd number of cache lines apart. One thread gets.
struct bench_ready {
    char *at, *first, *end; // the next, the first, and behind the last
    size_t stride;
};
extern struct bench_ready bench_ready;

// Skips the run when there is no memory. Closing what is not open is allowed.
void bench_ready_open(struct gb_state *state, size_t object_bytes, int64_t objects);
void bench_ready_close(void);

ALWAYS_INLINE void *bench_ready_get(void)
{
    char *object = bench_ready.at, *next = object + bench_ready.stride;
    bench_ready.at = next == bench_ready.end ? bench_ready.first : next;
    return object;
}

ALWAYS_INLINE void *bench_get(const struct pool_inline *access, size_t bytes, enum bench_way way)
{
    switch (way) {
    case WAY_DIRECT:
        return malloc(bytes);
    case WAY_BARE:
        return bench_bare_get(bytes);
    case WAY_INLINE:
        return pool_inline_get(access);
    case WAY_READY:
        return bench_ready_get();
    case WAY_POOL:
        break;
    }
    return pool_get(access->pool);
}

ALWAYS_INLINE void bench_put(const struct pool_inline *access, void *object, enum bench_way way)
{
    switch (way) {
    case WAY_DIRECT:
        free(object);
        return;
    case WAY_BARE:
        bench_bare_put(object);
        return;
    case WAY_INLINE:
        pool_inline_put(access, object);
        return;
    case WAY_READY:
        return;
    case WAY_POOL:
        break;
    }
    pool_put(access->pool, object);
}

static inline void *bench_take(const struct bench_case *bench)
{
    return bench_get(&bench->access, bench->bytes, bench->way);
}

static inline void bench_give(const struct bench_case *bench, void *object)
{
    bench_put(&bench->access, object, bench->way);
}

#define BENCH_ONE_WAY(function, constant, call)                                                              \
    static __attribute__((noinline)) void function(struct gb_state *state, void *context)                    \
    {                                                                                                        \
        const struct bench_case *bench = context;                                                            \
        const enum bench_way way = constant;                                                                 \
        call;                                                                                                \
    }

// Defines a gb_function `function` that runs `call`, which may use `state`, `bench` and `way`.
#define BENCH_RUN(function, call)                                                                            \
    BENCH_ONE_WAY(function##_pool, WAY_POOL, call)                                                           \
    BENCH_ONE_WAY(function##_inline, WAY_INLINE, call)                                                       \
    BENCH_ONE_WAY(function##_direct, WAY_DIRECT, call)                                                       \
    BENCH_ONE_WAY(function##_bare, WAY_BARE, call)                                                           \
    BENCH_ONE_WAY(function##_ready, WAY_READY, call)                                                         \
    static void function(struct gb_state *state, void *context)                                              \
    {                                                                                                        \
        static gb_function *const ways[] = {[WAY_POOL] = function##_pool,                                    \
                                            [WAY_INLINE] = function##_inline,                                \
                                            [WAY_DIRECT] = function##_direct,                                \
                                            [WAY_BARE] = function##_bare,                                    \
                                            [WAY_READY] = function##_ready};                                 \
        ways[((const struct bench_case *)context)->way](state, context);                                     \
    }

#endif
