// SPDX-License-Identifier: Apache-2.0
// wear: the memory that an hour of churn leaves behind, compressed into minutes. An iteration is a minute of
// a server's life in about a second: 60 000 objects of six sizes (bench/kinds.h) come and as many go, at
// random. The number in use swings between WEAR_LOW and WEAR_HIGH in 20 iterations. Each object is written
// whole. Pools are swept in each of the sixty seconds. The last iteration ends where fewest are in use.
//
// Counters, at the last time that most were in use (peak_) and at the end (end_): resident memory gained
// over the bytes in use (_ratio), the part of it in huge pages (_huge_share), and the time to read the first
// line of a random object (_read_ns). per_op is the time of a get and its put, with the writing.
#include "base/clock.h"
#include "base/procmem.h"
#include "bench/kinds.h"

#include <stdio.h>
#include <unistd.h>

enum { WEAR_LOW = 2000, WEAR_HIGH = 20000, WEAR_MINUTES = 60, WEAR_SWING = 20 };
enum { WEAR_TICKS = 60, WEAR_PER_TICK = 1000, WEAR_READS = 20000 };

struct wear_slot {
    void *object;
    unsigned kind;
};

struct wear {
    const struct bench_case *bench;
    const struct kinds *kinds;
    struct wear_slot *slots; // the first `used` are in use
    int64_t used, bytes_used, failed, operations, busy_ns;
    uint64_t random;
    double before_bytes;
};

static void come(struct wear *wear)
{
    struct wear_slot *slot = &wear->slots[wear->used];
    slot->kind = kind_draw(bench_random(&wear->random));
    slot->object = kind_get(wear->kinds, slot->kind, wear->bench->way);
    if (!slot->object) {
        wear->failed++;
        return;
    }
    bench_touch_object(slot->object, kind_bytes[slot->kind], TOUCH_ALL);
    wear->used++;
    wear->bytes_used += (int64_t)kind_bytes[slot->kind];
}

static void go(struct wear *wear)
{
    struct wear_slot *slot = &wear->slots[bench_random(&wear->random) % (uint64_t)wear->used];
    kind_put(wear->kinds, slot->kind, slot->object, wear->bench->way);
    wear->bytes_used -= (int64_t)kind_bytes[slot->kind];
    *slot = wear->slots[--wear->used];
}

// Objects in use at the end of that second of the run: rising for half of a swing, then falling.
static int64_t aim(int64_t second)
{
    int64_t in_swing = second % (WEAR_SWING * WEAR_TICKS), half = WEAR_SWING * WEAR_TICKS / 2;
    int64_t height = in_swing < half ? in_swing : 2 * half - in_swing;
    return WEAR_LOW + (WEAR_HIGH - WEAR_LOW) * height / half;
}

static void live_a_second(struct wear *wear, int64_t second)
{
    int64_t from_ns = clock_now_ns(), wanted = aim(second);
    for (int i = 0; i < WEAR_PER_TICK; i++) {
        if (wear->used > 0)
            go(wear);
        come(wear);
    }
    while (wear->used < wanted && wear->failed == 0)
        come(wear);
    while (wear->used > wanted)
        go(wear);
    kinds_sweep(wear->kinds);
    wear->busy_ns += clock_now_ns() - from_ns;
    wear->operations += WEAR_PER_TICK;
}

static double huge_bytes(void)
{
    char line[256];
    long long kib = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    while (file && fgets(line, sizeof line, file) && sscanf(line, "AnonHugePages: %lld kB", &kib) != 1) {
    }
    if (file)
        fclose(file);
    return (double)kib * 1024;
}

static double resident_bytes(void)
{
    struct procmem mem;
    return procmem_read(getpid(), &mem) == 0 ? (double)mem.rss_bytes : 0;
}

// Each read waits for the one before.
static double read_ns(struct wear *wear)
{
    uint64_t random = wear->random, found = 0;
    int64_t from_ns = clock_now_ns();
    for (int i = 0; i < WEAR_READS; i++) {
        uint64_t at = (bench_random(&random) + (found & 1)) % (uint64_t)wear->used;
        found = *(const volatile unsigned char *)wear->slots[at].object;
    }
    return (double)(clock_now_ns() - from_ns) / WEAR_READS;
}

static void set(struct gb_state *state, const char *when, const char *what, double value)
{
    char name[48];
    snprintf(name, sizeof name, "%s_%s", when, what);
    gb_set_counter(state, name, value, GB_COUNTER_SUM);
}

static void report_memory(struct gb_state *state, struct wear *wear, const char *when)
{
    double gained = resident_bytes() - wear->before_bytes;
    set(state, when, "ratio", wear->bytes_used > 0 ? gained / (double)wear->bytes_used : 0);
    set(state, when, "huge_share", gained > 0 ? huge_bytes() / gained : 0);
    if (wear->used > 0)
        set(state, when, "read_ns", read_ns(wear));
}

static void live(struct gb_state *state, struct wear *wear)
{
    int64_t minute = 0, start_ns = clock_now_ns();
    while (wear->failed == 0 && gb_next_batch(state) > 0) {
        for (int64_t tick = 0; tick < WEAR_TICKS; tick++) {
            int64_t second = minute * WEAR_TICKS + tick + 1;
            live_a_second(wear, second);
            clock_sleep_until_ns(start_ns + second * (NS_PER_S / WEAR_TICKS));
        }
        minute++;
        if (minute % WEAR_SWING == WEAR_SWING / 2)
            report_memory(state, wear, "peak");
        gb_set_iteration_time(state, 1);
    }
    report_memory(state, wear, "end");
}

static void run_wear(struct gb_state *state, void *context)
{
    const struct bench_case *bench = context;
    size_t bytes = (WEAR_HIGH + WEAR_PER_TICK) * sizeof(struct wear_slot);
    struct wear wear = {.bench = bench,
                        .kinds = bench->shared,
                        .slots = bench_map(state, bytes),
                        .random = bench_seed(state)};
    if (!wear.slots)
        return;
    (void)resident_bytes();
    wear.before_bytes = resident_bytes();
    live(state, &wear);
    while (wear.used > 0)
        go(&wear);
    bench_unmap(wear.slots, bytes);
    if (wear.failed > 0)
        gb_skip(state, "a get gave no object");
    gb_set_counter(state, "per_op",
                   (double)wear.busy_ns * 1e-9 / (double)(wear.operations ? wear.operations : 1),
                   GB_COUNTER_SUM);
}

const struct workload wear_workloads[] = {
    {.name = "wear",
     .summary = "an hour of churn of six sizes squeezed into a minute: memory over bytes in use, huge pages, "
                "reads; an operation is a get, its writing and a put",
     .run = run_wear,
     .setup = kinds_open,
     .teardown = kinds_close,
     .shuns = POOL_CAP_SHARES,
     .both_modes = true,
     .one_size = true,
     .batch = 1,
     .iterations = WEAR_MINUTES,
     .clock = GB_CLOCK_MANUAL},
    {0},
};
