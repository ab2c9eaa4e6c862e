// SPDX-License-Identifier: Apache-2.0
// mixed: objects of six sizes, 64 B to 16 KiB, small ones more often (bench/kinds.h). 1024 are out. An
// operation puts a random one, gets one of a random size in its place, and writes its first line. The size
// in the benchmark's name has no meaning here.
#include "bench/kinds.h"
#include "bench/windows.h"

enum { MIXED_OBJECTS = 1024 };

struct mixed_slot {
    void *object;
    unsigned kind;
};

ALWAYS_INLINE void mixed(struct gb_state *state, const struct bench_case *bench, enum bench_way way)
{
    const struct kinds *kinds = bench->shared;
    struct mixed_slot *slots = bench_map(state, MIXED_OBJECTS * sizeof *slots);
    if (!slots)
        return;
    bool failed = false;
    uint64_t random = bench_seed(state);
    for (size_t i = 0; i < MIXED_OBJECTS; i++) {
        slots[i].kind = kind_draw(bench_random(&random));
        slots[i].object = kind_get(kinds, slots[i].kind, way);
        failed |= !slots[i].object;
    }
    struct windows windows;
    windows_begin(&windows, state);
    int64_t n;
    while ((n = windows_next(&windows)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            uint64_t draw = bench_random(&random);
            struct mixed_slot *slot = &slots[draw % MIXED_OBJECTS];
            kind_put(kinds, slot->kind, slot->object, way);
            slot->kind = kind_draw(draw);
            slot->object = kind_get(kinds, slot->kind, way);
            if (slot->object)
                bench_touch_object(slot->object, kind_bytes[slot->kind], TOUCH_LINE);
            failed |= !slot->object;
        }
    }
    for (size_t i = 0; i < MIXED_OBJECTS; i++)
        kind_put(kinds, slots[i].kind, slots[i].object, way);
    bench_unmap(slots, MIXED_OBJECTS * sizeof *slots);
    if (failed)
        gb_skip(state, "a get gave no object");
    windows_report(&windows, gb_iterations(state));
}

BENCH_RUN(run_mixed, mixed(state, bench, way))

const struct workload mixed_workloads[] = {
    {.name = "mixed",
     .summary = "1024 objects of six sizes are out; a random one is put, one of a random size got, and its "
                "first line written",
     .run = run_mixed,
     .setup = kinds_open,
     .teardown = kinds_close,
     .clock = GB_CLOCK_CPU,
     .touch = TOUCH_LINE,
     .objects = 2 * MIXED_OBJECTS,
     .one_size = true,
     .threads = {2}},
    {0},
};
