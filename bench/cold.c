// SPDX-License-Identifier: Apache-2.0
// cold: the first touch of objects after a pool was opened, once a run. It is cold only the first time in a
// process, since no allocator gives back all its memory. An iteration opens a pool, gets COLD_OBJECTS and
// writes each whole; only gets and writes are timed. Counters: faults_each, minor page faults for each
// object in that path; open_ns, the time to open the pool; huge_bytes, the memory that the kernel then held
// in huge pages.
//
// With 4 KiB pages the process forbids itself transparent huge pages. With huge ones it leaves the choice to
// the system and to callers of madvise; huge_bytes shows the result.
#include "base/clock.h"
#include "base/heap.h"
#include "bench/way.h"

#include <stdio.h>
#include <sys/prctl.h>

enum { COLD_OBJECTS = 4096 };

enum cold_kind {
    COLD_EMPTY = 0,     // nothing is ready
    COLD_PREHEATED = 1, // made at open and touched
    COLD_UNTOUCHED = 2, // made at open, not touched
    COLD_KIND = 3,
    COLD_HUGE = 4, // huge pages are allowed
};

struct cold {
    void **objects;
    int64_t faults, open_ns, timed_ns, huge_bytes;
};

static int64_t read_huge_bytes(void)
{
    char line[256];
    long long kib = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "AnonHugePages: %lld kB", &kib) == 1)
            break;
    }
    if (file)
        fclose(file);
    return kib * 1024;
}

static void open_none(struct gb_state *state, void *context)
{
    (void)context;
    (void)state;
}

static void open_pool(struct gb_state *state, struct bench_case *bench, struct cold *cold)
{
    int64_t kind = bench->workload->parameter & COLD_KIND;
    int64_t ready = kind == COLD_EMPTY ? 0 : COLD_OBJECTS + COLD_OBJECTS / 4 + 16;
    struct pool_config config = bench_config(bench, ready);
    config.touch = kind == COLD_PREHEATED;
    int64_t from = clock_now_ns();
    bench_open_config(state, bench, &config);
    cold->open_ns += clock_now_ns() - from;
}

// One iteration; false when it was skipped.
static bool first_touches(struct gb_state *state, struct bench_case *bench, struct cold *cold)
{
    open_pool(state, bench, cold);
    if (gb_skipped(state))
        return false;
    int64_t faults = bench_thread_faults(), from = clock_now_ns();
    size_t got = 0;
    while (got < COLD_OBJECTS && (cold->objects[got] = bench_take(bench)) != NULL)
        bench_touch_object(cold->objects[got++], bench->bytes, TOUCH_ALL);
    int64_t ns = clock_now_ns() - from;
    cold->faults += bench_thread_faults() - faults;
    cold->timed_ns += ns;
    gb_set_iteration_time(state, (double)ns * 1e-9);
    int64_t huge = read_huge_bytes();
    cold->huge_bytes = huge > cold->huge_bytes ? huge : cold->huge_bytes;
    for (size_t i = 0; i < got; i++)
        bench_give(bench, cold->objects[i]);
    pool_close(bench->pool);
    bench->pool = NULL;
    heap_trim(); // memory that the allocator keeps would not be cold the next time
    if (got < COLD_OBJECTS)
        gb_skip(state, "a get gave no object");
    return got == COLD_OBJECTS;
}

static void run_cold(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct cold cold = {.objects = bench_map(state, COLD_OBJECTS * sizeof(void *))};
    bool huge_allowed = bench->workload->parameter & COLD_HUGE;
    int before = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
    if (!cold.objects || prctl(PR_SET_THP_DISABLE, !huge_allowed, 0, 0, 0) < 0) {
        gb_skip(state, "the process may not choose its page size");
        return;
    }
    bool whole = true;
    while (whole && gb_next_batch(state) > 0)
        whole = first_touches(state, bench, &cold);
    (void)prctl(PR_SET_THP_DISABLE, before > 0, 0, 0, 0);
    bench_unmap(cold.objects, COLD_OBJECTS * sizeof(void *));
    double objects = (double)gb_iterations(state) * COLD_OBJECTS;
    bench_report_ops(state, gb_iterations(state) * COLD_OBJECTS);
    gb_set_counter(state, "faults_each", (double)cold.faults / objects, GB_COUNTER_SUM);
    gb_set_counter(state, "open_ns", (double)cold.open_ns / (double)gb_iterations(state), GB_COUNTER_SUM);
    gb_set_counter(state, "huge_bytes", (double)cold.huge_bytes, GB_COUNTER_1024);
}

#define COLD(row_name, row_parameter, row_needs, text)                                                       \
    {                                                                                                        \
        .name = row_name, .summary = text, .run = run_cold, .setup = open_none, .teardown = open_none,       \
        .objects = COLD_OBJECTS, .parameter = row_parameter, .needs = row_needs, .shuns = POOL_CAP_SHARES,   \
        .batch = 1, .iterations = 1, .clock = GB_CLOCK_MANUAL                                                \
    }

const struct workload cold_workloads[] = {
    COLD("cold", COLD_EMPTY, 0,
         "get and write 4096 objects of a pool just opened, nothing ready; 4 KiB pages"),
    COLD("cold_preheated", COLD_PREHEATED, POOL_CAP_PREHEATS, "the same, made and touched at open"),
    COLD("cold_untouched", COLD_UNTOUCHED, POOL_CAP_PREHEATS, "the same, made at open and not touched"),
    COLD("cold_huge", COLD_EMPTY | COLD_HUGE, 0, "as cold, huge pages allowed"),
    COLD("cold_preheated_huge", COLD_PREHEATED | COLD_HUGE, POOL_CAP_PREHEATS,
         "as cold_preheated, huge pages allowed"),
    {0},
};
