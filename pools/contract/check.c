// SPDX-License-Identifier: Apache-2.0
#include "pools/contract/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void check_failed(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments); // stderr has no buffer
    va_end(arguments);
    _exit(EXIT_FAILURE);
}

struct pool_config check_config(const struct check *check, size_t object_bytes, int64_t initial, int64_t max)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = "contract";
    config.object_bytes = object_bytes;
    config.initial = initial;
    config.max = max;
    config.growth_mode = POOL_GROW_INLINE;
    pool_config_fit(check->strategy, &config);
    return config;
}

struct pool *check_open(const struct check *check, const struct pool_config *config)
{
    struct pool *pool = NULL;
    struct err err = {.text = ""};
    if (pool_open(&pool, check->strategy, config, &err) < 0)
        check_failed("open: %s", err.text);
    return pool;
}

bool check_can(const struct check *check, unsigned caps)
{
    return (pool_strategy_caps(check->strategy) & caps) == caps;
}

static void check_equations(const struct pool_stats *s)
{
    KEEP(s->gets == s->hits + s->misses + s->overflow + s->refused + s->failed,
         "statistics: gets (%lld) are not hits (%lld) + misses (%lld) + overflow (%lld) + refused (%lld) + "
         "failed "
         "(%lld)",
         (long long)s->gets, (long long)s->hits, (long long)s->misses, (long long)s->overflow,
         (long long)s->refused, (long long)s->failed);
    KEEP(s->in_use == s->hits + s->misses + s->overflow - s->puts,
         "statistics: in_use (%lld) is not the gets that gave an object (%lld) less the puts (%lld)",
         (long long)s->in_use, (long long)(s->hits + s->misses + s->overflow), (long long)s->puts);
    KEEP(s->peak_in_use >= s->in_use, "statistics: peak_in_use (%lld) is below in_use (%lld)",
         (long long)s->peak_in_use, (long long)s->in_use);
    KEEP(s->overhead_bytes >= 0 && s->bytes_owned >= s->overhead_bytes,
         "statistics: overhead_bytes (%lld) is not within bytes_owned (%lld)", (long long)s->overhead_bytes,
         (long long)s->bytes_owned);
}

bool check_stats(struct pool *pool, struct pool_stats *s)
{
    const struct pool_strategy *strategy = pool_strategy_of(pool);
    const struct pool_config *config = pool_config_of(pool);
    pool_stats(pool, s);
    KEEP(!strategy->is_valid || strategy->is_valid(pool), "the strategy's own invariants do not hold");
    if (s->unknown)
        return false;
    check_equations(s);
    KEEP((strategy->caps & POOL_CAP_SIZED) ||
             s->bytes_owned - s->overhead_bytes == s->owned * (int64_t)config->object_bytes,
         "statistics: bytes_owned (%lld) less overhead_bytes (%lld) is not owned (%lld) x %zu bytes",
         (long long)s->bytes_owned, (long long)s->overhead_bytes, (long long)s->owned, config->object_bytes);
    KEEP(!config->max || s->owned <= config->max, "statistics: owned (%lld) is above max (%lld)",
         (long long)s->owned, (long long)config->max);
    return true;
}

void check_close(struct pool *pool)
{
    struct pool_stats stats;
    if (check_stats(pool, &stats))
        KEEP(stats.in_use == 0, "every object was put, and in_use is %lld", (long long)stats.in_use);
    pool_close(pool);
}

void *check_get(struct pool *pool)
{
    void *object = pool_get(pool);
    KEEP(object, "get gave NULL, and nothing forbids an object");
    return object;
}

void check_get_many(struct pool *pool, void **objects, int count)
{
    for (int i = 0; i < count; i++)
        objects[i] = check_get(pool);
}

void check_put_many(struct pool *pool, void **objects, int count)
{
    for (int i = 0; i < count; i++)
        pool_put(pool, objects[i]);
}

static unsigned char mark_at(size_t at, uint32_t number)
{
    return (unsigned char)((number * 2654435761u + (uint32_t)at * 97u) >> 11);
}

void check_mark(void *object, size_t bytes, uint32_t number)
{
    unsigned char *byte = object;
    for (size_t at = 0; at < bytes; at++)
        byte[at] = mark_at(at, number);
}

bool check_is_marked(const void *object, size_t bytes, uint32_t number)
{
    const unsigned char *byte = object;
    for (size_t at = 0; at < bytes; at++)
        if (byte[at] != mark_at(at, number))
            return false;
    return true;
}
