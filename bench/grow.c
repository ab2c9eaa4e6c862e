// SPDX-License-Identifier: Apache-2.0
// grow and shrink: the time of each get while the pool grows or shrinks, so that an expansion in the path of
// a get is seen. Also the page faults that the kernel counted for the getting thread.
//
// Both are paced: one operation each PACE_NS on an absolute schedule, a storm of 100 000 connections a
// second. Growth in the background is designed for such a rate. A loop of bare gets would only measure how
// soon it falls behind. Between operations the thread spins, so the times contain no wake-up.
//
// Open loop: a get's time counts from its due time, and the schedule never moves. A get that stalls for 100
// ms makes the 10 000 gets after it late, and the wait counts in each of them. In addition, uncorrected_* is
// the time of each call alone, which hides such waits.
//
// The processor's speed is probed (bench/speed.h) before an operation is due, if there is time; a late
// operation uses the result of the last probe. The percentiles are of the gets whose probe was at full
// speed. The probe comes before the get, so neither the get's own time nor its work decides whether it
// counts. any_speed_* are the percentiles of all gets. If too few gets were at full speed, the percentiles
// are of all. The books say how many gets were due, measured, left out for the speed, and failed
// (bench/latency.h). `preempted` says how often the kernel took the thread off its processor meanwhile:
// waits of some milliseconds may come from that. undisturbed_longest_ns is the longest single call without
// those: inline, the longest piece of growth that a get made.
//
// grow: a pool of GROW_INITIAL objects, GROW_OBJECTS gets. Counters: the get's percentiles; faults_get, page
// faults in the path of all gets; faults_touch, page faults when all objects were written afterwards;
// expansions and misses.
//
// shrink: GROW_OBJECTS are out. Each step puts two objects and gets one, until few are left. The same thread
// sweeps the pool now and then, as a server does. A get counts from the due time of its step, so a put or a
// sweep that delays it counts, too. Counters: percentiles of the gets, longest put and sweep, page faults of
// all.
//
// grow also writes the cost of each call to the case's `trace`, if it has one: bench/get_trace.h.
#include "base/clock.h"
#include "bench/get_trace.h"
#include "bench/latency.h"
#include "bench/speed.h"
#include "bench/way.h"

// The gets at full speed count alone only if they are at least this share of all gets.
#define LEAST_SHARE 0.5

enum { GROW_INITIAL = 1024, GROW_OBJECTS = 50000, PACE_NS = 10000, SWEEP_EVERY = 5000, PRIMING_OBJECTS = 64 };

// A probe takes a microsecond. There is none when less than this is left before the next operation.
enum { PROBE_ROOM_NS = 3000 };

struct storm {
    struct latency gets, full_speed; // from the due time: all, and those after a probe at full speed
    struct latency calls;            // all, from the call
    int64_t failed, due;             // gets that gave no object; gets in the schedule
    bool is_full;                    // result of the last probe
    int64_t known_preemptions;       // as of the last reading
    int64_t undisturbed_ns;          // longest call in which the kernel did not take the thread off
    void **objects;
    int64_t out;                 // objects that this thread has out; NULL where a get gave none
    int64_t at, start_ns;        // operations begun; when the first was due
    int64_t preemptions, faults; // at the start, then since
    struct get_trace *trace;     // may be NULL
};

static struct pool_config config_of(const struct bench_case *bench)
{
    bool grows = pool_strategy_caps(bench->strategy) & POOL_CAP_GROWS;
    // A strategy that cannot grow has all objects from the start.
    return bench_config(bench, grows ? GROW_INITIAL : GROW_OBJECTS);
}

static void setup_shrink(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct pool_config config = config_of(bench);
    bench_open_config(state, bench, &config);
}

// The trace, if there is one, listens to the pool's growth.
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
    if (storm->full_speed.ns)
        latency_init(&storm->calls, state, GROW_OBJECTS);
    return storm->objects && storm->gets.ns && storm->full_speed.ns && storm->calls.ns;
}

static void storm_free(struct storm *storm)
{
    bench_unmap(storm->objects, GROW_OBJECTS * sizeof *storm->objects);
    if (storm->gets.ns)
        latency_free(&storm->gets);
    if (storm->full_speed.ns)
        latency_free(&storm->full_speed);
    if (storm->calls.ns)
        latency_free(&storm->calls);
}

// The schedule begins one period from now, so that the first operation has its probe, too.
static void begin(struct storm *storm)
{
    storm->is_full = speed_await(&(struct speed_wait){0}, INT64_MAX);
    storm->preemptions = storm->known_preemptions = bench_thread_preemptions();
    storm->undisturbed_ns = 0;
    storm->faults = bench_thread_faults();
    storm->start_ns = clock_now_ns() + PACE_NS;
}

static void end(struct storm *storm)
{
    storm->preemptions = bench_thread_preemptions() - storm->preemptions;
    storm->faults = bench_thread_faults() - storm->faults;
}

// Spins until the next operation is due, and returns when it was due. A late operation begins at once; the
// schedule does not change.
static int64_t pace(struct storm *storm)
{
    int64_t due_ns = storm->start_ns + storm->at++ * PACE_NS, now_ns = clock_now_ns();
    if (due_ns - now_ns > PROBE_ROOM_NS) {
        storm->is_full = speed_is_full();
        storm->known_preemptions = bench_thread_preemptions();
    }
    while (now_ns < due_ns)
        now_ns = clock_now_ns();
    return due_ns;
}

