// SPDX-License-Identifier: Apache-2.0
// realtime: a thread under SCHED_FIFO and an ordinary one use the same pool on one processor. The ordinary
// one gets and puts without a pause. The real-time one wakes each PERIOD_NS and gets and puts once. When it
// wakes, the ordinary thread may be in the middle of a get. If that thread holds a lock and the real-time
// thread spins on it, yielding or not, the holder never runs and never releases the lock.
//
// Open loop. A get counts from the thread's wake-up, since a late wake-up is the kernel's, not the
// contender's. But it counts from its due time when that had passed already because earlier gets took long.
// A get that was due but not made within BOUND_NS counts as its wait until then; the counter `unfinished`
// says how many there were. per_op is the mean get. Needs the right to use SCHED_FIFO.
#include "base/clock.h"
#include "bench/latency.h"
#include "bench/way.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

enum { REALTIME_GETS = 20000, REALTIME_PRIORITY = 10 };
#define PERIOD_NS (50 * NS_PER_US)
#define BOUND_NS (2 * NS_PER_S)

struct realtime {
    const struct bench_case *bench;
    struct latency gets;
    int64_t failed, unfinished, sum_ns;
    _Atomic bool over; // relaxed: the ordinary thread may notice late
};

static void *be_ordinary(void *context)
{
    struct realtime *shared = context;
    while (!atomic_load_explicit(&shared->over, memory_order_relaxed))
        bench_give(shared->bench, bench_take(shared->bench));
    return NULL;
}

static void count(struct realtime *shared, int64_t ns)
{
    latency_add(&shared->gets, ns);
    shared->sum_ns += ns;
}

static void *be_realtime(void *context)
{
    struct realtime *shared = context;
    int64_t start_ns = clock_now_ns() + PERIOD_NS, made = 0;
    for (; made < REALTIME_GETS && clock_now_ns() < start_ns + BOUND_NS; made++) {
        int64_t due_ns = start_ns + made * PERIOD_NS, from_ns = due_ns;
        if (clock_now_ns() < due_ns) {
            clock_sleep_until_ns(due_ns);
            from_ns = clock_now_ns();
        }
        void *object = bench_take(shared->bench);
        int64_t ns = clock_now_ns() - from_ns;
        if (object)
            count(shared, ns);
        else
            shared->failed++;
        bench_give(shared->bench, object);
    }
    int64_t end_ns = clock_now_ns();
    for (; made < REALTIME_GETS; made++, shared->unfinished++)
        count(shared, end_ns - (start_ns + made * PERIOD_NS));
    atomic_store_explicit(&shared->over, true, memory_order_relaxed);
    return NULL;
}

// Starts a thread on processor `cpu` under that policy; 0 or an errno.
static int start(pthread_t *thread, int cpu, int policy, void *(*main)(void *), struct realtime *shared)
{
    pthread_attr_t attributes;
    struct sched_param priority = {.sched_priority = policy == SCHED_FIFO ? REALTIME_PRIORITY : 0};
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    int code = pthread_attr_init(&attributes);
    if (code != 0)
        return code;
    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attributes, policy);
    pthread_attr_setschedparam(&attributes, &priority);
    pthread_attr_setaffinity_np(&attributes, sizeof one, &one);
    code = pthread_create(thread, &attributes, main, shared);
    pthread_attr_destroy(&attributes);
    return code;
}

static int play(struct realtime *shared)
{
    pthread_t ordinary, realtime;
    int cpu = sched_getcpu();
    int code = start(&ordinary, cpu, SCHED_OTHER, be_ordinary, shared);
    if (code != 0)
        return code;
    code = start(&realtime, cpu, SCHED_FIFO, be_realtime, shared);
    if (code == 0)
        pthread_join(realtime, NULL);
    atomic_store_explicit(&shared->over, true, memory_order_relaxed);
    pthread_join(ordinary, NULL);
    return code;
}

static void run_realtime(struct gb_state *state, void *context)
{
    struct realtime shared = {.bench = context};
    latency_init(&shared.gets, state, REALTIME_GETS);
    while (shared.gets.ns && gb_next_batch(state) > 0) {
        int code = play(&shared);
        gb_set_iteration_time(state, (double)shared.sum_ns * 1e-9);
        if (code == EPERM)
            gb_skip(state, "SCHED_FIFO is refused: it needs root, CAP_SYS_NICE or RLIMIT_RTPRIO");
        else if (code != 0)
            gb_skip(state, "a thread could not be started");
        else if (shared.failed > 0)
            gb_skip(state, "a get gave no object");
    }
    latency_report(&shared.gets, state, "");
    latency_report_books(state, REALTIME_GETS, shared.gets.count, 0, shared.failed);
    gb_set_counter(state, "unfinished", (double)shared.unfinished, GB_COUNTER_SUM);
    bench_report_ops(state, REALTIME_GETS);
    if (shared.gets.ns)
        latency_free(&shared.gets);
}

const struct workload realtime_workloads[] = {
    {.name = "realtime",
     .summary = "a SCHED_FIFO thread gets each 50 us beside an ordinary one that never pauses, on one "
                "processor; the time of each get",
     .run = run_realtime,
     .objects = 2,
     .one_size = true,
     .batch = 1,
     .iterations = 1,
     .clock = GB_CLOCK_MANUAL},
    {0},
};
