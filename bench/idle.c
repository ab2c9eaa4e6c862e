// SPDX-License-Identifier: Apache-2.0
// idle_threads: memory that a thousand threads keep while they are idle. Each gets IDLE_OBJECTS objects,
// writes and puts them, and waits. Either all do so at the same time, as after a storm that reached every
// thread. Or one after the other (in_turn), so that never more than IDLE_OBJECTS are out; then the gained
// memory is caches and per-thread memory.
//
// Memory is the process's resident set. Before the first get all threads have run and wait. Counters:
// idle_bytes, the memory gained when the last thread has put its objects; idle_1s_bytes, the same 1 s later,
// the pool swept meanwhile as a server does; idle_trimmed_bytes, after that, when the main thread has asked for all
// that is free: by pool_trim, and the allocator by malloc_trim or its relative (heap_trim); idle_thread_bytes,
// idle_bytes for each thread. per_op is one thread's part.
#include "base/clock.h"
#include "base/heap.h"
#include "base/procmem.h"
#include "bench/visits.h"
#include "bench/way.h"

#include <stdatomic.h>
#include <unistd.h>

enum { IDLE_THREADS = 1000, IDLE_OBJECTS = 64, IDLE_SWEEPS = 5 };
enum { IDLE_AT_ONCE, IDLE_IN_TURN };

struct idle {
    const struct bench_case *bench;
    void *(*objects)[IDLE_OBJECTS]; // one array for each thread, which alone uses it
    bool gets, puts;                // the work of a visit; written between visits
    _Atomic int64_t failed;         // relaxed: read after all threads have visited
};

static double resident_bytes(void)
{
    struct procmem mem;
    return procmem_read(getpid(), &mem) == 0 ? (double)mem.rss_bytes : 0;
}

static void use_objects(void *context, int thread)
{
    struct idle *idle = context;
    void **objects = idle->objects[thread];
    for (int i = 0; idle->gets && i < IDLE_OBJECTS; i++) {
        objects[i] = bench_take(idle->bench);
        if (objects[i])
            bench_touch_object(objects[i], idle->bench->bytes, TOUCH_ALL);
        else
            atomic_fetch_add_explicit(&idle->failed, 1, memory_order_relaxed);
    }
    for (int i = 0; idle->puts && i < IDLE_OBJECTS; i++)
        bench_give(idle->bench, objects[i]);
}

static void visit_all(struct idle *idle, struct visits *visits)
{
    bool in_turn = idle->bench->workload->parameter == IDLE_IN_TURN;
    idle->gets = true;
    idle->puts = in_turn;
    visits_run(visits, !in_turn);
    if (in_turn)
        return;
    idle->gets = false;
    idle->puts = true;
    visits_run(visits, true);
}

static void setup_idle(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct pool_config config = bench_config(bench, IDLE_OBJECTS);
    bench_open_config(state, bench, &config);
}

static void measure(struct gb_state *state, struct idle *idle, struct visits *visits)
{
    (void)resident_bytes(); // the reader's own memory
    double before = resident_bytes();
    int64_t from_ns = clock_now_ns();
    visit_all(idle, visits);
    int64_t end_ns = clock_now_ns();
    double after = resident_bytes();
    for (int i = 1; i <= IDLE_SWEEPS; i++) {
        clock_sleep_until_ns(end_ns + i * (NS_PER_S / IDLE_SWEEPS));
        bench_sweep(idle->bench);
    }
    gb_set_iteration_time(state, (double)(end_ns - from_ns) * 1e-9);
    gb_set_counter(state, "idle_bytes", after - before, GB_COUNTER_1024);
    gb_set_counter(state, "idle_1s_bytes", resident_bytes() - before, GB_COUNTER_1024);
    bench_trim(idle->bench);
    heap_trim();
    gb_set_counter(state, "idle_trimmed_bytes", resident_bytes() - before, GB_COUNTER_1024);
    gb_set_counter(state, "idle_thread_bytes", (after - before) / IDLE_THREADS, GB_COUNTER_1024);
}

static void run_idle(struct gb_state *state, void *context)
{
    size_t bytes = IDLE_THREADS * sizeof(void *[IDLE_OBJECTS]);
    struct idle idle = {.bench = context, .objects = bench_map(state, bytes)};
    while (idle.objects && gb_next_batch(state) > 0) {
        struct visits *visits;
        if (visits_start(&visits, IDLE_THREADS, use_objects, &idle) < 0) {
            gb_skip(state, "a thread could not be started");
            continue;
        }
        measure(state, &idle, visits);
        visits_end(visits);
        if (atomic_load_explicit(&idle.failed, memory_order_relaxed) > 0)
            gb_skip(state, "a get gave no object");
    }
    bench_unmap(idle.objects, bytes);
    bench_report_ops(state, IDLE_THREADS);
}

#define IDLE(row_name, kind, text)                                                                           \
    {                                                                                                        \
        .name = row_name, .summary = text, .run = run_idle, .setup = setup_idle, .objects = IDLE_OBJECTS,    \
        .parameter = kind, .shuns = POOL_CAP_SHARES, .one_size = true, .batch = 1, .iterations = 1,          \
        .clock = GB_CLOCK_MANUAL                                                                             \
    }

const struct workload idle_workloads[] = {
    IDLE("idle_threads", IDLE_AT_ONCE,
         "memory that 1000 threads keep which all got 64 objects, put them and wait; an operation is a "
         "thread's part"),
    IDLE("idle_threads_in_turn", IDLE_IN_TURN, "the same, one thread after the other"),
    {0},
};
