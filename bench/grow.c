// SPDX-License-Identifier: Apache-2.0
// grow and shrink: the time of each get while the pool gets bigger or smaller, so that an expansion in the
// path of a get is seen, and the page faults that the kernel counted for the getting thread.
//
// Both are paced: one operation each PACE_NS on an absolute schedule, a storm of 100 000 connections a
// second. Growth in the background is meant for such a rate; a loop of bare gets would only measure how soon
// it runs out. Between operations the thread spins, so that no wake-up is in the times.
//
// `preempted` says how often the kernel took the thread off its processor meanwhile: longest times of some
// milliseconds are those, and not the pool's.
//
// grow: a pool of GROW_INITIAL objects, GROW_OBJECTS gets. Counters: the get's percentiles; faults_get, page
// faults in the path of all gets; faults_touch, page faults when all objects were written afterwards;
// expansions and misses. shrink: GROW_OBJECTS are out; each step puts two and gets one until few are left,
// and the pool is swept as a server does, now and then, by the same thread. Counters: percentiles of the
// gets, longest put and sweep, page faults of all.
#include "base/clock.h"
#include "bench/latency.h"
#include "bench/workload.h"

enum { GROW_INITIAL = 1024, GROW_OBJECTS = 50000, PACE_NS = 10000, SWEEP_EVERY = 5000, PRIMING_OBJECTS = 64 };

struct storm {
    struct latency gets;
    void **objects;
    int64_t at, start_ns; // operations begun; when the first was due
    int64_t preemptions;  // at the start, then since
};

static void setup_grow(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    bool grows = pool_strategy_caps(bench->strategy) & POOL_CAP_GROWS;
    // What cannot grow has all objects from the start.
    struct pool_config config = bench_config(bench, grows ? GROW_INITIAL : GROW_OBJECTS);
    bench_open_config(state, bench, &config);
}

static bool storm_init(struct storm *storm, struct gb_state *state)
{
    *storm = (struct storm){0};
    storm->objects = bench_map(state, GROW_OBJECTS * sizeof *storm->objects);
    if (storm->objects)
        latency_init(&storm->gets, state, GROW_OBJECTS);
    return storm->objects && storm->gets.ns;
}

static void storm_free(struct storm *storm)
{
    bench_unmap(storm->objects, GROW_OBJECTS * sizeof *storm->objects);
    if (storm->gets.ns)
        latency_free(&storm->gets);
}

// Spins until the next operation is due. One that comes late is not made up for by haste: the rest moves.
static void pace(struct storm *storm)
{
    int64_t due = storm->start_ns + storm->at++ * PACE_NS, now = clock_now_ns();
    if (now > due + 10 * PACE_NS)
        storm->start_ns += now - due;
    while (now < due)
        now = clock_now_ns();
}

static void *timed_get(struct pool *pool, struct storm *storm)
{
    int64_t from = clock_now_ns();
    void *object = pool_get(pool);
    latency_add(&storm->gets, clock_now_ns() - from);
    return object;
}

static double mean_seconds(const struct latency *latency)
{
    double sum_ns = 0;
    for (int64_t i = 0; i < latency->count; i++)
        sum_ns += latency->ns[i];
    return sum_ns * 1e-9 / (double)(latency->count ? latency->count : 1);
}

// The schedule begins now.
static void begin(struct storm *storm)
{
    storm->preemptions = bench_thread_preemptions();
    storm->start_ns = clock_now_ns();
}

static void report(struct gb_state *state, const struct bench_case *bench, const struct storm *storm)
{
    latency_report(&storm->gets, state, "");
    gb_set_counter(state, "per_op", mean_seconds(&storm->gets), GB_COUNTER_SUM);
    struct pool_stats stats;
    pool_stats(bench->pool, &stats);
    gb_set_counter(state, "expansions", (double)stats.expansions, GB_COUNTER_SUM);
    gb_set_counter(state, "shrinks", (double)stats.shrinks, GB_COUNTER_SUM);
    gb_set_counter(state, "misses", (double)stats.misses, GB_COUNTER_SUM);
    gb_set_counter(state, "preempted", (double)storm->preemptions, GB_COUNTER_SUM);
    gb_set_counter(state, "longest_expansion_ns", (double)stats.longest_expansion_ns, GB_COUNTER_SUM);
}

// Some gets and puts beforehand: what the strategy makes for a thread, and code that was never run, come once
// and not in the storm.
static void prime(struct pool *pool, struct storm *storm)
{
    for (int i = 0; i < PRIMING_OBJECTS; i++)
        storm->objects[i] = pool_get(pool);
    for (int i = 0; i < PRIMING_OBJECTS; i++)
        pool_put(pool, storm->objects[i]);
}

