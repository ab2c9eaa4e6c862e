// SPDX-License-Identifier: Apache-2.0
// lifo, fifo, random, steady: one thread (or each of several) gets and puts its own objects, in different
// orders of release. One function is compiled for each touch, so that the loop has no decision that the pool
// would pay for.
#include "bench/way.h"
#include "bench/windows.h"

enum { RING_OBJECTS = 1024, TOUCH_ALL_BATCH = 64 };

static const char no_object[] = "a get gave no object";

// Get, touch, put.
ALWAYS_INLINE void lifo(struct gb_state *state, const struct bench_case *bench, enum bench_way way,
                        enum bench_touch touch)
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
                gb_skip(state, no_object);
                break;
            }
            bench_touch_object(object, bytes, touch);
            bench_put(&pool, object, way);
        }
    }
    windows_report(&windows, gb_iterations(state));
}

// Puts the object of the slot chosen by `next`, and gets a new one for it. All slots are full before the
// clock starts.
ALWAYS_INLINE void replace(struct gb_state *state, const struct bench_case *bench, enum bench_way way,
                           enum bench_touch touch, bool random)
{
    const struct pool_inline pool = bench->access;
    size_t bytes = bench->bytes;
    void **slots = bench_map(state, RING_OBJECTS * sizeof *slots);
    if (!slots)
        return;
    for (size_t i = 0; i < RING_OBJECTS; i++) {
        if (!(slots[i] = bench_get(&pool, bytes, way)))
            gb_skip(state, no_object);
    }
    uint64_t next = random ? bench_seed(state) : 0;
    struct windows windows;
    windows_begin(&windows, state);
    int64_t n;
    while ((n = windows_next(&windows)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            size_t at = (random ? bench_random(&next) : next++) % RING_OBJECTS;
            bench_put(&pool, slots[at], way);
            void *object = slots[at] = bench_get(&pool, bytes, way);
            if (__builtin_expect(!object, 0)) {
                gb_skip(state, no_object);
                break;
            }
            bench_touch_object(object, bytes, touch);
        }
    }
    for (size_t i = 0; i < RING_OBJECTS; i++)
        bench_put(&pool, slots[i], way);
    bench_unmap(slots, RING_OBJECTS * sizeof *slots);
    windows_report(&windows, gb_iterations(state));
}

BENCH_RUN(run_lifo, lifo(state, bench, way, TOUCH_NOTHING))
BENCH_RUN(run_lifo_line, lifo(state, bench, way, TOUCH_LINE))
BENCH_RUN(run_lifo_320, lifo(state, bench, way, TOUCH_320))
BENCH_RUN(run_lifo_all, lifo(state, bench, way, TOUCH_ALL))
BENCH_RUN(run_fifo, replace(state, bench, way, TOUCH_NOTHING, false))
BENCH_RUN(run_fifo_line, replace(state, bench, way, TOUCH_LINE, false))
BENCH_RUN(run_fifo_all, replace(state, bench, way, TOUCH_ALL, false))
BENCH_RUN(run_random, replace(state, bench, way, TOUCH_NOTHING, true))
BENCH_RUN(run_random_line, replace(state, bench, way, TOUCH_LINE, true))
BENCH_RUN(run_random_all, replace(state, bench, way, TOUCH_ALL, true))

