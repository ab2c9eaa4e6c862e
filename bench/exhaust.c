// SPDX-License-Identifier: Apache-2.0
// exhaust: the cost of a get when all objects that the pool may own are out: refused, or served by the heap
// beyond `max`.
#include "bench/way.h"
#include "bench/windows.h"

enum { EXHAUST_OBJECTS = 1000 };

static void setup_exhaust(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct pool_config config = bench_config(bench, EXHAUST_OBJECTS);
    config.max = EXHAUST_OBJECTS;
    config.overflow = (enum pool_overflow)bench->workload->parameter;
    bench_open_config(state, bench, &config);
    void **objects = bench_map(state, EXHAUST_OBJECTS * sizeof *objects);
    bench->shared = objects;
    for (size_t i = 0; objects && bench->pool && i < EXHAUST_OBJECTS; i++) {
        if (!(objects[i] = bench_take(bench)))
            gb_skip(state, "a get below the bound gave no object");
    }
}

static void teardown_exhaust(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    void **objects = bench->shared;
    for (size_t i = 0; objects && bench->pool && i < EXHAUST_OBJECTS; i++)
        bench_give(bench, objects[i]);
    bench_unmap(objects, EXHAUST_OBJECTS * sizeof *objects);
    bench->shared = NULL;
    bench_close(state, context);
}

ALWAYS_INLINE void exhaust(struct gb_state *state, const struct bench_case *bench, enum bench_way way)
{
    bool refuses = bench->workload->parameter == POOL_OVERFLOW_REFUSE, kept = true;
    struct windows windows;
    windows_begin(&windows, state);
    int64_t n;
    while ((n = windows_next(&windows)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            void *object = bench_get(&bench->access, bench->bytes, way);
            gb_use(object);
            kept &= !object == refuses;
            bench_put(&bench->access, object, way);
        }
    }
    if (!kept)
        gb_skip(state, refuses ? "a get past the bound was served" : "a get past the bound was refused");
    windows_report(&windows, gb_iterations(state));
}

BENCH_RUN(run_exhaust, exhaust(state, bench, way))

#define EXHAUST(row_name, row_parameter, text)                                                               \
    {                                                                                                        \
        .name = row_name, .summary = text, .run = run_exhaust, .clock = GB_CLOCK_CPU,                        \
        .setup = setup_exhaust, .teardown = teardown_exhaust, .objects = EXHAUST_OBJECTS,                    \
        .parameter = row_parameter, .needs = POOL_CAP_BOUNDED, .threads = {                                  \
            2                                                                                                \
        }                                                                                                    \
    }

const struct workload exhaust_workloads[] = {
    EXHAUST("exhaust_refuse", POOL_OVERFLOW_REFUSE, "all 1000 objects are out: a get that is refused"),
    EXHAUST("exhaust_heap", POOL_OVERFLOW_HEAP,
            "all 1000 objects are out: a get that the heap serves, and its put"),
    {0},
};
