// SPDX-License-Identifier: Apache-2.0
// lifo_constructed: objects that must be written whole before use, as a server zeroes a connection. A
// constructor tells the pool so. A contender that keeps constructed objects writes each object once. One
// that does not writes it at each get, as a program does with malloc. An operation is a get, the constructor
// where it is due, a line written, and a put.
#include "bench/way.h"
#include "bench/windows.h"

struct constructed {
    size_t bytes;
};

static int construct(void *context, void *object)
{
    const struct constructed *constructed = context;
    memset(object, 0, constructed->bytes);
    gb_use(object);
    return 0;
}

static void setup_constructed(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    static struct constructed constructed; // runs come one after the other
    constructed.bytes = bench->bytes;
    struct pool_config config = bench_config(bench, bench->workload->objects * gb_threads(state) + 16);
    config.construct = construct;
    config.object_context = &constructed;
    bench->shared = &constructed;
    bench_open_config(state, bench, &config);
}

ALWAYS_INLINE void lifo_constructed(struct gb_state *state, const struct bench_case *bench,
                                    enum bench_way way)
{
    const struct pool_inline pool = bench->access;
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
            if (way == WAY_DIRECT || way == WAY_BARE)
                (void)construct(bench->shared, object);
            bench_touch_object(object, bytes, TOUCH_LINE);
            bench_put(&pool, object, way);
        }
    }
    windows_report(&windows, gb_iterations(state));
}

BENCH_RUN(run_constructed, lifo_constructed(state, bench, way))

const struct workload constructed_workloads[] = {
    {.name = "lifo_constructed",
     .summary = "a get of an object that was written whole by its constructor, once or in each get as the "
                "strategy does it, a line written, and its put",
     .run = run_constructed,
     .setup = setup_constructed,
     .shuns = POOL_CAP_SHARES,
     .clock = GB_CLOCK_CPU,
     .objects = 1,
     .one_size = true},
    {0},
};
