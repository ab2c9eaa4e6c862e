// SPDX-License-Identifier: Apache-2.0
// How a workload takes and gives back objects: in the way of a user of that contender. Each timed loop is
// compiled once for each way, so that no contender pays for a decision that its users would not have.
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

ALWAYS_INLINE void *bench_get(const struct pool_inline *access, size_t bytes, enum bench_way way)
{
    switch (way) {
    case WAY_DIRECT:
        return malloc(bytes);
    case WAY_BARE:
        return bench_bare_get(bytes);
    case WAY_INLINE:
        return pool_inline_get(access);
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
    static void function(struct gb_state *state, void *context)                                              \
    {                                                                                                        \
        static gb_function *const ways[] = {[WAY_POOL] = function##_pool,                                    \
                                            [WAY_INLINE] = function##_inline,                                \
                                            [WAY_DIRECT] = function##_direct,                                \
                                            [WAY_BARE] = function##_bare};                                   \
        ways[((const struct bench_case *)context)->way](state, context);                                     \
    }

#endif