static void run_grow(struct gb_state *state, void *context)
{
    const struct bench_case *bench = context;
    struct storm storm;
    if (!storm_init(&storm, state)) {
        storm_free(&storm);
        return;
    }
    while (gb_next_batch(state) > 0) {
        prime(bench->pool, &storm);
        int64_t faults = bench_thread_faults(), got = 0;
        begin(&storm);
        for (int64_t i = 0; i < GROW_OBJECTS; i++) {
            pace(&storm);
            got += (storm.objects[i] = timed_get(bench->pool, &storm)) != NULL;
        }
        storm.preemptions = bench_thread_preemptions() - storm.preemptions;
        gb_set_iteration_time(state, mean_seconds(&storm.gets));
        gb_set_counter(state, "faults_get", (double)(bench_thread_faults() - faults), GB_COUNTER_SUM);
        faults = bench_thread_faults();
        for (int64_t i = 0; i < GROW_OBJECTS; i++) {
            if (storm.objects[i])
                bench_touch_object(storm.objects[i], bench->bytes, TOUCH_ALL);
        }
        gb_set_counter(state, "faults_touch", (double)(bench_thread_faults() - faults), GB_COUNTER_SUM);
        report(state, bench, &storm);
        for (int64_t i = 0; i < GROW_OBJECTS; i++)
            pool_put(bench->pool, storm.objects[i]);
        if (got < GROW_OBJECTS)
            gb_skip(state, "a get gave no object");
    }
    storm_free(&storm);
}

// Fills the pool as fast as it goes, each object written; how many it got.
static int64_t fill(const struct bench_case *bench, struct storm *storm)
{
    int64_t got = 0;
    while (got < GROW_OBJECTS && (storm->objects[got] = pool_get(bench->pool)) != NULL)
        bench_touch_object(storm->objects[got++], bench->bytes, TOUCH_ALL);
    return got;
}

struct longest {
    int64_t put_ns, sweep_ns;
};

static void keep_longest(int64_t *longest, int64_t from)
{
    int64_t ns = clock_now_ns() - from;
    *longest = ns > *longest ? ns : *longest;
}

// Objects left when it is done: between 0 and GROW_INITIAL.
static int64_t ebb(const struct bench_case *bench, struct storm *storm, int64_t left, struct longest *longest)
{
    begin(storm);
    while (left > GROW_INITIAL) {
        pace(storm);
        for (int k = 0; k < 2; k++) {
            int64_t from = clock_now_ns();
            pool_put(bench->pool, storm->objects[--left]);
            keep_longest(&longest->put_ns, from);
        }
        storm->objects[left] = timed_get(bench->pool, storm);
        if (storm->objects[left])
            left++;
        if (storm->at % SWEEP_EVERY == 0) {
            int64_t from = clock_now_ns();
            pool_sweep(bench->pool);
            keep_longest(&longest->sweep_ns, from);
        }
    }
    return left;
}

static void run_shrink(struct gb_state *state, void *context)
{
    const struct bench_case *bench = context;
    struct storm storm;
    if (!storm_init(&storm, state)) {
        storm_free(&storm);
        return;
    }
    while (gb_next_batch(state) > 0) {
        int64_t left = fill(bench, &storm);
        if (left < GROW_OBJECTS)
            gb_skip(state, "a get gave no object");
        struct longest longest = {0};
        int64_t faults = bench_thread_faults();
        left = ebb(bench, &storm, left, &longest);
        storm.preemptions = bench_thread_preemptions() - storm.preemptions;
        gb_set_counter(state, "faults", (double)(bench_thread_faults() - faults), GB_COUNTER_SUM);
        gb_set_iteration_time(state, mean_seconds(&storm.gets));
        report(state, bench, &storm);
        gb_set_counter(state, "longest_put_ns", (double)longest.put_ns, GB_COUNTER_SUM);
        gb_set_counter(state, "longest_sweep_ns", (double)longest.sweep_ns, GB_COUNTER_SUM);
        while (left > 0)
            pool_put(bench->pool, storm.objects[--left]);
    }
    storm_free(&storm);
}

const struct workload grow_workloads[] = {
    {.name = "grow",
     .summary = "50 000 gets, one each 10 us, of a pool that starts with 1024; per_op is the mean get with "
                "its two clock readings",
     .run = run_grow,
     .setup = setup_grow,
     .objects = GROW_OBJECTS,
     .both_modes = true,
     .batch = 1,
     .iterations = 1,
     .clock = GB_CLOCK_MANUAL},
    {.name = "shrink",
     .summary = "two puts and a get each 10 us until 50 000 objects have become 1024; per_op as in grow",
     .run = run_shrink,
     .setup = setup_grow,
     .objects = GROW_OBJECTS,
     .both_modes = true,
     .batch = 1,
     .iterations = 1,
     .clock = GB_CLOCK_MANUAL},
    {0},
};
