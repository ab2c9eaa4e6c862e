// SPDX-License-Identifier: Apache-2.0
// false_sharing (Berger et al. 2000, cache-scratch and cache-thrash): do objects of different threads share
// a cache line? An operation is one write to the first and one to the last bytes of the thread's object,
// SHARING_WRITES of them for each get. Active: the pool gives neighbouring objects to threads that get at
// the same time. Passive: one thread got neighbouring objects and handed them to several threads; these put
// them, and the pool gives them out again.
#include "bench/way.h"
#include "bench/windows.h"

enum { SHARING_WRITES = 256, SHARING_WORD = 8, SHARING_BATCH = 8 };

static void setup_passive(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    bench_open(state, context);
    if (gb_skipped(state))
        return;
    size_t count = (size_t)gb_threads(state);
    void **objects = bench_map(state, count * sizeof *objects);
    bench->shared = objects;
    for (size_t i = 0; objects && i < count; i++)
        objects[i] = bench_take(bench);
}

static void teardown_passive(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    bench_unmap(bench->shared, (size_t)gb_threads(state) * sizeof(void *));
    bench->shared = NULL;
    bench_close(state, context);
}

ALWAYS_INLINE void sharing(struct gb_state *state, const struct bench_case *bench, enum bench_way way)
{
    void **handed = bench->shared;
    if (handed)
        bench_put(&bench->access, handed[gb_thread_index(state)], way);
    struct windows windows;
    windows_begin(&windows, state);
    int64_t n;
    while ((n = windows_next(&windows)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            char *object = bench_get(&bench->access, bench->bytes, way);
            if (!object) {
                gb_skip(state, "a get gave no object");
                break;
            }
            volatile uint64_t *first = (volatile uint64_t *)(void *)object;
            volatile uint64_t *last = (volatile uint64_t *)(void *)(object + bench->bytes - SHARING_WORD);
            *first = *last = 0;
            for (int w = 0; w < SHARING_WRITES; w++) {
                ++*first;
                ++*last;
            }
            bench_put(&bench->access, object, way);
        }
    }
    windows_report(&windows, gb_iterations(state) * SHARING_WRITES);
}

BENCH_RUN(run_sharing, sharing(state, bench, way))

const struct workload sharing_workloads[] = {
    {.name = "false_sharing_active",
     .summary = "each thread writes again and again to both ends of an object it got",
     .run = run_sharing,
     .clock = GB_CLOCK_CPU,
     .objects = 1,
     .batch = SHARING_BATCH,
     .shuns = POOL_CAP_SHARES,
     .threads = {2}},
    {.name = "false_sharing_passive",
     .summary = "the same after each thread put an object that one thread had got for all",
     .run = run_sharing,
     .clock = GB_CLOCK_CPU,
     .setup = setup_passive,
     .teardown = teardown_passive,
     .objects = 2,
     .batch = SHARING_BATCH,
     .shuns = POOL_CAP_SHARES,
     .threads = {2}},
    {0},
};
