// SPDX-License-Identifier: Apache-2.0
// grow and shrink: the time of each get while the pool gets bigger or smaller, so that an expansion in the
// path of a get is seen, and the page faults that the kernel counted for the getting thread.
//
// Both are paced: one operation each PACE_NS on an absolute schedule, a storm of 100 000 connections a
// second. Growth in the background is meant for such a rate; a loop of bare gets would only measure how soon
// it runs out. Between operations the thread spins, so that no wake-up is in the times.
//
// `preempted` says how often the kernel took the thread off its processor meanwhile: longest times of some
// milliseconds are those, and not the pool's. The processor's speed is probed right before and right after
// each get (bench/speed.h): the percentiles are of the gets between two probes at full speed, and those of
// all gets stand beside them as any_speed_*. The choice does not look at the get's own time. Were there too
// few, the percentiles are of all; full_speed_share says how many there were.
//
// grow: a pool of GROW_INITIAL objects, GROW_OBJECTS gets. Counters: the get's percentiles; faults_get, page
// faults in the path of all gets; faults_touch, page faults when all objects were written afterwards;
// expansions and misses. shrink: GROW_OBJECTS are out; each step puts two and gets one until few are left,
// and the pool is swept as a server does, now and then, by the same thread. Counters: percentiles of the
// gets, longest put and sweep, page faults of all.
//
// grow writes what each get cost to the case's `trace` as well, if it has one: bench/get_trace.h.
#include "base/clock.h"
#include "bench/get_trace.h"
#include "bench/latency.h"
#include "bench/speed.h"
#include "bench/workload.h"

// Of all gets, at least so many must have been at full speed for them to count alone.
#define LEAST_SHARE 0.5

enum { GROW_INITIAL = 1024, GROW_OBJECTS = 50000, PACE_NS = 10000, SWEEP_EVERY = 5000, PRIMING_OBJECTS = 64 };

struct storm {
    struct latency gets, full_speed; // all, and those at full speed
    void **objects;
    int64_t out;                 // objects that are ours; NULL where a get gave none
    int64_t at, start_ns;        // operations begun; when the first was due
    int64_t preemptions, faults; // at the start, then since
    struct get_trace *trace;     // may be NULL
};

static struct pool_config config_of(const struct bench_case *bench)
{
    bool grows = pool_strategy_caps(bench->strategy) & POOL_CAP_GROWS;
    // What cannot grow has all objects from the start.
    return bench_config(bench, grows ? GROW_INITIAL : GROW_OBJECTS);
}

static void setup_shrink(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct pool_config config = config_of(bench);
    bench_open_config(state, bench, &config);
}

// The trace, if there is one, hears of the pool's growth.
static void setup_grow(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct pool_config config = config_of(bench);
    bench->pool = bench->shared = NULL;
    if (bench->trace && !(bench->shared = get_trace_open(state, bench->trace, GROW_OBJECTS)))
        return;
    if (bench->trace) {
        config.listener = get_trace_listen;
        config.listener_context = bench->shared;
    }
    bench_open_config(state, bench, &config);
}

static void teardown_grow(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    bench_close(state, bench);
    get_trace_close(bench->shared);
    bench->shared = NULL;
}

static bool storm_init(struct storm *storm, struct gb_state *state)
{
    *storm = (struct storm){0};
    storm->objects = bench_map(state, GROW_OBJECTS * sizeof *storm->objects);
    if (storm->objects)
        latency_init(&storm->gets, state, GROW_OBJECTS);
    if (storm->gets.ns)
        latency_init(&storm->full_speed, state, GROW_OBJECTS);
    return storm->objects && storm->gets.ns && storm->full_speed.ns;
}

static void storm_free(struct storm *storm)
{
    bench_unmap(storm->objects, GROW_OBJECTS * sizeof *storm->objects);
    if (storm->gets.ns)
        latency_free(&storm->gets);
    if (storm->full_speed.ns)
        latency_free(&storm->full_speed);
}

// The schedule begins now.
static void begin(struct storm *storm)
{
    (void)speed_await(&(struct speed_wait){0}, INT64_MAX);
    storm->preemptions = bench_thread_preemptions();
    storm->faults = bench_thread_faults();
    storm->start_ns = clock_now_ns();
}

static void end(struct storm *storm)
{
    storm->preemptions = bench_thread_preemptions() - storm->preemptions;
    storm->faults = bench_thread_faults() - storm->faults;
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
    bool full = speed_is_full();
    int64_t from = clock_now_ns();
    void *object = pool_get(pool);
    int64_t ns = clock_now_ns() - from;
    latency_add(&storm->gets, ns);
    if (speed_is_full() && full)
        latency_add(&storm->full_speed, ns);
    if (storm->trace)
        get_trace_add(storm->trace, from);
    return object;
}

static double mean_seconds(const struct latency *latency)
{
    double sum_ns = 0;
    for (int64_t i = 0; i < latency->count; i++)
        sum_ns += latency->ns[i];
    return sum_ns * 1e-9 / (double)(latency->count ? latency->count : 1);
}

