// SPDX-License-Identifier: Apache-2.0
// bleed and churn: threads that come and go.
//
// bleed (Larson and Krishnan 1998): objects outlive the thread that got them. A chain of threads works on
// one set of slots. Each thread replaces random objects and ends; its successor puts the objects it left.
// The time includes one thread's start and end for each BLEED_REPLACED operations. churn: a thread's whole
// life. It starts, gets some objects, puts them and ends; an operation is one life. A strategy's state for a
// thread must be made and given back each time. `null` shows the cost of the thread itself.
#include "bench/way.h"

#include <pthread.h>

enum { BLEED_SLOTS = 1000, BLEED_REPLACED = 10000, CHURN_OBJECTS = 64 };

static const char no_thread[] = "a thread could not be started";
static const char no_object[] = "a get gave no object";

struct worker {
    const struct bench_case *bench;
    void **slots;
    int64_t count;
    uint64_t random;
    bool failed;
};

// Runs `main` on a thread of its own until it ends.
static void live(struct gb_state *state, struct worker *worker, void *(*main)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, main, worker) != 0) {
        gb_skip(state, no_thread);
        return;
    }
    pthread_join(thread, NULL);
    if (worker->failed)
        gb_skip(state, no_object);
}

static void *replace_some(void *context)
{
    struct worker *worker = context;
    for (int64_t i = 0; i < worker->count; i++) {
        void **slot = &worker->slots[bench_random(&worker->random) % BLEED_SLOTS];
        bench_give(worker->bench, *slot);
        *slot = bench_take(worker->bench);
        worker->failed |= !*slot;
    }
    return NULL;
}

static void run_bleed(struct gb_state *state, void *context)
{
    const struct bench_case *bench = context;
    size_t bytes = BLEED_SLOTS * sizeof(void *);
    struct worker worker = {.bench = bench, .slots = bench_map(state, bytes), .random = bench_seed(state)};
    if (!worker.slots)
        return;
    int64_t n;
    while ((n = gb_next_batch(state)) > 0) {
        worker.count = n;
        live(state, &worker, replace_some);
    }
    struct pool_stats stats;
    bench_stats(bench, &stats);
    for (size_t i = 0; i < BLEED_SLOTS; i++)
        bench_give(bench, worker.slots[i]);
    bench_unmap(worker.slots, bytes);
    bench_report_ops(state, gb_iterations(state));
    if (gb_thread_index(state) == 0 && bench->pool && !stats.unknown) {
        double live_bytes = (double)stats.in_use * (double)bench->bytes;
        gb_set_counter(state, "owned_ratio", live_bytes > 0 ? (double)stats.bytes_owned / live_bytes : 0,
                       GB_COUNTER_SUM);
    }
}

static void *get_and_put(void *context)
{
    struct worker *worker = context;
    void *objects[CHURN_OBJECTS];
    for (int i = 0; i < CHURN_OBJECTS; i++) {
        objects[i] = bench_take(worker->bench);
        worker->failed |= !objects[i];
    }
    for (int i = 0; i < CHURN_OBJECTS; i++)
        bench_give(worker->bench, objects[i]);
    return NULL;
}

static void run_churn(struct gb_state *state, void *context)
{
    const struct bench_case *bench = context;
    struct worker worker = {.bench = bench};
    while (gb_next_batch(state) > 0)
        live(state, &worker, get_and_put);
    bench_report_ops(state, gb_iterations(state));
}

const struct workload bleed_workloads[] = {
    {.name = "bleed",
     .summary =
         "random ones of 1000 objects are replaced by a chain of threads, each putting what others got",
     .run = run_bleed,
     .objects = BLEED_SLOTS,
     .batch = BLEED_REPLACED,
     .threads = {2}},
    {.name = "churn",
     .summary = "a thread starts, gets 64 objects, puts them and ends; an operation is its life",
     .run = run_churn,
     .objects = CHURN_OBJECTS,
     .batch = 1,
     .threads = {2}},
    {0},
};
