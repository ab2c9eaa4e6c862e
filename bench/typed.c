// SPDX-License-Identifier: Apache-2.0
// typed_*: what pools of buffers, maps and JSON texts save (pools/typed/). A contender with a pool takes the
// object from it. `direct` does the same work with an object that it makes and frees: malloc and free for a
// slice, json_dumps and free for a text, the same map. Allocations are counted in a process of their own
// (bench/allocations.h).
#include "bench/allocations.h"
#include "bench/way.h"
#include "bench/windows.h"
#include "pools/typed/typed_json.h"

enum { COUNT_WARM = 200, COUNT_OPS = 2000, KEY_BYTES = 8 };

struct typed {
    const struct bench_case *bench;
    struct typed_bytes_pool *buffers; // NULL without a pool
    struct typed_map_pool *maps;
    json_t *document; // read only
    char *text;
    size_t text_bytes;
    char slice[TYPED_SLICE_BYTES], keys[TYPED_MAP_ENTRIES][KEY_BYTES];
    struct allocations allocations;
    struct err why_not; // empty: they were counted
};

enum typed_kind { KIND_SLICE, KIND_MAP, KIND_JSON, KIND_UNMARSHAL };

// A device's report, as a broker's client sends it: 16 fields, 659 bytes as text.
static json_t *make_document(void)
{
    json_t *document =
        json_pack("{s:s,s:s,s:i,s:i,s:[f,f,f],s:{s:f,s:f,s:i},s:b,s:s}", "device",
                  "plant-7/line-3/press-0042", "model", "HP-2000", "sequence", 184467, "uptime_s", 864000,
                  "acceleration", 0.0123, -0.5471, 9.8112, "position", "lat", 48.137154, "lon", 11.576124,
                  "alt_m", 519, "alarm", 0, "firmware", "2.14.1-rc3+build.20260317");
    for (int i = 0; document && i < 8; i++) {
        char key[32];
        snprintf(key, sizeof key, "temperature_%d", i);
        json_object_set_new(document, key, json_pack("{s:f,s:s}", "value", 20.5 + i, "unit", "celsius"));
    }
    return document;
}

static int open_pools(struct typed *typed, enum typed_kind kind, struct err *err)
{
    const struct bench_case *bench = typed->bench;
    struct pool_config config = bench_config(bench, 16);
    struct typed_limits limits =
        TYPED_LIMITS(kind == KIND_MAP || kind == KIND_UNMARSHAL ? TYPED_MAP_ENTRIES : bench->bytes);
    if (bench->way == WAY_DIRECT)
        return 0;
    config.object_bytes = 0;
    (void)pool_config_fit(bench->strategy, &config);
    if (kind == KIND_MAP || kind == KIND_UNMARSHAL)
        return typed_map_pool_open(&typed->maps, bench->strategy, &config, &limits,
                                   kind == KIND_UNMARSHAL ? typed_json_release : NULL, err);
    return typed_bytes_pool_open(&typed->buffers, bench->strategy, &config, &limits, err);
}

static void setup_typed(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    struct err err = {0};
    struct typed *typed = bench->shared = bench_map(state, sizeof *typed);
    if (!typed)
        return;
    typed->bench = bench;
    typed->document = make_document();
    typed->text = typed->document ? json_dumps(typed->document, JSON_COMPACT) : NULL;
    typed->text_bytes = typed->text ? strlen(typed->text) : 0;
    memset(typed->slice, 's', sizeof typed->slice);
    for (int i = 0; i < TYPED_MAP_ENTRIES; i++)
        snprintf(typed->keys[i], KEY_BYTES, "key-%02u", (unsigned)i % 100U);
    if (!typed->text)
        gb_skip(state, "no memory for the document");
    else if (open_pools(typed, (enum typed_kind)bench->workload->parameter, &err) < 0)
        gb_skip(state, err.text);
    else if (!allocations_are_counted())
        (void)!allocations_of(bench->name, &typed->allocations, &typed->why_not);
}

static void close_typed(struct gb_state *state, void *context)
{
    (void)state;
    struct bench_case *bench = context;
    struct typed *typed = bench->shared;
    if (!typed)
        return;
    typed_bytes_pool_close(typed->buffers);
    typed_map_pool_close(typed->maps);
    json_decref(typed->document);
    free(typed->text);
    bench_unmap(typed, sizeof *typed);
    bench->shared = NULL;
}

// One operation of each kind, with a pool and without. True: done.

ALWAYS_INLINE bool slice(struct typed *typed, bool pooled)
{
    if (!pooled) {
        char *data = malloc(TYPED_SLICE_BYTES);
        if (!data)
            return false;
        memcpy(data, typed->slice, TYPED_SLICE_BYTES);
        gb_use(data);
        free(data);
        return true;
    }
    struct typed_bytes *bytes = typed_bytes_get(typed->buffers);
    if (!bytes || typed_bytes_append(bytes, typed->slice, TYPED_SLICE_BYTES) < 0)
        return false;
    gb_use(bytes->data);
    typed_bytes_put(typed->buffers, bytes);
    return true;
}