static void report(struct gb_state *state, const struct bench_case *bench, const struct storm *storm)
{
    double share = (double)storm->full_speed.count / (double)(storm->gets.count ? storm->gets.count : 1);
    const struct latency *chosen = share >= LEAST_SHARE ? &storm->full_speed : &storm->gets;
    latency_report(chosen, state, "");
    latency_report(&storm->gets, state, "any_speed_");
    gb_set_iteration_time(state, mean_seconds(&storm->gets));
    gb_set_counter(state, "per_op", mean_seconds(chosen), GB_COUNTER_SUM);
    gb_set_counter(state, "full_speed_share", share, GB_COUNTER_SUM);
    gb_set_counter(state, "at_full_speed", share >= LEAST_SHARE, GB_COUNTER_SUM);
    gb_set_counter(state, "step_ns", speed_step_ns(), GB_COUNTER_SUM);
    struct pool_stats stats;
    pool_stats(bench->pool, &stats);
    gb_set_counter(state, "expansions", (double)stats.expansions, GB_COUNTER_SUM);
    gb_set_counter(state, "shrinks", (double)stats.shrinks, GB_COUNTER_SUM);
    gb_set_counter(state, "misses", (double)stats.misses, GB_COUNTER_SUM);
    gb_set_counter(state, "preempted", (double)storm->preemptions, GB_COUNTER_SUM);
    gb_set_counter(state, "longest_expansion_ns", (double)stats.longest_expansion_ns, GB_COUNTER_SUM);
}

// What both workloads have around their storm.
typedef void storm_body(struct gb_state *state, const struct bench_case *bench, struct storm *storm);

static void run_storm(struct gb_state *state, const struct bench_case *bench, storm_body *body)
{
    struct storm storm;
    bool ready = storm_init(&storm, state);
    while (ready && gb_next_batch(state) > 0) {
        body(state, bench, &storm);
        report(state, bench, &storm);
        while (storm.out > 0)
            pool_put(bench->pool, storm.objects[--storm.out]);
    }
    storm_free(&storm);
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

// Page faults when all objects are written.
static int64_t faults_of_touching(const struct bench_case *bench, const struct storm *storm)
{
    int64_t faults = bench_thread_faults();
    for (int64_t i = 0; i < storm->out; i++) {
        if (storm->objects[i])
            bench_touch_object(storm->objects[i], bench->bytes, TOUCH_ALL);
    }
    return bench_thread_faults() - faults;
}

static void grow_storm(struct gb_state *state, const struct bench_case *bench, struct storm *storm)
{
    int64_t got = 0;
    prime(bench->pool, storm);
    storm->trace = bench->shared;
    if (storm->trace)
        get_trace_begin(storm->trace, bench->pool);
    begin(storm);
    for (storm->out = 0; storm->out < GROW_OBJECTS; storm->out++) {
        pace(storm);
        got += (storm->objects[storm->out] = timed_get(bench->pool, storm)) != NULL;
    }
    end(storm);
    gb_set_counter(state, "faults_get", (double)storm->faults, GB_COUNTER_SUM);
    gb_set_counter(state, "faults_touch", (double)faults_of_touching(bench, storm), GB_COUNTER_SUM);
    if (storm->trace)
        get_trace_write(storm->trace, state, &storm->gets);
    if (got < GROW_OBJECTS)
        gb_skip(state, "a get gave no object");
}

static void run_grow(struct gb_state *state, void *context)
{
    run_storm(state, context, grow_storm);
}

// Fills the pool as fast as it goes, each object written.
static void fill(const struct bench_case *bench, struct storm *storm)
{
    while (storm->out < GROW_OBJECTS && (storm->objects[storm->out] = pool_get(bench->pool)) != NULL)
        bench_touch_object(storm->objects[storm->out++], bench->bytes, TOUCH_ALL);
}

struct longest {
    int64_t put_ns, sweep_ns;
};

static void keep_longest(int64_t *longest, int64_t from)
{
    int64_t ns = clock_now_ns() - from;
    *longest = ns > *longest ? ns : *longest;
}

// Two puts and a get each time, until GROW_INITIAL objects are left.
static void ebb(const struct bench_case *bench, struct storm *storm, struct longest *longest)
{
    while (storm->out > GROW_INITIAL) {
        pace(storm);
        for (int k = 0; k < 2; k++) {
            int64_t from = clock_now_ns();
            pool_put(bench->pool, storm->objects[--storm->out]);
            keep_longest(&longest->put_ns, from);
        }
        storm->objects[storm->out] = timed_get(bench->pool, storm);
        if (storm->objects[storm->out])
            storm->out++;
        if (storm->at % SWEEP_EVERY == 0) {
            int64_t from = clock_now_ns();
            pool_sweep(bench->pool);
            keep_longest(&longest->sweep_ns, from);
        }
    }
}

static void shrink_storm(struct gb_state *state, const struct bench_case *bench, struct storm *storm)
{
    struct longest longest = {0};
    fill(bench, storm);
    if (storm->out < GROW_OBJECTS)
        gb_skip(state, "a get gave no object");
    begin(storm);
    ebb(bench, storm, &longest);
    end(storm);
    gb_set_counter(state, "faults", (double)storm->faults, GB_COUNTER_SUM);
    gb_set_counter(state, "longest_put_ns", (double)longest.put_ns, GB_COUNTER_SUM);
    gb_set_counter(state, "longest_sweep_ns", (double)longest.sweep_ns, GB_COUNTER_SUM);
}

static void run_shrink(struct gb_state *state, void *context)
{
    run_storm(state, context, shrink_storm);
}

const struct workload grow_workloads[] = {
    {.name = "grow",
     .summary = "50 000 gets, one each 10 us, of a pool that starts with 1024; per_op is the mean get with "
                "its two clock readings",
     .run = run_grow,
     .setup = setup_grow,
     .teardown = teardown_grow,
     .objects = GROW_OBJECTS,
     .both_modes = true,
     .batch = 1,
     .iterations = 1,
     .clock = GB_CLOCK_MANUAL},
    {.name = "shrink",
     .summary = "two puts and a get each 10 us until 50 000 objects have become 1024; per_op as in grow",
     .run = run_shrink,
     .setup = setup_shrink,
     .objects = GROW_OBJECTS,
     .both_modes = true,
     .batch = 1,
     .iterations = 1,
     .clock = GB_CLOCK_MANUAL},
    {0},
};
