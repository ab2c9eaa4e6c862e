// SPDX-License-Identifier: Apache-2.0
#include "bench/way.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

// Every table of workloads; each ends with a row without a name.
extern const struct workload order_workloads[], burst_workloads[], remote_workloads[], bleed_workloads[],
    sharing_workloads[], cold_workloads[], grow_workloads[], blowup_workloads[], exhaust_workloads[],
    bound_workloads[], two_workloads[], mixed_workloads[], crowd_workloads[], realtime_workloads[],
    idle_workloads[], first_workloads[], wear_workloads[], constructed_workloads[], typed_workloads[],
    relief_workloads[];
static const struct workload *const tables[] = {
    order_workloads, burst_workloads, remote_workloads,      bleed_workloads,    sharing_workloads,
    cold_workloads,  grow_workloads,  blowup_workloads,      exhaust_workloads,  bound_workloads,
    two_workloads,   mixed_workloads, crowd_workloads,       realtime_workloads, idle_workloads,
    first_workloads, wear_workloads,  constructed_workloads, typed_workloads,    relief_workloads};
enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };

static const size_t object_sizes[] = {64, 256, 1024, 3072, 4096, 16384};
enum { SIZE_COUNT = sizeof object_sizes / sizeof object_sizes[0] };

// Runs with more memory out than this are not registered.
#define RUN_BYTES_MAX ((int64_t)1 << 30)

struct pool_config bench_config(const struct bench_case *bench, int64_t objects)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = "bench";
    config.object_bytes = bench->bytes;
    config.initial = objects;
    config.growth_mode = bench->mode;
    config.growth_rule = bench->rule;
    return config;
}

void bench_open_config(struct gb_state *state, struct bench_case *bench, struct pool_config *config)
{
    struct err err = {0};
    bench->pool = NULL;
    bench->access = (struct pool_inline){0};
    if (bench->way == WAY_READY)
        bench_ready_open(state, config->object_bytes, bench->workload->objects);
    if (bench->way == WAY_DIRECT || bench->way == WAY_BARE || bench->way == WAY_READY)
        return;
    (void)pool_config_fit(bench->strategy, config);
    if (pool_open(&bench->pool, bench->strategy, config, &err) < 0) {
        bench->pool = NULL;
        gb_skip(state, err.text);
        return;
    }
    bench->access.pool = bench->pool;
    if (bench->way == WAY_INLINE && pool_inline_open(&bench->access, bench->pool) < 0)
        gb_skip(state,
                "this build has no inlined calls: it was made to see each call, or runs under Valgrind");
}

void bench_open(struct gb_state *state, void *context)
{
    struct bench_case *bench = context;
    int64_t objects = bench->workload->objects * gb_threads(state);
    struct pool_config config = bench_config(bench, objects + objects / 4 + 16);
    bench_open_config(state, bench, &config);
}

void bench_close(struct gb_state *state, void *context)
{
    (void)state;
    struct bench_case *bench = context;
    pool_close(bench->pool);
    bench->pool = NULL;
    if (bench->way == WAY_READY)
        bench_ready_close();
}

void bench_stats(const struct bench_case *bench, struct pool_stats *stats)
{
    *stats = (struct pool_stats){0};
    if (bench->pool)
        pool_stats(bench->pool, stats);
}

void bench_sweep(const struct bench_case *bench)
{
    if (bench->pool)
        pool_sweep(bench->pool);
}

void bench_trim(const struct bench_case *bench)
{
    if (bench->pool)
        pool_trim(bench->pool);
}

void bench_report_ops(struct gb_state *state, int64_t ops)
{
    gb_set_counter(state, "per_op", (double)ops,
                   GB_COUNTER_RATE | GB_COUNTER_AVG_THREADS | GB_COUNTER_INVERT);
}

int64_t bench_thread_faults(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_minflt : 0;
}

const struct workload *workload_at(size_t index)
{
    for (size_t t = 0; t < TABLE_COUNT; t++) {
        for (const struct workload *row = tables[t]; row->name; row++) {
            if (index-- == 0)
                return row;
        }
    }
    return NULL;
}