// Takes a random slot: puts its object when full, gets one when empty. About half the slots are full.
ALWAYS_INLINE void steady(struct gb_state *state, const struct bench_case *bench, enum bench_way way)
{
    const struct pool_inline pool = bench->access;
    size_t bytes = bench->bytes;
    size_t count = (size_t)bench->workload->objects;
    void **slots = bench_map(state, count * sizeof *slots);
    if (!slots)
        return;
    for (size_t i = 0; i < count; i += 2)
        slots[i] = bench_get(&pool, bytes, way);
    uint64_t random = bench_seed(state);
    struct windows windows;
    windows_begin(&windows, state);
    int64_t n, gets = 0, got = 0;
    while ((n = windows_next(&windows)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            void **slot = &slots[bench_random(&random) % count];
            if (*slot) {
                bench_put(&pool, *slot, way);
                *slot = NULL;
            } else {
                *slot = bench_get(&pool, bytes, way);
                gets++;
                got += *slot != NULL;
            }
        }
    }
    for (size_t i = 0; i < count; i++)
        bench_put(&pool, slots[i], way);
    bench_unmap(slots, count * sizeof *slots);
    if (got != gets)
        gb_skip(state, no_object);
    // Half of the iterations are gets, as nearly as random goes: an operation is a get and a put.
    windows_report(&windows, (gb_iterations(state) + 1) / 2);
}

BENCH_RUN(run_steady, steady(state, bench, way))

// `count`: iterations; 0: as many as the least time needs. The deepest takes long to set up, so it is set up
// once.
#define STEADY(depth, count)                                                                                 \
    {                                                                                                        \
        .name = "steady_" #depth,                                                                            \
        .summary = "a random one of " #depth " slots is filled or emptied, again and again",                 \
        .run = run_steady, .clock = GB_CLOCK_CPU, .objects = depth, .threads = {2}, .iterations = count      \
    }

const struct workload order_workloads[] = {
    {.name = "lifo",
     .summary = "get, put: the object that was put last is got next",
     .run = run_lifo,
     .clock = GB_CLOCK_CPU,
     .objects = 1,
     .threads = {2, 4, 10}},
    {.name = "lifo_touch_line",
     .summary = "lifo, and the object's first line is written",
     .run = run_lifo_line,
     .clock = GB_CLOCK_CPU,
     .touch = TOUCH_LINE,
     .objects = 1,
     .threads = {2}},
    {.name = "lifo_touch_320",
     .summary = "lifo, and the object's first 320 bytes are written",
     .run = run_lifo_320,
     .clock = GB_CLOCK_CPU,
     .touch = TOUCH_320,
     .objects = 1,
     .threads = {2}},
    {.name = "lifo_touch_all",
     .batch = TOUCH_ALL_BATCH,
     .summary = "lifo, and the whole object is written",
     .run = run_lifo_all,
     .clock = GB_CLOCK_CPU,
     .touch = TOUCH_ALL,
     .objects = 1,
     .threads = {2}},
    {.name = "fifo",
     .summary = "1024 objects are out; the oldest is put, a new one got",
     .run = run_fifo,
     .clock = GB_CLOCK_CPU,
     .objects = RING_OBJECTS,
     .threads = {2}},
    {.name = "fifo_touch_line",
     .summary = "fifo, and the new object's first line is written",
     .run = run_fifo_line,
     .clock = GB_CLOCK_CPU,
     .objects = RING_OBJECTS},
    {.name = "fifo_touch_all",
     .batch = TOUCH_ALL_BATCH,
     .summary = "fifo, and the whole new object is written",
     .run = run_fifo_all,
     .clock = GB_CLOCK_CPU,
     .objects = RING_OBJECTS},
    {.name = "random",
     .summary = "1024 objects are out; a random one is put, a new one got",
     .run = run_random,
     .clock = GB_CLOCK_CPU,
     .objects = RING_OBJECTS,
     .threads = {2}},
    {.name = "random_touch_line",
     .summary = "random, and the new object's first line is written",
     .run = run_random_line,
     .clock = GB_CLOCK_CPU,
     .objects = RING_OBJECTS},
    {.name = "random_touch_all",
     .batch = TOUCH_ALL_BATCH,
     .summary = "random, and the whole new object is written",
     .run = run_random_all,
     .clock = GB_CLOCK_CPU,
     .objects = RING_OBJECTS},
    STEADY(16, 0),
    STEADY(256, 0),
    STEADY(4096, 0),
    STEADY(65536, 1000000),
    {0},
};