// Asks the kernel only about a call that would be the longest. A call during which the thread had to give way
// to others says nothing about the strategy.
static void keep_undisturbed(struct storm *storm, int64_t call_ns)
{
    if (call_ns <= storm->undisturbed_ns)
        return;
    int64_t preemptions = bench_thread_preemptions();
    if (preemptions == storm->known_preemptions)
        storm->undisturbed_ns = call_ns;
    storm->known_preemptions = preemptions;
}

static void *timed_get(const struct bench_case *bench, struct storm *storm, int64_t due_ns)
{
    int64_t from_ns = clock_now_ns();
    void *object = bench_take(bench);
    int64_t end_ns = clock_now_ns();
    storm->due++;
    latency_add(&storm->calls, end_ns - from_ns);
    keep_undisturbed(storm, end_ns - from_ns);
    if (!object)
        storm->failed++;
    else
        latency_add(&storm->gets, end_ns - due_ns);
    if (object && storm->is_full)
        latency_add(&storm->full_speed, end_ns - due_ns);
    if (storm->trace)
        get_trace_add(storm->trace, from_ns);
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
    latency_report(&storm->calls, state, "uncorrected_");
    latency_report_books(state, storm->due, chosen->count, storm->gets.count - chosen->count, storm->failed);
    gb_set_iteration_time(state, mean_seconds(&storm->calls));
    gb_set_counter(state, "per_op", mean_seconds(&storm->calls), GB_COUNTER_SUM);
    gb_set_counter(state, "full_speed_share", share, GB_COUNTER_SUM);
    gb_set_counter(state, "at_full_speed", share >= LEAST_SHARE, GB_COUNTER_SUM);
    gb_set_counter(state, "step_ns", speed_step_ns(), GB_COUNTER_SUM);
    struct pool_stats stats;
    gb_set_counter(state, "preempted", (double)storm->preemptions, GB_COUNTER_SUM);
    gb_set_counter(state, "undisturbed_longest_ns", (double)storm->undisturbed_ns, GB_COUNTER_SUM);
    bench_stats(bench, &stats);
    if (stats.unknown)
        return;
    gb_set_counter(state, "expansions", (double)stats.expansions, GB_COUNTER_SUM);
    gb_set_counter(state, "shrinks", (double)stats.shrinks, GB_COUNTER_SUM);
    gb_set_counter(state, "misses", (double)stats.misses, GB_COUNTER_SUM);
    gb_set_counter(state, "longest_expansion_ns", (double)stats.longest_expansion_ns, GB_COUNTER_SUM);
}

// The code around the storm of both workloads.
typedef void storm_body(struct gb_state *state, const struct bench_case *bench, struct storm *storm);

static void run_storm(struct gb_state *state, const struct bench_case *bench, storm_body *body)
{
    struct storm storm;
    bool ready = storm_init(&storm, state);
    while (ready && gb_next_batch(state) > 0) {
        body(state, bench, &storm);
        report(state, bench, &storm);
        while (storm.out > 0)
            bench_give(bench, storm.objects[--storm.out]);
    }
    storm_free(&storm);
}

// Some gets and puts beforehand. State that the strategy makes for a thread, and the first run of code, cost
// once; so they are not in the storm.
static void prime(const struct bench_case *bench, struct storm *storm)
{
    for (int i = 0; i < PRIMING_OBJECTS; i++)
        storm->objects[i] = bench_take(bench);
    for (int i = 0; i < PRIMING_OBJECTS; i++)
        bench_give(bench, storm->objects[i]);
}

// Page faults while all objects are written.
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
    prime(bench, storm);
    storm->trace = bench->shared;
    if (storm->trace)
        get_trace_begin(storm->trace, bench->pool);
    begin(storm);
    for (storm->out = 0; storm->out < GROW_OBJECTS; storm->out++) {
        int64_t due_ns = pace(storm);
        got += (storm->objects[storm->out] = timed_get(bench, storm, due_ns)) != NULL;
    }
    end(storm);
    gb_set_counter(state, "faults_get", (double)storm->faults, GB_COUNTER_SUM);
    gb_set_counter(state, "faults_touch", (double)faults_of_touching(bench, storm), GB_COUNTER_SUM);
    if (storm->trace)
        get_trace_write(storm->trace, state, &storm->calls);
    if (got < GROW_OBJECTS)
        gb_skip(state, "a get gave no object");
}

static void run_grow(struct gb_state *state, void *context)
{
    run_storm(state, context, grow_storm);
}

// Fills the pool as fast as possible, and writes each object.
static void fill(const struct bench_case *bench, struct storm *storm)
{
    while (storm->out < GROW_OBJECTS && (storm->objects[storm->out] = bench_take(bench)) != NULL)
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

// Two puts and a get in each step, until GROW_INITIAL objects are left.
static void ebb(const struct bench_case *bench, struct storm *storm, struct longest *longest)
{
    while (storm->out > GROW_INITIAL) {
        int64_t due_ns = pace(storm);
        for (int k = 0; k < 2; k++) {
            int64_t from = clock_now_ns();
            bench_give(bench, storm->objects[--storm->out]);
            keep_longest(&longest->put_ns, from);
        }
        storm->objects[storm->out] = timed_get(bench, storm, due_ns);
        if (storm->objects[storm->out])
            storm->out++;
        if (storm->at % SWEEP_EVERY == 0) {
            int64_t from = clock_now_ns();
            bench_sweep(bench);
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
     .summary =
         "50 000 gets, one each 10 us, of a pool that starts with 1024, counted from when each was due; "
         "per_op is the mean call with its two clock readings",
     .run = run_grow,
     .setup = setup_grow,
     .teardown = teardown_grow,
     .objects = GROW_OBJECTS,
     .both_modes = true,
     .adapts = true,
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
