// SPDX-License-Identifier: Apache-2.0
// bound: a get and its put on a pool of at most BOUND_OBJECTS, of which BOUND_USED stay in use. Three cases:
// the pool stays below its bound; or it was full once, and an overflow object from then lives on; or that,
// after BOUND_THREADS threads had used the pool at the same time and ended. A past state must not make gets
// more expensive for ever.
#include "bench/visits.h"
#include "bench/way.h"
#include "bench/windows.h"

enum { BOUND_OBJECTS = 1000, BOUND_USED = 800, BOUND_THREADS = 900 };
enum { BOUND_OVERFLOW = 1, BOUND_AFTER_THREADS = 2 };

struct bound {
    void *used[BOUND_USED], *more[BOUND_OBJECTS - BOUND_USED];
    void *overflow; // NULL: no overflow object is out
};

static void get_all(struct gb_state *state, const struct bench_case *bench, void **objects, int count)
{
    for (int i = 0; i < count; i++) {
        if (!(objects[i] = bench_take(bench)))
            gb_skip(state, "a get below the bound gave no object");
    }
}

static void visit(void *context, int thread)
{
    (void)thread;
    bench_give(context, bench_take(context));
}

static void be_used_by_threads(struct gb_state *state, struct bench_case *bench)
{
    struct visits *visits;
    if (visits_start(&visits, BOUND_THREADS, visit, bench) < 0) {
        gb_skip(state, "a thread could not be started");
        return;
    }
    visits_run(visits, false);
    visits_end(visits);
}

static void setup_bound(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    int64_t history = bench->workload->parameter;
    struct pool_config config = bench_config(bench, BOUND_OBJECTS);
    config.max = BOUND_OBJECTS;
    config.overflow = POOL_OVERFLOW_HEAP;
    bench_open_config(state, bench, &config);
    struct bound *bound = bench->shared = bench_map(state, sizeof *bound);
    if (gb_skipped(state))
        return;
    if (history & BOUND_AFTER_THREADS)
        be_used_by_threads(state, bench);
    get_all(state, bench, bound->used, BOUND_USED);
    if (!(history & BOUND_OVERFLOW))
        return;
    get_all(state, bench, bound->more, BOUND_OBJECTS - BOUND_USED);
    get_all(state, bench, &bound->overflow, 1);
    for (int i = 0; i < BOUND_OBJECTS - BOUND_USED; i++)
        bench_give(bench, bound->more[i]);
}

static void teardown_bound(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct bound *bound = bench->shared;
    for (int i = 0; bound && bench->pool && i < BOUND_USED; i++)
        bench_give(bench, bound->used[i]);
    if (bound && bench->pool)
        bench_give(bench, bound->overflow);
    bench_unmap(bound, sizeof *bound);
    bench->shared = NULL;
    bench_close(state, context);
}

ALWAYS_INLINE void at_bound(struct gb_state *state, const struct bench_case *bench, enum bench_way way)
{
    struct windows windows;
    windows_begin(&windows, state);
    int64_t n;
    while ((n = windows_next(&windows)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            void *object = bench_get(&bench->access, bench->bytes, way);
            if (__builtin_expect(!object, 0)) {
                gb_skip(state, "a get below the bound gave no object");
                break;
            }
            gb_use(object);
            bench_put(&bench->access, object, way);
        }
    }
    windows_report(&windows, gb_iterations(state));
}

BENCH_RUN(run_bound, at_bound(state, bench, way))

#define BOUND(row_name, history, text)                                                                       \
    {                                                                                                        \
        .name = row_name, .summary = text, .run = run_bound, .clock = GB_CLOCK_CPU, .setup = setup_bound,    \
        .teardown = teardown_bound, .objects = BOUND_OBJECTS, .parameter = history,                          \
        .needs = POOL_CAP_BOUNDED, .one_size = true, .threads = {                                            \
            2                                                                                                \
        }                                                                                                    \
    }

const struct workload bound_workloads[] = {
    BOUND("bound", 0, "lifo of a pool of at most 1000 objects of which 800 are in use"),
    BOUND("bound_overflow", BOUND_OVERFLOW,
          "bound, after the pool was full; one overflow object is still out"),
    BOUND("bound_overflow_threads", BOUND_OVERFLOW | BOUND_AFTER_THREADS,
          "bound_overflow, of a pool that 900 threads had used before"),
    {0},
};
