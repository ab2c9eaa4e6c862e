// SPDX-License-Identifier: Apache-2.0
// pressure: how fast memory comes back under memory pressure (pools/pool_pressure.h), and what that costs the
// next gets.
//
// RELIEF_POOLS pools of RELIEF_EACH idle objects each, the first used least. Pressure asks for so much of
// their memory that half of them give it back: those with a low number. Then as many objects as were idle are
// got again, of all pools.
//
// Counters: back_bytes, what the pools gave back; back_resident_bytes, by how much the process's resident
// memory fell; back_25_ns to back_100_ns, the curve: when so many per cent of what was asked for had come
// back. The other samples are gets with the writing of the whole object, since memory that was given back
// costs where it is touched again: before_*, of all pools, before the pressure; without prefix, of the pools
// that gave back; kept_*, of those that did not. per_op is the time for a MiB that came back.
#include "base/clock.h"
#include "base/procmem.h"
#include "bench/latency.h"
#include "bench/way.h"
#include "pools/pool_pressure.h"

#include <stdio.h>
#include <unistd.h>

enum { RELIEF_POOLS = 8, RELIEF_GIVERS = RELIEF_POOLS / 2, RELIEF_EACH = 2500, RELIEF_USES = 1000 };
enum { RELIEF_ALL = RELIEF_POOLS * RELIEF_EACH, CURVE_POINTS = 4, PERCENT_EACH = 100 / CURVE_POINTS };

// Of the idle memory: more than three pools have, and less than four.
#define WANTED_SHARE ((2.0 * RELIEF_GIVERS - 1) / (2.0 * RELIEF_POOLS))

struct relief {
    const struct bench_case *bench;
    struct pool_registry *registry;
    struct pool_pressure *pressure;
    struct pool *pools[RELIEF_POOLS]; // references
    void *(*objects)[RELIEF_EACH];    // one array for each pool
    int64_t failed;
    int64_t curve_ns[CURVE_POINTS]; // 0: not reached
    int64_t back_bytes, took_ns;
};

static void note_curve(void *context, const char *name, const struct pool_pressure_event *event)
{
    struct relief *relief = context;
    (void)name;
    relief->back_bytes = event->bytes_back;
    relief->took_ns = event->at_ns - event->began_ns;
    for (int i = 0; i < CURVE_POINTS; i++) {
        double share = (double)event->bytes_back / (double)event->wanted;
        if (relief->curve_ns[i] == 0 && share * CURVE_POINTS >= i + 1)
            relief->curve_ns[i] = relief->took_ns;
    }
}

static int open_pools(struct relief *relief, struct err *err)
{
    for (int i = 0; i < RELIEF_POOLS; i++) {
        char name[16];
        struct pool_config config = bench_config(relief->bench, RELIEF_EACH);
        snprintf(name, sizeof name, "%d", i);
        config.name = name;
        (void)pool_config_fit(relief->bench->strategy, &config);
        int code = pool_registry_add(relief->registry, relief->bench->strategy, &config, err);
        if (code < 0)
            return code;
        relief->pools[i] = pool_registry_find(relief->registry, name);
    }
    return 0;
}

static void setup_relief(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct err err = {0};
    struct relief *relief = bench->shared = bench_map(state, sizeof *relief);
    bench->pool = NULL;
    if (!relief)
        return;
    relief->bench = bench;
    relief->objects = bench_map(state, RELIEF_ALL * sizeof(void *));
    struct pool_pressure_config config = POOL_PRESSURE_DEFAULTS;
    config.bound_bytes = INT64_MAX; // this workload says itself when there is pressure
    config.group = config.stall_file = "";
    config.own_thread = false;
    config.listener = note_curve;
    config.listener_context = relief;
    if (!relief->objects)
        return;
    int code = pool_registry_open(&relief->registry, &err);
    config.registry = relief->registry;
    if (code == 0)
        code = open_pools(relief, &err);
    if (code == 0)
        code = pool_pressure_open(&relief->pressure, &config, &err);
    if (code < 0)
        gb_skip(state, err.text);
}

static void teardown_relief(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct relief *relief = bench->shared;
    struct err err = {0};
    if (!relief)
        return;
    pool_pressure_close(relief->pressure);
    for (int i = 0; i < RELIEF_POOLS; i++)
        pool_registry_release(relief->registry, relief->pools[i]);
    if (relief->registry && pool_registry_close(relief->registry, &err) < 0)
        gb_skip(state, err.text);
    bench_unmap(relief->objects, RELIEF_ALL * sizeof(void *));
    bench_unmap(relief, sizeof *relief);
    bench->shared = NULL;
}

static double resident_bytes(void)
{
    struct procmem mem;
    return procmem_read(getpid(), &mem) == 0 ? (double)mem.rss_bytes : 0;
}

