// SPDX-License-Identifier: Apache-2.0
// blowup: memory during a storm and after it. All objects are got and written, then put again, except sparse
// survivors in rows that have them. Then the process waits and sweeps the pool, as a server does. At last the
// storm comes again: who gave memory back pays for its pages once more.
//
// Memory is the process's resident set as the kernel sums it over its mappings. Counters: before_bytes (pool
// open), peak_bytes, after_0s_bytes, after_1s_bytes, after_10s_bytes; peak_ratio, growth at the peak over
// the objects' own bytes; after_Ns_ratio, memory N s after the puts over memory before the storm. per_op is
// the storm's time for an object with its writing; again_ns the second one's, and again_faults the page
// faults for an object in that.
#include "base/clock.h"
#include "base/procmem.h"
#include "bench/way.h"

#include <stdio.h>
#include <unistd.h>

enum { BLOWUP_OBJECTS = 20000, BLOWUP_INITIAL = 1024 };
#define SWEEP_EVERY_NS (200 * NS_PER_MS)

enum { SURVIVORS_EVERY = 100, BLOWUP_WAIT_S = 0xff, BLOWUP_SPARSE = 0x100 };

static double resident_bytes(void)
{
    struct procmem mem;
    return procmem_read(getpid(), &mem) == 0 ? (double)mem.rss_bytes : 0;
}

static void setup_blowup(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    bool grows = pool_strategy_caps(bench->strategy) & POOL_CAP_GROWS;
    struct pool_config config = bench_config(bench, grows ? BLOWUP_INITIAL : BLOWUP_OBJECTS);
    bench_open_config(state, bench, &config);
}

static void wait_and_sweep(const struct bench_case *bench, int64_t until_ns)
{
    for (int64_t next = clock_now_ns(); next < until_ns; next += SWEEP_EVERY_NS) {
        clock_sleep_until_ns(next);
        bench_sweep(bench);
    }
    clock_sleep_until_ns(until_ns);
}

// Gets and writes objects until all are there; returns how many there are. `got`: those that are.
static int64_t storm(const struct bench_case *bench, void **objects, int64_t got)
{
    while (got < BLOWUP_OBJECTS && (objects[got] = bench_take(bench)) != NULL)
        bench_touch_object(objects[got++], bench->bytes, TOUCH_ALL);
    return got;
}

// Puts them all, or keeps sparse survivors, which are the first of `objects` then; returns their number.
static int64_t calm(const struct bench_case *bench, void **objects, int64_t got, bool sparse)
{
    int64_t survivors = 0;
    for (int64_t i = 0; i < got; i++) {
        if (sparse && i % SURVIVORS_EVERY == 0)
            objects[survivors++] = objects[i];
        else
            bench_give(bench, objects[i]);
    }
    return survivors;
}

static void report_after(struct gb_state *state, const struct bench_case *bench, double before,
                         int64_t wait_s)
{
    static const int64_t seconds[] = {0, 1, 10};
    int64_t from = clock_now_ns();
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0] && seconds[i] <= wait_s; i++) {
        wait_and_sweep(bench, from + seconds[i] * NS_PER_S);
        double bytes = resident_bytes();
        char name[48];
        snprintf(name, sizeof name, "after_%llds_bytes", (long long)seconds[i]);
        gb_set_counter(state, name, bytes, GB_COUNTER_1024);
        snprintf(name, sizeof name, "after_%llds_ratio", (long long)seconds[i]);
        gb_set_counter(state, name, before > 0 ? bytes / before : 0, GB_COUNTER_SUM);
    }
}

// Returns how many objects there are then.
static int64_t storm_again(struct gb_state *state, const struct bench_case *bench, void **objects,
                           int64_t survivors)
{
    int64_t faults = bench_thread_faults(), from = clock_now_ns();
    int64_t got = storm(bench, objects, survivors);
    double each = (double)(got > survivors ? got - survivors : 1);
    gb_set_counter(state, "again_ns", (double)(clock_now_ns() - from) / each, GB_COUNTER_SUM);
    gb_set_counter(state, "again_faults", (double)(bench_thread_faults() - faults) / each, GB_COUNTER_SUM);
    return got;
}

static void run_blowup(struct gb_state *state, void *context)
{
    const struct bench_case *bench = context;
    void **objects = bench_map(state, BLOWUP_OBJECTS * sizeof *objects);
    if (!objects)
        return;
    while (gb_next_batch(state) > 0) {
        (void)resident_bytes(); // the first read allocates the reader's own memory
        double before = resident_bytes();
        int64_t from = clock_now_ns(), got = storm(bench, objects, 0);
        double peak = resident_bytes();
        int64_t middle = clock_now_ns();
        int64_t survivors = calm(bench, objects, got, bench->workload->parameter & BLOWUP_SPARSE);
        int64_t storm_ns = middle - from;
        gb_set_iteration_time(state, (double)storm_ns * 1e-9);
        gb_set_counter(state, "before_bytes", before, GB_COUNTER_1024);
        gb_set_counter(state, "peak_bytes", peak, GB_COUNTER_1024);
        gb_set_counter(state, "live_bytes", (double)got * (double)bench->bytes, GB_COUNTER_1024);
        gb_set_counter(state, "peak_ratio", (peak - before) / ((double)got * (double)bench->bytes),
                       GB_COUNTER_SUM);
        report_after(state, bench, before, bench->workload->parameter & BLOWUP_WAIT_S);
        int64_t again = storm_again(state, bench, objects, survivors);
        while (again > 0)
            bench_give(bench, objects[--again]);
        if (got < BLOWUP_OBJECTS)
            gb_skip(state, "a get gave no object");
    }
    bench_unmap(objects, BLOWUP_OBJECTS * sizeof *objects);
    bench_report_ops(state, BLOWUP_OBJECTS);
}

#define BLOWUP(row_name, row_parameter, text)                                                                \
    {                                                                                                        \
        .name = row_name, .summary = text, .run = run_blowup, .setup = setup_blowup,                         \
        .objects = BLOWUP_OBJECTS, .parameter = row_parameter, .shuns = POOL_CAP_SHARES, .both_modes = true, \
        .adapts = true, .batch = 1, .iterations = 1, .clock = GB_CLOCK_MANUAL                                \
    }

const struct workload blowup_workloads[] = {
    BLOWUP("blowup", 1,
           "memory of the process before, in and up to 1 s after a storm of 20 000 objects, which comes "
           "again then"),
    BLOWUP("blowup_sparse", 1 | BLOWUP_SPARSE, "the same when each hundredth object is kept"),
    BLOWUP("blowup_10s", 10, "as blowup, up to 10 s after"),
    BLOWUP("blowup_sparse_10s", 10 | BLOWUP_SPARSE, "as blowup_sparse, up to 10 s after"),
    {0},
};
