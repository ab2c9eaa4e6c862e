// SPDX-License-Identifier: Apache-2.0
// burst: a connection storm and its end. N gets, then N puts in the same order. An iteration is a whole
// burst. One burst goes before the clock starts, so that first touches are not timed (`cold` measures
// those).
#include "base/clock.h"
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

// A storm that comes at once to a pool of FRESH_INITIAL objects: what the rule of growth makes of it.
enum { FRESH_INITIAL = 1024, FRESH_OBJECTS = 20000 };

static void setup_fresh(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    bool grows = pool_strategy_caps(bench->strategy) & POOL_CAP_GROWS;
    struct pool_config config = bench_config(bench, grows ? FRESH_INITIAL : FRESH_OBJECTS);
    bench_open_config(state, bench, &config);
}

static void report_fresh(struct gb_state *state, const struct bench_case *bench, double seconds)
{
    struct pool_stats stats;
    bench_stats(bench, &stats);
    double live_bytes = (double)FRESH_OBJECTS * (double)bench->bytes;
    gb_set_iteration_time(state, seconds);
    gb_set_counter(state, "per_op", seconds / FRESH_OBJECTS, GB_COUNTER_SUM);
    gb_set_counter(state, "owned_ratio", (double)stats.bytes_owned / live_bytes, GB_COUNTER_SUM);
    gb_set_counter(state, "expansions", (double)stats.expansions, GB_COUNTER_SUM);
    gb_set_counter(state, "misses", (double)stats.misses, GB_COUNTER_SUM);
    gb_set_counter(state, "longest_expansion_ns", (double)stats.longest_expansion_ns, GB_COUNTER_SUM);
}

static void run_fresh(struct gb_state *state, void *context)
{
    const struct bench_case *bench = context;
    void **objects = bench_map(state, FRESH_OBJECTS * sizeof *objects);
    while (objects && gb_next_batch(state) > 0) {
        int64_t got = 0, from_ns = clock_now_ns();
        while (got < FRESH_OBJECTS && (objects[got] = bench_take(bench)) != NULL)
            bench_touch_object(objects[got++], bench->bytes, TOUCH_ALL);
        report_fresh(state, bench, (double)(clock_now_ns() - from_ns) * 1e-9);
        if (got < FRESH_OBJECTS)
            gb_skip(state, "a get gave no object");
        while (got > 0)
            bench_give(bench, objects[--got]);
    }
    bench_unmap(objects, FRESH_OBJECTS * sizeof *objects);
}

const struct workload burst_workloads[] = {
    {.name = "burst_1000",
     .summary = "1000 gets, then 1000 puts",
     .run = run_burst,
     .clock = GB_CLOCK_CPU,
     .objects = 1000,
     .ready = true,
     .batch = 1,
     .threads = {2}},
    {.name = "burst_1000_touch_line",
     .summary = "burst_1000, and the first line of each object is written",
     .run = run_burst_line,
     .clock = GB_CLOCK_CPU,
     .touch = TOUCH_LINE,
     .objects = 1000,
     .ready = true,
     .batch = 1},
    {.name = "burst_1000_touch_320",
     .summary = "burst_1000, and the first 320 bytes of each object are written",
     .run = run_burst_320,
     .clock = GB_CLOCK_CPU,
     .touch = TOUCH_320,
     .objects = 1000,
     .ready = true,
     .batch = 1},
    {.name = "burst_1000_touch_all",
     .summary = "burst_1000, and each object is written whole",
     .run = run_burst_all,
     .clock = GB_CLOCK_CPU,
     .touch = TOUCH_ALL,
     .objects = 1000,
     .ready = true,
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
    {.name = "burst_fresh",
     .summary =
         "20 000 gets at once of a pool that starts with 1024, each object written; an operation is a get",
     .run = run_fresh,
     .setup = setup_fresh,
     .objects = FRESH_OBJECTS,
     .touch = TOUCH_ALL,
     .shuns = POOL_CAP_SHARES,
     .both_modes = true,
     .adapts = true,
     .one_size = true,
     .batch = 1,
     .iterations = 1,
     .clock = GB_CLOCK_MANUAL},
    {0},
};