int64_t bench_thread_preemptions(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

static bool fits(const struct workload *row, const struct pool_strategy *strategy, size_t bytes)
{
    unsigned caps = pool_strategy_caps(strategy);
    return (caps & row->needs) == row->needs && !(caps & row->shuns) &&
           (!row->one_size || bytes == WORKLOAD_BYTES) && row->objects * (int64_t)bytes <= RUN_BYTES_MAX;
}

int workload_add(struct gb_suite *suite, struct bench_case *bench, struct err *err)
{
    const struct workload *row = bench->workload;
    struct gb_spec spec = {.name = bench->name,
                           .run = row->run,
                           .setup = row->setup ? row->setup : bench_open,
                           .teardown = row->teardown ? row->teardown : bench_close,
                           .context = bench,
                           .batch = row->batch,
                           .iterations = row->iterations,
                           .clock = row->clock};
    int code = row->not_single ? 0 : gb_add(suite, &spec, err);
    // Threads that wait for one another use no CPU then: only elapsed time tells.
    if (spec.clock == GB_CLOCK_CPU)
        spec.clock = GB_CLOCK_WALL;
    // One object for all threads, all writing to it, would be a benchmark of the cache line.
    bool shared = row->touch != TOUCH_NOTHING && (pool_strategy_caps(bench->strategy) & POOL_CAP_SHARES);
    // `ready` serves one thread that gets.
    shared |= bench->way == WAY_READY && !row->not_single;
    for (int i = 0; !shared && i < WORKLOAD_THREADS_MAX && row->threads[i] > 0; i++)
        spec.threads[spec.thread_count++] = row->threads[i];
    return code == 0 && spec.thread_count > 0 ? gb_add(suite, &spec, err) : code;
}

// The contenders: every strategy, then those that are not called through the pool's calls.
struct contender {
    const char *name;
    const struct pool_strategy *strategy;
    enum bench_way way;
};

enum { OTHER_WAYS = 4, MODES = 3 };

static size_t count_strategies(const struct pool_strategy *const *strategies)
{
    size_t count = 0;
    while (strategies[count])
        count++;
    return count;
}

static struct contender contender_at(const struct pool_strategy *const *strategies, size_t count,
                                     size_t index)
{
    static const struct {
        const char *name, *strategy;
        enum bench_way way;
    } others[OTHER_WAYS] = {{"direct-slab", "slab", WAY_INLINE},
                            {"direct", "malloc", WAY_DIRECT},
                            {"bare", "null", WAY_BARE},
                            {"ready", "malloc", WAY_READY}};
    if (index >= count)
        return (struct contender){others[index - count].name,
                                  pool_strategy_find(others[index - count].strategy),
                                  others[index - count].way};
    const struct pool_strategy *strategy = strategies[index];
    return (struct contender){pool_strategy_name(strategy), strategy, WAY_POOL};
}

static int add_modes(struct gb_suite *suite, const struct workload *row, const struct contender *contender,
                     size_t bytes, struct bench_case **next, struct err *err)
{
    static const struct {
        const char *suffix;
        enum pool_growth mode;
        enum pool_growth_rule rule;
    } all[] = {{"-inline", POOL_GROW_INLINE, POOL_RULE_FACTOR},
               {"-background", POOL_GROW_BACKGROUND, POOL_RULE_FACTOR},
               {"-adaptive", POOL_GROW_BACKGROUND, POOL_RULE_ADAPTIVE}};
    _Static_assert(sizeof all / sizeof all[0] == MODES, "room for the cases is made by MODES");
    bool both = row->both_modes && (pool_strategy_caps(contender->strategy) & POOL_CAP_BACKGROUND);
    bool adapts = both && row->adapts && (pool_strategy_caps(contender->strategy) & POOL_CAP_ADAPTS);
    for (int i = 0; i < (adapts ? MODES : both ? MODES - 1 : 1); i++) {
        struct bench_case *bench = (*next)++;
        *bench = (struct bench_case){.workload = row,
                                     .strategy = contender->strategy,
                                     .way = contender->way,
                                     .mode = all[i].mode,
                                     .rule = all[i].rule,
                                     .bytes = bytes};
        snprintf(bench->name, sizeof bench->name, "%s/%s%s/%zu", row->name, contender->name,
                 both ? all[i].suffix : "", bytes);
        int code = workload_add(suite, bench, err);
        if (code < 0)
            return code;
    }
    return 0;
}

static int add_row(struct gb_suite *suite, const struct workload *row,
                   const struct pool_strategy *const *strategies, struct bench_case **next, struct err *err)
{
    size_t count = count_strategies(strategies);
    for (size_t c = 0; c < count + OTHER_WAYS; c++) {
        struct contender contender = contender_at(strategies, count, c);
        // Rows with both modes leave out inlined calls, which are measured where nothing grows.
        if (contender.way == WAY_INLINE && (row->both_modes || row->calls_only))
            continue;
        if (contender.way == WAY_READY && !row->ready)
            continue;
        const size_t *sizes = row->bytes ? &row->bytes : object_sizes;
        for (size_t s = 0; s < (row->bytes ? 1 : SIZE_COUNT); s++) {
            int code = fits(row, contender.strategy, sizes[s])
                           ? add_modes(suite, row, &contender, sizes[s], next, err)
                           : 0;
            if (code < 0)
                return code;
        }
    }
    return 0;
}

int workloads_register(struct gb_suite *suite, const struct pool_strategy *const *strategies,
                       const char *trace, struct bench_case **cases, struct err *err)
{
    size_t count = count_strategies(strategies), rows = 0;
    while (workload_at(rows))
        rows++;
    *cases = calloc(rows * (count + OTHER_WAYS) * SIZE_COUNT * MODES, sizeof **cases);
    if (!*cases)
        return err_set(err, -ENOMEM, "no memory for the list of benchmarks");
    struct bench_case *next = *cases;
    int code = 0;
    for (size_t i = 0; i < rows && code == 0; i++)
        code = add_row(suite, workload_at(i), strategies, &next, err);
    if (code < 0) {
        free(*cases);
        *cases = next = NULL;
    }
    for (struct bench_case *bench = *cases; bench != next; bench++)
        bench->trace = trace;
    return code;
}
