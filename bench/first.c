// SPDX-License-Identifier: Apache-2.0
// first_get: the cost of a thread's first get, with all that a strategy or an allocator sets up for a
// thread. FIRST_THREADS threads get one after the other, or all at once as when a server starts. The threads
// themselves have started before, and wait. Counters: percentiles of the first gets, each timed by itself;
// with 72 of them, p99 is the slowest but one. per_op is their mean.
#include "base/clock.h"
#include "bench/latency.h"
#include "bench/visits.h"
#include "bench/way.h"

enum { FIRST_THREADS = 72 };

struct first {
    const struct bench_case *bench;
    int64_t ns[FIRST_THREADS]; // -1: no object. Written by its thread, read when all have visited
};

static void get_first(void *context, int thread)
{
    struct first *first = context;
    int64_t from_ns = clock_now_ns();
    void *object = bench_take(first->bench);
    int64_t ns = clock_now_ns() - from_ns;
    first->ns[thread] = object ? ns : -1;
    bench_give(first->bench, object);
}

static void report(struct gb_state *state, const struct first *first)
{
    struct latency gets;
    latency_init(&gets, state, FIRST_THREADS);
    if (!gets.ns)
        return;
    int64_t failed = 0, sum_ns = 0;
    for (int i = 0; i < FIRST_THREADS; i++) {
        if (first->ns[i] < 0) {
            failed++;
            continue;
        }
        latency_add(&gets, first->ns[i]);
        sum_ns += first->ns[i];
    }
    gb_set_iteration_time(state, (double)sum_ns * 1e-9);
    latency_report(&gets, state, "");
    latency_report_books(state, FIRST_THREADS, gets.count, 0, failed);
    latency_free(&gets);
    if (failed > 0)
        gb_skip(state, "a get gave no object");
}

static void run_first(struct gb_state *state, void *context)
{
    const struct bench_case *bench = context;
    while (gb_next_batch(state) > 0) {
        struct first first = {.bench = bench};
        struct visits *visits;
        if (visits_start(&visits, FIRST_THREADS, get_first, &first) < 0) {
            gb_skip(state, "a thread could not be started");
            continue;
        }
        visits_run(visits, bench->workload->parameter);
        visits_end(visits);
        report(state, &first);
    }
    bench_report_ops(state, FIRST_THREADS);
}

#define FIRST(row_name, at_once, text)                                                                       \
    {                                                                                                        \
        .name = row_name, .summary = text, .run = run_first, .objects = FIRST_THREADS, .parameter = at_once, \
        .one_size = true, .batch = 1, .iterations = 1, .clock = GB_CLOCK_MANUAL                              \
    }

const struct workload first_workloads[] = {
    FIRST("first_get", false, "the first get of each of 72 threads, one after the other"),
    FIRST("first_get_at_once", true, "the first get of each of 72 threads, all at the same time"),
    {0},
};
