// SPDX-License-Identifier: Apache-2.0
// What memory pressure drops: a pool over its threshold is swept once, and each of its connections knows how many are
// older.
#include "base/clock.h"
#include "bench/hot/hot_bench.h"
#include "pools/hot/hot.h"

#include <errno.h>
#include <stdlib.h>

enum { BYTES = 16384, COUNT_MIN = 20, UNHEALTHY_SHARE = 10 };

// Opened one after the other: number 0 is the oldest. An entry is written before its connection is used, and read
// after the pool has ended.
struct scene {
    int count;
    int unhealthy_from; // connections of this number and above are unhealthy; `count`: none
    _Atomic int opened;
    _Atomic bool closed[];
};

struct numbered {
    struct scene *scene;
    int number;
};

static int open_one(void *context, const char *host, int64_t until_ns, void **resource)
{
    struct scene *scene = context;
    struct numbered *one = malloc(sizeof *one);
    (void)host;
    (void)until_ns;
    if (!one)
        return -ENOMEM;
    *one = (struct numbered){.scene = scene, .number = atomic_fetch_add(&scene->opened, 1)};
    *resource = one;
    return 0;
}

static void close_one(void *context, void *resource)
{
    struct scene *scene = context;
    struct numbered *one = resource;
    if (one->number < scene->count)
        atomic_store(&scene->closed[one->number], true);
    free(one);
}

static bool is_healthy(void *context, void *resource)
{
    const struct scene *scene = context;
    return ((const struct numbered *)resource)->number < scene->unhealthy_from;
}

static struct hot_config config_for(struct scene *scene)
{
    struct hot_config config = HOT_CONFIG_DEFAULTS;
    config.resource =
        (struct hot_resource){.open = open_one, .close = close_one, .healthy = is_healthy, .context = scene};
    config.total_max = config.idle_max = config.host_max = scene->count;
    config.openers = 1; // so that numbers are ages
    config.sweep_ns = 0;
    config.check_after_ns = -1;
    config.connection_bytes = BYTES;
    config.memory_max_bytes = (int64_t)scene->count * BYTES; // at 100 % of it, the threshold is 80 %
    return config;
}

// `dropped`: closed by one application of pressure; `oldest`: how many of those were older than every one kept.
static int run_scene(struct scene *scene, int *dropped, int *oldest, int *unhealthy, struct err *err)
{
    struct hot_config config = config_for(scene);
    struct hot_pool *pool = NULL;
    struct hot_stats stats;
    int code = hot_open(&pool, &config, err);
    if (code == 0)
        code = hot_warm(pool, "backend", scene->count, 10 * NS_PER_S, err);
    if (code == 0) {
        (void)hot_sweep(pool);
        hot_stats(pool, &stats);
        *dropped = (int)stats.closed[HOT_END_PRESSURE];
        *unhealthy = (int)stats.closed[HOT_END_UNHEALTHY];
        *oldest = 0;
        while (*oldest < scene->count && atomic_load(&scene->closed[*oldest]))
            ++*oldest;
    }
    (void)!hot_close(pool, 10 * NS_PER_S);
    return code;
}

static int run_with(int count, int unhealthy_count, int *dropped, int *oldest, int *unhealthy,
                    struct err *err)
{
    struct scene *scene = calloc(1, sizeof *scene + (size_t)count * sizeof scene->closed[0]);
    if (!scene)
        return -ENOMEM;
    scene->count = count;
    scene->unhealthy_from = count - unhealthy_count;
    int code = run_scene(scene, dropped, oldest, unhealthy, err);
    free(scene);
    return code;
}

int hot_pressure(const struct hot_bench_config *config, const struct hot_contender *contender,
                 json_t *metrics, struct err *err)
{
    int count = (int)config->most < COUNT_MIN ? COUNT_MIN : (int)config->most;
    int dropped = 0, oldest = 0, unhealthy = 0, sick_dropped = 0, sick_oldest = 0,
        sick = count / UNHEALTHY_SHARE;
    (void)contender;
    int code = run_with(count, 0, &dropped, &oldest, &unhealthy, err);
    if (code == 0)
        code = run_with(count, sick, &sick_dropped, &sick_oldest, &unhealthy, err);
    if (code == 0) {
        hot_bench_add(metrics, "pressure.dropped_percent", 100.0 * dropped / count);
        hot_bench_add(metrics, "pressure.oldest_percent", dropped > 0 ? 100.0 * oldest / dropped : 0.0);
        hot_bench_add(metrics, "pressure.unhealthy_dropped_percent", 100.0 * unhealthy / sick);
    }
    return code;
}
