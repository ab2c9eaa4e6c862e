// SPDX-License-Identifier: Apache-2.0
// remote: an object is got by one thread and put by another. 1:1; N:1, many getters and one that puts; 1:N,
// the fan-out of a message broker: one get, N references, and whoever drops the last one puts.
//
// An iteration hands one object over (N:1: one of each getter). per_op is elapsed time an object. Every
// thread does the same count of iterations, so no thread waits for one that has ended; an object that could
// not be got is handed over as NULL all the same.
#include "bench/ring.h"
#include "bench/workload.h"

// The first word of an object in flight, in 1:N.
struct shared_object {
    _Atomic int references;
};

static void setup_rings(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    bench->shared = bench_map(state, (size_t)gb_threads(state) * sizeof(struct ring));
    if (bench->shared)
        bench_open(state, context);
}

static void teardown_rings(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    bench_close(state, context);
    bench_unmap(bench->shared, (size_t)gb_threads(state) * sizeof(struct ring));
    bench->shared = NULL;
}

static void report_objects(struct gb_state *state, int64_t objects)
{
    if (gb_thread_index(state) == 0)
        gb_set_counter(state, "per_op", (double)objects, GB_COUNTER_RATE | GB_COUNTER_INVERT);
}

static void get_and_push(struct gb_state *state, struct pool *pool, struct ring *ring)
{
    bool failed = false;
    int64_t n;
    while ((n = gb_next_batch(state)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            void *object = pool_get(pool);
            failed |= !object;
            ring_push(ring, object);
        }
        ring_flush(ring);
    }
    if (failed)
        gb_skip(state, "a get gave no object");
}

// Thread 0 puts; each other thread gets and has a ring of its own.
static void run_to_one(struct gb_state *state, void *context)
{
    const struct bench_case *bench = context;
    struct ring *rings = bench->shared;
    int index = gb_thread_index(state), getters = gb_threads(state) - 1;
    if (index > 0) {
        get_and_push(state, bench->pool, &rings[index]);
        return;
    }
    int64_t n;
    while ((n = gb_next_batch(state)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            for (int getter = 1; getter <= getters; getter++)
                pool_put(bench->pool, ring_pop(&rings[getter]));
        }
    }
    report_objects(state, gb_iterations(state) * getters);
}

static void send_to_all(struct gb_state *state, const struct bench_case *bench, struct ring *rings,
                        int receivers)
{
    bool failed = false;
    int64_t n;
    while ((n = gb_next_batch(state)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            struct shared_object *object = pool_get(bench->pool);
            // Relaxed: the rings' release stores publish it.
            if (object)
                atomic_store_explicit(&object->references, receivers, memory_order_relaxed);
            failed |= !object;
            for (int receiver = 1; receiver <= receivers; receiver++)
                ring_push(&rings[receiver], object);
        }
        for (int receiver = 1; receiver <= receivers; receiver++)
            ring_flush(&rings[receiver]);
    }
    if (failed)
        gb_skip(state, "a get gave no object");
    report_objects(state, gb_iterations(state));
}

// Thread 0 gets and sends to all others; the last of them to drop the object puts it.
static void run_to_many(struct gb_state *state, void *context)
{
    const struct bench_case *bench = context;
    struct ring *rings = bench->shared;
    int index = gb_thread_index(state);
    if (index == 0) {
        send_to_all(state, bench, rings, gb_threads(state) - 1);
        return;
    }
    int64_t n;
    while ((n = gb_next_batch(state)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            struct shared_object *object = ring_pop(&rings[index]);
            // Acquire and release: who puts the object comes after all who used it.
            if (object && atomic_fetch_sub_explicit(&object->references, 1, memory_order_acq_rel) == 1)
                pool_put(bench->pool, object);
        }
    }
}

// What can be out at once: a full ring of each thread, and what is being handled.
#define IN_FLIGHT (RING_SLOTS + RING_BATCH + 1)

const struct workload remote_workloads[] = {
    {.name = "remote_1_1",
     .summary = "one thread gets, another puts; elapsed time an object",
     .run = run_to_one,
     .setup = setup_rings,
     .teardown = teardown_rings,
     .objects = IN_FLIGHT,
     .not_single = true,
     .threads = {2}},
    {.name = "remote_n_1",
     .summary = "N threads get, one puts; elapsed time an object",
     .run = run_to_one,
     .setup = setup_rings,
     .teardown = teardown_rings,
     .objects = IN_FLIGHT,
     .not_single = true,
     .threads = {3, 5}},
    {.name = "remote_1_n",
     .summary = "one thread gets, N have a reference each, the last one puts; elapsed time an object",
     .run = run_to_many,
     .setup = setup_rings,
     .teardown = teardown_rings,
     .objects = IN_FLIGHT,
     .shuns = POOL_CAP_SHARES,
     .not_single = true,
     .threads = {3, 5}},
    {0},
};
