// SPDX-License-Identifier: Apache-2.0
// lifo_two: a process that uses two strategies. pool_get makes one indirect jump for all pools of a process.
// With one strategy it always goes to the same place, with two it does not. An operation is a get and its
// put on the measured pool, and then on a pool of strategy `null`. lifo/null gives the cost of the second
// alone.
#include "bench/way.h"
#include "bench/windows.h"

static void setup_two(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    bench_open(state, context);
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    struct pool *second = NULL;
    struct err err = {0};
    config.name = "second";
    config.object_bytes = bench->bytes;
    if (!gb_skipped(state) && pool_open(&second, pool_strategy_find("null"), &config, &err) < 0)
        gb_skip(state, err.text);
    bench->shared = second;
}

static void teardown_two(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    pool_close(bench->shared);
    bench->shared = NULL;
    bench_close(state, context);
}

ALWAYS_INLINE void lifo_two(struct gb_state *state, const struct bench_case *bench, enum bench_way way)
{
    const struct pool_inline pool = bench->access;
    struct pool *second = bench->shared;
    size_t bytes = bench->bytes;
    struct windows windows;
    windows_begin(&windows, state);
    int64_t n;
    while ((n = windows_next(&windows)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            void *object = bench_get(&pool, bytes, way);
            if (__builtin_expect(!object, 0)) {
                gb_skip(state, "a get gave no object");
                break;
            }
            gb_use(object);
            bench_put(&pool, object, way);
            void *other = pool_get(second);
            gb_use(other);
            pool_put(second, other);
        }
    }
    windows_report(&windows, gb_iterations(state));
}

BENCH_RUN(run_two, lifo_two(state, bench, way))

const struct workload two_workloads[] = {
    {.name = "lifo_two",
     .summary = "lifo, and after each put a get and a put of a second pool, which has the strategy null",
     .run = run_two,
     .setup = setup_two,
     .teardown = teardown_two,
     .clock = GB_CLOCK_CPU,
     .objects = 1,
     .one_size = true},
    {0},
};
