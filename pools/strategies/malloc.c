// SPDX-License-Identifier: Apache-2.0
// malloc: every get allocates, every put frees. The baseline that a pool has to beat, and the thinnest
// strategy: it adds only one count in the calling thread's own row.
#include "pools/pool_strategy.h"
#include "pools/shared/counters.h"
#include "pools/shared/object.h"

#include <errno.h>

struct pool {
    struct pool_base base;
    struct counters counters;
    struct pool_config config; // constant, as is object_bytes
    size_t object_bytes;
};

static void *malloc_get_bytes(struct pool *pool, size_t bytes)
{
    int slot = thread_slot();
    void *object = pool_memory_alloc(bytes);
    if (__builtin_expect(!object, 0)) {
        counters_failed(&pool->counters, slot);
        return NULL;
    }
    counters_take(&pool->counters, slot);
    counters_miss(&pool->counters, slot);
    return object;
}

static void *malloc_get(struct pool *pool)
{
    return malloc_get_bytes(pool, pool->object_bytes);
}

static void malloc_put(struct pool *pool, void *object)
{
    counters_put(&pool->counters, thread_slot());
    pool_memory_free(object);
}

static void *malloc_get_constructing(struct pool *pool)
{
    void *object = pool_memory_alloc(pool->object_bytes);
    if (object && object_construct(&pool->config, object) < 0) {
        pool_memory_free(object);
        object = NULL;
    }
    int slot = thread_slot();
    if (!object) {
        counters_failed(&pool->counters, slot);
        return NULL;
    }
    counters_take(&pool->counters, slot);
    counters_miss(&pool->counters, slot);
    return object;
}

static void malloc_put_destructing(struct pool *pool, void *object)
{
    object_destruct(&pool->config, object, pool->object_bytes);
    malloc_put(pool, object);
}

static int malloc_open(struct pool **opened, const struct pool_config *config, struct err *err)
{
    (void)err;
    struct pool *pool = pool_memory_alloc_aligned(alignof(struct pool), sizeof *pool);
    if (!pool)
        return -ENOMEM;
    *pool = (struct pool){.config = *config, .object_bytes = config->object_bytes};
    if (counters_open(&pool->counters) < 0) {
        pool_memory_free(pool);
        return -ENOMEM;
    }
    if (config->construct || config->destruct) {
        atomic_init(&pool->base.get, malloc_get_constructing);
        atomic_init(&pool->base.put, malloc_put_destructing);
    }
    *opened = pool;
    return 0;
}

// It owns only the objects in use. Memory that the allocator keeps besides is not counted here (base/heap.h).
static void malloc_stats(struct pool *pool, struct pool_stats *stats)
{
    counters_read(&pool->counters, stats);
    stats->owned = stats->in_use;
    stats->overhead_bytes = (int64_t)sizeof *pool + counters_bytes(&pool->counters);
    stats->bytes_allocated = stats->misses * (int64_t)pool->object_bytes + stats->overhead_bytes;
    stats->bytes_owned = stats->owned * (int64_t)pool->object_bytes + stats->overhead_bytes;
    stats->peak_bytes_owned = stats->peak_in_use * (int64_t)pool->object_bytes + stats->overhead_bytes;
}

static void malloc_close(struct pool *pool)
{
    counters_close(&pool->counters);
    pool_memory_free(pool);
}

static void malloc_fork_child(struct pool *pool)
{
    counters_fork_child(&pool->counters);
}

static void malloc_thread_exits(struct pool *pool, int slot)
{
    counters_thread_exits(&pool->counters, slot);
}

const struct pool_strategy pool_strategy_malloc = {
    .name = "malloc",
    .summary = "every get allocates, every put frees: the baseline",
    .caps = POOL_CAP_SIZED | POOL_CAP_CONSTRUCTS | POOL_CAP_FORKS,
    .open = malloc_open,
    .get = malloc_get,
    .put = malloc_put,
    .get_bytes = malloc_get_bytes,
    .stats = malloc_stats,
    .close = malloc_close,
    .thread_exits = malloc_thread_exits,
    .fork_child = malloc_fork_child,
};
