// SPDX-License-Identifier: Apache-2.0
// crowd: many more threads than processors, as servers with a thread for each client have. Each thread fills
// and empties random slots of its own. Each single get and each put is timed.
//
// A thread that the kernel takes off its processor within a get waits some milliseconds. With one such
// preemption each few milliseconds and a get each 100 ns, that is less than one get in ten thousand. So
// p99.99 shows waits that the contender causes: threads that wait for a lock whose holder is not running. No
// sample is left out. Counters: percentiles of gets and, with the prefix put_, of puts. per_op is elapsed
// time of a get and a put as one of the threads sees it.
#include "base/clock.h"
#include "bench/latency.h"
#include "bench/way.h"

enum { CROWD_SLOTS = 256, CROWD_OPERATIONS = 200000 };

struct crowd {
    struct latency gets, puts;
    int64_t due, failed; // gets
};

static size_t crowd_bytes(const struct gb_state *state)
{
    return (size_t)gb_threads(state) * sizeof(struct crowd);
}

static void setup_crowd(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct crowd *crowd = bench->shared = bench_map(state, crowd_bytes(state));
    for (int i = 0; crowd && i < gb_threads(state) && !gb_skipped(state); i++) {
        latency_init(&crowd[i].gets, state, CROWD_OPERATIONS);
        latency_init(&crowd[i].puts, state, CROWD_OPERATIONS);
    }
    if (!gb_skipped(state))
        bench_open(state, context);
}

static void teardown_crowd(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct crowd *crowd = bench->shared;
    for (int i = 0; crowd && i < gb_threads(state); i++) {
        latency_free(&crowd[i].gets);
        latency_free(&crowd[i].puts);
    }
    bench_unmap(crowd, crowd_bytes(state));
    bench->shared = NULL;
    bench_close(state, context);
}

ALWAYS_INLINE void one_operation(const struct bench_case *bench, struct crowd *own, void **slot,
                                 enum bench_way way)
{
    int64_t from_ns = clock_now_ns();
    if (*slot) {
        bench_put(&bench->access, *slot, way);
        latency_add(&own->puts, clock_now_ns() - from_ns);
        *slot = NULL;
        return;
    }
    void *object = *slot = bench_get(&bench->access, bench->bytes, way);
    int64_t ns = clock_now_ns() - from_ns;
    own->due++;
    if (object)
        latency_add(&own->gets, ns);
    else
        own->failed++;
}

// After the loop all threads have left it: the first thread sums up.
static void report(struct gb_state *state, const struct crowd *crowd)
{
    size_t threads = (size_t)gb_threads(state);
    int64_t due = 0, measured = 0, failed = 0;
    for (size_t i = 0; i < threads; i++) {
        due += crowd[i].due;
        measured += crowd[i].gets.count;
        failed += crowd[i].failed;
    }
    latency_report_many(&crowd->gets, threads, sizeof *crowd, state, "");
    latency_report_many(&crowd->puts, threads, sizeof *crowd, state, "put_");
    latency_report_books(state, due, measured, 0, failed);
    if (failed > 0)
        gb_skip(state, "a get gave no object");
}

ALWAYS_INLINE void crowd(struct gb_state *state, const struct bench_case *bench, enum bench_way way)
{
    struct crowd *all = bench->shared, *own = &all[gb_thread_index(state)];
    void **slots = bench_map(state, CROWD_SLOTS * sizeof *slots);
    if (!slots)
        return;
    uint64_t random = bench_seed(state);
    int64_t n;
    own->gets.count = own->puts.count = own->due = own->failed = 0;
    while ((n = gb_next_batch(state)) > 0) {
        for (int64_t i = 0; i < n; i++)
            one_operation(bench, own, &slots[bench_random(&random) % CROWD_SLOTS], way);
    }
    for (size_t i = 0; i < CROWD_SLOTS; i++) {
        if (slots[i])
            bench_put(&bench->access, slots[i], way);
    }
    bench_unmap(slots, CROWD_SLOTS * sizeof *slots);
    bench_report_ops(state, (gb_iterations(state) + 1) / 2);
    if (gb_thread_index(state) == 0)
        report(state, all);
}

BENCH_RUN(run_crowd, crowd(state, bench, way))

const struct workload crowd_workloads[] = {
    {.name = "crowd",
     .summary = "16 threads, more than processors, fill and empty random slots; the time of each single get",
     .run = run_crowd,
     .setup = setup_crowd,
     .teardown = teardown_crowd,
     .objects = CROWD_SLOTS,
     .one_size = true,
     .not_single = true,
     .iterations = CROWD_OPERATIONS,
     .threads = {16}},
    {0},
};
