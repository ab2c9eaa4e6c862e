// SPDX-License-Identifier: Apache-2.0
// remote: an object is got by one thread and put by another. 1:1. N:1: many getters and one putter. 1:N, the
// fan-out of a message broker: one get, N references, and the thread that drops the last one puts. N:N:
// every getter has a short ring to each of as many putters, so that a slow putter holds the getters back.
//
// An iteration hands one object over (N:1, N:N: one of each getter). per_op is elapsed time for an object.
// All threads do the same number of iterations, so no thread waits for one that has ended. An object that
// could not be got is still handed over, as NULL. Where objects are used, the getter writes what the putter
// reads.
//
// The number of objects out at once is bounded by the ring's depth, and depends on which side is slower. A
// ring of 1024 may be full (3 MiB of objects, more than most second level caches hold) or nearly empty. So
// there is also one of 64.
#include "bench/ring.h"
#include "bench/way.h"

enum { DEPTH_SHORT = 64 };

// The first word of an object in flight, in 1:N.
struct shared_object {
    _Atomic int references;
};

// Rings that a run needs: one for each thread, or for each pair of N:N.
static size_t ring_count(const struct gb_state *state)
{
    size_t threads = (size_t)gb_threads(state);
    return threads * threads;
}

static void setup_rings(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct ring *rings = bench->shared = bench_map(state, ring_count(state) * sizeof(struct ring));
    for (size_t i = 0; rings && i < ring_count(state); i++)
        ring_init(&rings[i], (uint64_t)bench->workload->parameter);
    if (rings)
        bench_open(state, context);
}

static void teardown_rings(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    bench_close(state, context);
    bench_unmap(bench->shared, ring_count(state) * sizeof(struct ring));
    bench->shared = NULL;
}

static void report_objects(struct gb_state *state, int64_t objects)
{
    if (gb_thread_index(state) == 0)
        gb_set_counter(state, "per_op", (double)objects, GB_COUNTER_RATE | GB_COUNTER_INVERT);
}

// Pushes to `count` rings in turn.
ALWAYS_INLINE void get_and_push(struct gb_state *state, const struct bench_case *bench, struct ring *rings,
                                int count, enum bench_way way, enum bench_touch touch)
{
    bool failed = false;
    int64_t n;
    while ((n = gb_next_batch(state)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            void *object = bench_get(&bench->access, bench->bytes, way);
            if (object)
                bench_touch_object(object, bench->bytes, touch);
            failed |= !object;
            ring_push(&rings[count > 1 ? i % count : 0], object);
        }
        for (int ring = 0; ring < count; ring++)
            ring_flush(&rings[ring]);
    }
    if (failed)
        gb_skip(state, "a get gave no object");
}

ALWAYS_INLINE void pop_and_put(const struct bench_case *bench, struct ring *ring, enum bench_way way,
                               enum bench_touch touch)
{
    void *object = ring_pop(ring);
    if (object)
        bench_read_object(object, bench->bytes, touch);
    bench_put(&bench->access, object, way);
}

// Thread 0 puts; each other thread gets and has a ring of its own.
ALWAYS_INLINE void to_one(struct gb_state *state, const struct bench_case *bench, enum bench_way way,
                          enum bench_touch touch)
{
    struct ring *rings = bench->shared;
    int index = gb_thread_index(state), getters = gb_threads(state) - 1;
    if (index > 0) {
        get_and_push(state, bench, &rings[index], 1, way, touch);
        return;
    }
    int64_t n;
    while ((n = gb_next_batch(state)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            for (int getter = 1; getter <= getters; getter++)
                pop_and_put(bench, &rings[getter], way, touch);
        }
    }
    report_objects(state, gb_iterations(state) * getters);
}

// The first half of the threads put. Getter g has the rings g x half to g x half + half - 1, one to each
// putter. On both sides iteration i of a batch uses ring i % half.
ALWAYS_INLINE void to_as_many(struct gb_state *state, const struct bench_case *bench, enum bench_way way,
                              enum bench_touch touch)
{
    struct ring *rings = bench->shared;
    int index = gb_thread_index(state), half = gb_threads(state) / 2;
    if (index >= half) {
        get_and_push(state, bench, &rings[(index - half) * half], half, way, touch);
        return;
    }
    int64_t n;
    while ((n = gb_next_batch(state)) > 0) {
        // This thread takes every half-th object of each getter's batch.
        for (int64_t i = index; i < n; i += half) {
            for (int getter = 0; getter < half; getter++)
                pop_and_put(bench, &rings[getter * half + index], way, touch);
        }
    }
    report_objects(state, gb_iterations(state) * half);
}

