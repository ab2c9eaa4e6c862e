// SPDX-License-Identifier: Apache-2.0
// null: gives the same object to every caller. Its benchmark measures the cost of harness, dispatch and
// counting, which every other strategy also pays.
#include "pools/shared/counters.h"
#include "pools/shared/object.h"

#include <errno.h>

struct pool {
    struct pool_base base;
    struct counters counters;
    void *object;
    struct pool_config config; // constant, as are the object and its size
    size_t object_bytes;
};

static int null_open(struct pool **opened, const struct pool_config *config, struct err *err)
{
    (void)err;
    struct pool *pool = pool_memory_alloc_aligned(alignof(struct pool), sizeof *pool);
    if (!pool)
        return -ENOMEM;
    *pool = (struct pool){.config = *config, .object_bytes = config->object_bytes};
    pool->object = pool_memory_alloc(config->object_bytes);
    if (!pool->object)
        goto fail_object;
    if (counters_open(&pool->counters) < 0)
        goto fail_counters;
    if (object_construct(config, pool->object) < 0)
        goto fail_construct;
    *opened = pool;
    return 0;

fail_construct:
    counters_close(&pool->counters);
fail_counters:
    pool_memory_free(pool->object);
fail_object:
    pool_memory_free(pool);
    return -ENOMEM;
}

static void *null_get(struct pool *pool)
{
    counters_take(&pool->counters, thread_slot());
    return pool->object;
}

static void null_put(struct pool *pool, void *object)
{
    (void)object;
    counters_put(&pool->counters, thread_slot());
}

static void null_stats(struct pool *pool, struct pool_stats *stats)
{
    counters_read(&pool->counters, stats);
    stats->owned = 1;
    stats->overhead_bytes = (int64_t)sizeof *pool + counters_bytes(&pool->counters);
    stats->bytes_owned = (int64_t)pool->object_bytes + stats->overhead_bytes;
}

static void null_close(struct pool *pool)
{
    object_destruct(&pool->config, pool->object, pool->object_bytes);
    counters_close(&pool->counters);
    pool_memory_free(pool->object);
    pool_memory_free(pool);
}

static bool null_owns(struct pool *pool, const void *object)
{
    return object == pool->object;
}

static void null_thread_exits(struct pool *pool, int slot)
{
    counters_thread_exits(&pool->counters, slot);
}

const struct pool_strategy pool_strategy_null = {
    .name = "null",
    .summary = "the same object for everybody: the floor of harness and dispatch; benchmarks only",
    .caps = POOL_CAP_SHARES | POOL_CAP_CONSTRUCTS | POOL_CAP_FORKS,
    .open = null_open,
    .get = null_get,
    .put = null_put,
    .stats = null_stats,
    .close = null_close,
    .thread_exits = null_thread_exits,
    .owns = null_owns,
};