ALWAYS_INLINE bool map(struct typed *typed, bool pooled)
{
    struct typed_map *map = pooled ? typed_map_get(typed->maps) : typed_map_new(TYPED_MAP_ENTRIES, NULL);
    bool done = map;
    for (int i = 0; done && i < TYPED_MAP_ENTRIES; i++)
        done = typed_map_set(map, typed->keys[i], KEY_BYTES - 2, typed) == 0;
    gb_use(map);
    if (pooled)
        typed_map_put(typed->maps, map);
    else
        typed_map_delete(map);
    return done;
}

ALWAYS_INLINE bool json(struct typed *typed, bool pooled)
{
    if (!pooled) {
        char *text = json_dumps(typed->document, JSON_COMPACT);
        bool done = text;
        gb_use(text);
        free(text);
        return done;
    }
    struct typed_bytes *bytes = typed_bytes_get(typed->buffers);
    bool done = bytes && typed_json_marshal(typed->document, bytes, NULL) == 0;
    gb_use(bytes ? bytes->data : NULL);
    typed_bytes_put(typed->buffers, bytes);
    return done;
}

ALWAYS_INLINE bool unmarshal(struct typed *typed, bool pooled)
{
    struct typed_map *map =
        pooled ? typed_map_get(typed->maps) : typed_map_new(TYPED_MAP_ENTRIES, typed_json_release);
    bool done = map && typed_json_unmarshal(typed->text, typed->text_bytes, map, NULL) == 0;
    gb_use(map);
    if (pooled)
        typed_map_put(typed->maps, map);
    else
        typed_map_delete(map);
    return done;
}

typedef bool operation(struct typed *typed, bool pooled);

// In the process that counts: operations before and between the two readings.
ALWAYS_INLINE void count_allocations(struct gb_state *state, struct typed *typed, operation *operate,
                                     bool pooled)
{
    struct allocation_counts before = {{0}};
    for (int i = -COUNT_WARM; i < COUNT_OPS; i++) {
        if (i == 0)
            allocations_read(&before);
        if (!operate(typed, pooled))
            gb_skip(state, "an operation failed");
    }
    allocations_tell(&before, COUNT_OPS);
}

static void report_allocations(struct gb_state *state, const struct typed *typed)
{
    if (gb_thread_index(state) != 0 || allocations_are_counted())
        return;
    if (typed->why_not.text[0]) {
        gb_set_label(state, typed->why_not.text);
        return;
    }
    gb_set_counter(state, "allocs_per_op", typed->allocations.requests, GB_COUNTER_SUM);
    gb_set_counter(state, "bytes_per_op", typed->allocations.bytes, GB_COUNTER_SUM);
}

ALWAYS_INLINE void repeat(struct gb_state *state, const struct bench_case *bench, operation *operate,
                          bool pooled)
{
    struct typed *typed = bench->shared;
    struct windows windows;
    int64_t n;
    if (allocations_are_counted() && gb_thread_index(state) == 0)
        count_allocations(state, typed, operate, pooled);
    windows_begin(&windows, state);
    while ((n = windows_next(&windows)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            if (__builtin_expect(!operate(typed, pooled), 0)) {
                gb_skip(state, "an operation failed");
                break;
            }
        }
    }
    windows_report(&windows, gb_iterations(state));
    report_allocations(state, typed);
}

#define TYPED_RUN(function, operate)                                                                         \
    static __attribute__((noinline)) void function##_pooled(struct gb_state *state,                          \
                                                            const struct bench_case *bench)                  \
    {                                                                                                        \
        repeat(state, bench, operate, true);                                                                 \
    }                                                                                                        \
    static __attribute__((noinline)) void function##_direct(struct gb_state *state,                          \
                                                            const struct bench_case *bench)                  \
    {                                                                                                        \
        repeat(state, bench, operate, false);                                                                \
    }                                                                                                        \
    static void function(struct gb_state *state, void *context)                                              \
    {                                                                                                        \
        const struct bench_case *bench = context;                                                            \
        (bench->way == WAY_DIRECT ? function##_direct : function##_pooled)(state, bench);                    \
    }

TYPED_RUN(run_slice, slice)
TYPED_RUN(run_map, map)
TYPED_RUN(run_json, json)
TYPED_RUN(run_unmarshal, unmarshal)

#define TYPED_ROW(row_name, what, function, kind, row_bytes)                                                 \
    {                                                                                                        \
        .name = row_name, .summary = what, .run = function, .setup = setup_typed, .teardown = close_typed,   \
        .parameter = kind, .bytes = row_bytes, .calls_only = true, .shuns = POOL_CAP_SHARES, .threads = {2}, \
        .clock = GB_CLOCK_CPU, .objects = 1                                                                  \
    }

const struct workload typed_workloads[] = {
    TYPED_ROW("typed_slice", "a buffer taken, 512 B written into it, and given back", run_slice, KIND_SLICE,
              TYPED_SLICE_BYTES),
    TYPED_ROW("typed_map", "a map taken, 16 keys of 6 B with a pointer each set, emptied and given back",
              run_map, KIND_MAP, TYPED_MAP_ENTRIES * 16),
    TYPED_ROW("typed_json",
              "a JSON document of 16 fields written as text into a buffer of 1 KiB; direct: json_dumps",
              run_json, KIND_JSON, TYPED_JSON_BYTES),
    TYPED_ROW("typed_unmarshal", "the text read into a map of 16 keys, emptied and given back", run_unmarshal,
              KIND_UNMARSHAL, TYPED_MAP_ENTRIES * 16),
    {0},
};
