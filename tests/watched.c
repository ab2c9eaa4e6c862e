// SPDX-License-Identifier: Apache-2.0
#include "tests/watched.h"

#include "pools/pool_strategy.h"
#include "tests/gbench_run.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct watch watch = {.lock = PTHREAD_MUTEX_INITIALIZER};

// In front of each object; a multiple of 16 bytes.
struct tag {
    _Alignas(16) int64_t number; // of its get
    pid_t getter;
};

struct pool {
    struct pool_base base;
    int64_t max, gets, in_use;
    int64_t most; // in use at once since the last trim: so many it owns
    size_t bytes;
    enum pool_overflow overflow;
};

void watched_reset(void)
{
    pthread_mutex_lock(&watch.lock);
    watch.gets = watch.puts = watch.in_use = watch.peak = watch.opens = watch.remote_puts = watch.sweeps =
        watch.trims = 0;
    watch.puts_of_latest = watch.puts_of_next = watch.last_put = watch.fail_from = 0;
    pthread_mutex_unlock(&watch.lock);
}

static int watch_open(struct pool **opened, const struct pool_config *config, struct err *err)
{
    (void)err;
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return -ENOMEM;
    pool->bytes = config->object_bytes;
    pool->max = config->max;
    pool->overflow = config->overflow;
    watch.opens++;
    watch.last_initial = config->initial;
    watch.last_touch = config->touch;
    *opened = pool;
    return 0;
}

static void *watch_get(struct pool *pool)
{
    struct tag *tag = NULL;
    pthread_mutex_lock(&watch.lock);
    bool refused = pool->max > 0 && pool->in_use >= pool->max && pool->overflow == POOL_OVERFLOW_REFUSE;
    int64_t number = ++watch.gets;
    if (!refused && !(watch.fail_from > 0 && number >= watch.fail_from))
        tag = malloc(sizeof *tag + pool->bytes);
    if (tag) {
        *tag = (struct tag){.number = number, .getter = gettid()};
        pool->gets++;
        pool->in_use++;
        pool->most = pool->in_use > pool->most ? pool->in_use : pool->most;
        watch.in_use++;
        watch.peak = watch.in_use > watch.peak ? watch.in_use : watch.peak;
    }
    pthread_mutex_unlock(&watch.lock);
    if (watch.on_get)
        watch.on_get(number);
    return tag ? tag + 1 : NULL;
}

static void watch_put(struct pool *pool, void *object)
{
    struct tag *tag = (struct tag *)object - 1;
    pthread_mutex_lock(&watch.lock);
    watch.puts++;
    watch.puts_of_latest += tag->number == watch.gets;
    watch.puts_of_next += tag->number == watch.last_put + 1;
    watch.last_put = tag->number;
    watch.remote_puts += tag->getter != gettid();
    pool->in_use--;
    watch.in_use--;
    pthread_mutex_unlock(&watch.lock);
    free(tag);
}

static void watch_stats(struct pool *pool, struct pool_stats *stats)
{
    stats->in_use = stats->owned = pool->in_use;
    stats->gets = pool->gets;
    stats->bytes_owned = pool->most * (int64_t)pool->bytes;
}

static void watch_close(struct pool *pool)
{
    assert_int_equal(pool->in_use, 0); // a workload gives back all it got
    free(pool);
}

static int watch_preheat(struct pool *pool, int64_t count)
{
    (void)pool;
    (void)count;
    return 0;
}

static int64_t watch_sweep(struct pool *pool)
{
    (void)pool;
    watch.sweeps++;
    return 0;
}

static int64_t watch_trim(struct pool *pool)
{
    int64_t bytes = (pool->most - pool->in_use) * (int64_t)pool->bytes;
    pool->most = pool->in_use;
    watch.trims++;
    return bytes;
}

static const struct pool_strategy watching = {
    .name = "watching",
    .summary = "sees who gets and puts what",
    .caps = POOL_CAP_PREHEATS | POOL_CAP_BOUNDED | POOL_CAP_SWEEPS | POOL_CAP_GROWS | POOL_CAP_BACKGROUND |
            POOL_CAP_SHRINKS,
    .open = watch_open,
    .get = watch_get,
    .put = watch_put,
    .stats = watch_stats,
    .close = watch_close,
    .preheat = watch_preheat,
    .sweep = watch_sweep,
    .trim = watch_trim,
};

const struct workload *watched_workload(const char *name)
{
    const struct workload *row;
    for (size_t i = 0; (row = workload_at(i)); i++) {
        if (strcmp(row->name, name) == 0)
            return row;
    }
    fail_msg("there is no workload %s", name);
    return NULL;
}

json_t *watched_run_row(const char *name, int threads, int64_t iterations, json_t **document)
{
    return watched_run_way(name, WAY_POOL, threads, iterations, document);
}

json_t *watched_run_way(const char *name, enum bench_way way, int threads, int64_t iterations,
                        json_t **document)
{
    static struct workload row; // what runs must outlive this function's frame no more than the run
    row = *watched_workload(name);
    struct bench_case bench = {
        .workload = &row, .strategy = &watching, .way = way, .bytes = 64, .trace = watch.trace};
    snprintf(bench.name, sizeof bench.name, "%s/watching/64", name);
    if (iterations > 0)
        row.iterations = iterations;
    row.not_single = threads > 0;
    memset(row.threads, 0, sizeof row.threads);
    row.threads[0] = threads;
    struct gb_suite *suite;
    struct err err = {0};
    struct gb_outcome outcome;
    assert_int_equal(gb_suite_new(&suite), 0);
    assert_int_equal(workload_add(suite, &bench, &err), 0);
    const char *flags[] = {"--benchmark_filter=all", "--benchmark_min_time=0.00001", NULL};
    *document = gbench_run_json(suite, flags, &outcome);
    gb_suite_free(suite);
    assert_int_equal(watch.in_use, 0);
    assert_null(bench.pool);
    json_t *one = json_array_get(json_object_get(*document, "benchmarks"), 0);
    assert_non_null(one);
    return one;
}

void watched_run(const char *name, int threads, int64_t iterations, void (*check)(json_t *))
{
    json_t *document, *one;
    watched_reset();
    one = watched_run_row(name, threads, iterations, &document);
    if (json_object_get(one, "error_occurred"))
        fail_msg("%s: %s", name, json_string_value(json_object_get(one, "error_message")));
    json_t *per_op = json_object_get(one, "per_op");
    if (!json_is_number(per_op) || json_number_value(per_op) < 0)
        fail_msg("%s has no time per operation", name);
    if (check)
        check(one);
    json_decref(document);
}

double watched_counter(json_t *one, const char *name)
{
    json_t *value = json_object_get(one, name);
    if (!json_is_number(value))
        fail_msg("no counter %s", name);
    return json_number_value(value);
}