// Gets and writes all objects of a pool. `times` may be NULL.
static void take_all(struct relief *relief, int pool, struct latency *times)
{
    for (int i = 0; i < RELIEF_EACH; i++) {
        int64_t from_ns = clock_now_ns();
        void *object = relief->objects[pool][i] = pool_get(relief->pools[pool]);
        if (object)
            bench_touch_object(object, relief->bench->bytes, TOUCH_ALL);
        else
            relief->failed++;
        if (object && times)
            latency_add(times, clock_now_ns() - from_ns);
    }
}

static void give_all(struct relief *relief, int pool)
{
    for (int i = 0; i < RELIEF_EACH; i++) {
        pool_put(relief->pools[pool], relief->objects[pool][i]);
        relief->objects[pool][i] = NULL;
    }
}

static void use(struct relief *relief, int pool, int times)
{
    for (int i = 0; i < times; i++)
        pool_put(relief->pools[pool], pool_get(relief->pools[pool]));
}

static int64_t idle_bytes(const struct relief *relief)
{
    int64_t bytes = 0;
    for (int i = 0; i < RELIEF_POOLS; i++) {
        struct pool_stats stats;
        pool_stats(relief->pools[i], &stats);
        bytes += stats.bytes_owned - stats.in_use * (int64_t)relief->bench->bytes;
    }
    return bytes;
}

static void press(struct gb_state *state, struct relief *relief)
{
    (void)resident_bytes(); // the first read allocates the reader's own memory
    double before = resident_bytes();
    int64_t wanted = (int64_t)((double)idle_bytes(relief) * WANTED_SHARE);
    (void)pool_pressure_relieve(relief->pressure, wanted);
    double mib = (double)relief->back_bytes / (1 << 20), seconds = (double)relief->took_ns * 1e-9;
    if (relief->back_bytes < wanted)
        gb_skip(state, "the pools did not give back what the pressure asked for");
    gb_set_iteration_time(state, seconds);
    gb_set_counter(state, "back_bytes", (double)relief->back_bytes, GB_COUNTER_1024);
    gb_set_counter(state, "back_resident_bytes", before - resident_bytes(), GB_COUNTER_1024);
    gb_set_counter(state, "per_op", mib > 0 ? seconds / mib : 0, GB_COUNTER_SUM);
    for (int i = 0; i < CURVE_POINTS; i++) {
        char name[24];
        snprintf(name, sizeof name, "back_%d_ns", (i + 1) * PERCENT_EACH);
        gb_set_counter(state, name, (double)relief->curve_ns[i], GB_COUNTER_SUM);
    }
}

static void relieve(struct gb_state *state, struct relief *relief, struct latency *before,
                    struct latency *after, struct latency *kept)
{
    for (int round = 0; round < 2; round++) { // the first makes the objects
        for (int pool = 0; pool < RELIEF_POOLS; pool++)
            take_all(relief, pool, round == 0 ? NULL : before);
        for (int pool = 0; pool < RELIEF_POOLS; pool++)
            give_all(relief, pool);
    }
    for (int pool = 0; pool < RELIEF_POOLS; pool++)
        use(relief, pool, pool * RELIEF_USES);
    relief->failed = 0;
    press(state, relief);
    for (int pool = 0; pool < RELIEF_GIVERS; pool++) {
        take_all(relief, pool, after);
        take_all(relief, pool + RELIEF_GIVERS, kept);
    }
    for (int pool = 0; pool < RELIEF_POOLS; pool++)
        give_all(relief, pool);
    latency_report(before, state, "before_");
    latency_report(after, state, "");
    latency_report(kept, state, "kept_");
    latency_report_books(state, RELIEF_ALL, after->count + kept->count, 0, relief->failed);
}

static void run_relief(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct latency before, after, kept;
    latency_init(&before, state, RELIEF_ALL);
    latency_init(&after, state, RELIEF_GIVERS * RELIEF_EACH);
    latency_init(&kept, state, RELIEF_GIVERS * RELIEF_EACH);
    bool ready = before.ns && after.ns && kept.ns;
    while (gb_next_batch(state) > 0 && ready)
        relieve(state, bench->shared, &before, &after, &kept);
    latency_free(&before);
    latency_free(&after);
    latency_free(&kept);
}

const struct workload relief_workloads[] = {
    {.name = "pressure",
     .summary =
         "eight pools with 2500 idle objects each; memory pressure makes the four least used ones give "
         "back; then all are got again; an operation is a MiB that came back",
     .run = run_relief,
     .setup = setup_relief,
     .teardown = teardown_relief,
     .objects = RELIEF_ALL,
     .needs = POOL_CAP_SHRINKS,
     .both_modes = true,
     .one_size = true,
     .batch = 1,
     .iterations = 1,
     .clock = GB_CLOCK_MANUAL},
    {0},
};