ALWAYS_INLINE void send_to_all(struct gb_state *state, const struct bench_case *bench, struct ring *rings,
                               int receivers, enum bench_way way)
{
    bool failed = false;
    int64_t n;
    while ((n = gb_next_batch(state)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            struct shared_object *object = bench_get(&bench->access, bench->bytes, way);
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
ALWAYS_INLINE void to_many(struct gb_state *state, const struct bench_case *bench, enum bench_way way)
{
    struct ring *rings = bench->shared;
    int index = gb_thread_index(state);
    if (index == 0) {
        send_to_all(state, bench, rings, gb_threads(state) - 1, way);
        return;
    }
    int64_t n;
    while ((n = gb_next_batch(state)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            struct shared_object *object = ring_pop(&rings[index]);
            // Acquire and release: the thread that puts the object comes after all that used it.
            if (object && atomic_fetch_sub_explicit(&object->references, 1, memory_order_acq_rel) == 1)
                bench_put(&bench->access, object, way);
        }
    }
}

BENCH_RUN(run_to_one, to_one(state, bench, way, TOUCH_NOTHING))
BENCH_RUN(run_to_one_line, to_one(state, bench, way, TOUCH_LINE))
BENCH_RUN(run_to_one_320, to_one(state, bench, way, TOUCH_320))
BENCH_RUN(run_to_one_all, to_one(state, bench, way, TOUCH_ALL))
BENCH_RUN(run_to_as_many_line, to_as_many(state, bench, way, TOUCH_LINE))
BENCH_RUN(run_to_many, to_many(state, bench, way))

// The most objects that each thread can have out at once: a full ring, and those being handled.
#define IN_FLIGHT (RING_SLOTS + RING_BATCH + 1)

#define REMOTE(row_name, function, row_touch, depth, text)                                                   \
    {                                                                                                        \
        .name = row_name, .summary = text, .run = function, .setup = setup_rings,                            \
        .teardown = teardown_rings, .objects = IN_FLIGHT, .parameter = depth, .touch = row_touch,            \
        .not_single = true, .ready = true, .threads = {                                                      \
            2                                                                                                \
        }                                                                                                    \
    }

const struct workload remote_workloads[] = {
    REMOTE("remote_1_1", run_to_one, TOUCH_NOTHING, RING_SLOTS,
           "one thread gets, another puts; elapsed time an object"),
    REMOTE("remote_1_1_touch_line", run_to_one_line, TOUCH_LINE, RING_SLOTS,
           "remote_1_1, and the getter writes the object's first line, which the putter reads"),
    REMOTE("remote_1_1_touch_320", run_to_one_320, TOUCH_320, RING_SLOTS,
           "remote_1_1, and the getter writes the first 320 bytes, which the putter reads"),
    REMOTE("remote_1_1_touch_all", run_to_one_all, TOUCH_ALL, RING_SLOTS,
           "remote_1_1, and the getter writes the whole object, which the putter reads"),
    REMOTE("remote_short_touch_line", run_to_one_line, TOUCH_LINE, DEPTH_SHORT,
           "remote_1_1_touch_line with a ring of 64 instead of 1024"),
    REMOTE("remote_short_touch_all", run_to_one_all, TOUCH_ALL, DEPTH_SHORT,
           "remote_1_1_touch_all with a ring of 64 instead of 1024"),
    {.name = "remote_n_n",
     .summary = "N threads get and write a line, N put, over rings of 64 that hold the getters back; elapsed "
                "time an object",
     .run = run_to_as_many_line,
     .setup = setup_rings,
     .teardown = teardown_rings,
     .objects = IN_FLIGHT,
     .parameter = DEPTH_SHORT,
     .touch = TOUCH_LINE,
     .not_single = true,
     .threads = {4, 8, 16}},
    {.name = "remote_n_1",
     .summary = "N threads get, one puts; elapsed time an object",
     .run = run_to_one,
     .setup = setup_rings,
     .teardown = teardown_rings,
     .objects = IN_FLIGHT,
     .parameter = RING_SLOTS,
     .not_single = true,
     .threads = {3, 5}},
    {.name = "remote_1_n",
     .summary = "one thread gets, N have a reference each, the last one puts; elapsed time an object",
     .run = run_to_many,
     .setup = setup_rings,
     .teardown = teardown_rings,
     .objects = IN_FLIGHT,
     .parameter = RING_SLOTS,
     .shuns = POOL_CAP_SHARES,
     .not_single = true,
     .threads = {3, 5}},
    {0},
};
