// SPDX-License-Identifier: Apache-2.0
// burst: a connection storm and its end. N gets, then N puts in the same order. An iteration is a whole
// burst. One burst goes before the clock starts, so that first touches are not timed (`cold` measures
// those).
#include "bench/way.h"
#include "bench/windows.h"

ALWAYS_INLINE bool one_burst(const struct pool_inline *access, void **objects, size_t count, size_t bytes,
                             enum bench_way way, enum bench_touch touch)
{
    size_t got = 0;
    while (got < count && (objects[got] = bench_get(access, bytes, way)) != NULL) {
        bench_touch_object(objects[got], bytes, touch);
        got++;
    }
    for (size_t i = 0; i < got; i++)
        bench_put(access, objects[i], way);
    return got == count;
}

ALWAYS_INLINE void burst(struct gb_state *state, const struct bench_case *bench, enum bench_way way,
                         enum bench_touch touch)
{
    const struct pool_inline access = bench->access;
    size_t count = (size_t)bench->workload->objects;
    void **objects = bench_map(state, count * sizeof *objects);
    if (!objects)
        return;
    bool whole = one_burst(&access, objects, count, bench->bytes, way, touch);
    struct windows windows;
    windows_begin(&windows, state);
    int64_t n;
    while (whole && (n = windows_next(&windows)) > 0) {
        for (int64_t i = 0; i < n && whole; i++)
            whole = one_burst(&access, objects, count, bench->bytes, way, touch);
    }
    bench_unmap(objects, count * sizeof *objects);
    if (!whole)
        gb_skip(state, "a get gave no object");
    windows_report(&windows, gb_iterations(state) * (int64_t)count);
}

BENCH_RUN(run_burst, burst(state, bench, way, TOUCH_NOTHING))
BENCH_RUN(run_burst_line, burst(state, bench, way, TOUCH_LINE))
BENCH_RUN(run_burst_320, burst(state, bench, way, TOUCH_320))
BENCH_RUN(run_burst_all, burst(state, bench, way, TOUCH_ALL))

const struct workload burst_workloads[] = {
    {.name = "burst_1000",
     .summary = "1000 gets, then 1000 puts",
     .run = run_burst,
     .clock = GB_CLOCK_CPU,
     .objects = 1000,
     .batch = 1,
     .threads = {2}},
    {.name = "burst_1000_touch_line",
     .summary = "burst_1000, and the first line of each object is written",
     .run = run_burst_line,
     .clock = GB_CLOCK_CPU,
     .touch = TOUCH_LINE,
     .objects = 1000,
     .batch = 1},
    {.name = "burst_1000_touch_320",
     .summary = "burst_1000, and the first 320 bytes of each object are written",
     .run = run_burst_320,
     .clock = GB_CLOCK_CPU,
     .touch = TOUCH_320,
     .objects = 1000,
     .batch = 1},
    {.name = "burst_1000_touch_all",
     .summary = "burst_1000, and each object is written whole",
     .run = run_burst_all,
     .clock = GB_CLOCK_CPU,
     .touch = TOUCH_ALL,
     .objects = 1000,
     .batch = 1},
    {.name = "burst_1000_cycles",
     .summary = "burst_1000 1000 times, no more and no fewer, to count the system calls of",
     .run = run_burst,
     .clock = GB_CLOCK_CPU,
     .objects = 1000,
     .batch = 1,
     .iterations = 1000},
    {.name = "burst_10000",
     .summary = "10 000 gets, then 10 000 puts",
     .run = run_burst,
     .clock = GB_CLOCK_CPU,
     .objects = 10000,
     .batch = 1,
     .iterations = 20},
    {.name = "burst_100000",
     .summary = "100 000 gets, then 100 000 puts",
     .run = run_burst,
     .clock = GB_CLOCK_CPU,
     .objects = 100000,
     .batch = 1,
     .iterations = 4},
    {0},
};
