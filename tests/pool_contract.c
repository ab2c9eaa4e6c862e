// SPDX-License-Identifier: Apache-2.0
#include "tests/pool_contract.h"

#include "pools/pool_strategy.h"

#include <stdio.h>
#include <string.h>

// Of the configs made now: contract_run runs the tests once for each rule of growth.
static enum pool_growth_rule contract_rule = POOL_RULE_FACTOR;

struct pool_config contract_config(const struct pool_strategy *strategy, size_t object_bytes, int64_t initial,
                                   int64_t max)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = "contract";
    config.object_bytes = object_bytes;
    config.initial = initial;
    config.max = max;
    config.growth_mode = POOL_GROW_INLINE;
    config.growth_rule = contract_rule;
    pool_config_fit(strategy, &config);
    return config;
}

struct pool *contract_open(const struct pool_strategy *strategy, const struct pool_config *config)
{
    struct pool *pool = NULL;
    struct err err = {0};
    if (pool_open(&pool, strategy, config, &err) < 0)
        fail_msg("%s", err.text);
    return pool;
}

bool contract_can(const struct pool *pool, unsigned caps)
{
    return (pool_strategy_caps(pool_strategy_of(pool)) & caps) == caps;
}

void contract_is_drained(const struct pool_strategy *strategy, const struct pool_stats *stats,
                         int constructed, int destructed)
{
    const char *how = strategy->drain  ? "its drain has to give back what comes back"
                      : strategy->trim ? "it has no drain, so its trim has to give back every free object"
                                       : "it has neither drain nor trim, so its put may keep no object";
    if (stats->owned != 0)
        fail_msg(
            "strategy %s: drained, with nothing in use, it owns %lld objects: %s (pools/pool_strategy.h)",
            strategy->name, (long long)stats->owned, how);
    if (constructed != destructed)
        fail_msg("strategy %s: drained, with nothing in use, %d objects were constructed and %d destructed",
                 strategy->name, constructed, destructed);
}

struct pool_stats contract_counts(struct pool *pool)
{
    const struct pool_strategy *strategy = pool_strategy_of(pool);
    struct pool_stats s;
    pool_stats(pool, &s);
    assert_int_equal(s.gets, s.hits + s.misses + s.overflow + s.refused + s.failed);
    assert_int_equal(s.in_use, s.hits + s.misses + s.overflow - s.puts);
    assert_true(!strategy->is_valid || strategy->is_valid(pool));
    return s;
}

struct pool_stats contract_stats(struct pool *pool)
{
    const struct pool_strategy *strategy = pool_strategy_of(pool);
    struct pool_stats s = contract_counts(pool);
    assert_true(s.peak_in_use >= s.in_use);
    assert_true(s.overhead_bytes >= 0);
    assert_true(s.bytes_owned >= s.overhead_bytes);
    if (!(strategy->caps & POOL_CAP_SIZED))
        assert_int_equal(s.bytes_owned - s.overhead_bytes,
                         s.owned * (int64_t)pool_config_of(pool)->object_bytes);
    if (pool_config_of(pool)->max)
        assert_true(s.owned <= pool_config_of(pool)->max);
    return s;
}

void contract_close(struct pool *pool)
{
    assert_int_equal(contract_stats(pool).in_use, 0);
    pool_close(pool);
}

void contract_get_many(struct pool *pool, void **objects, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        objects[i] = pool_get(pool);
        assert_non_null(objects[i]);
    }
}

void contract_put_many(struct pool *pool, void **objects, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        pool_put(pool, objects[i]);
}

static unsigned char mark_at(size_t at, uint32_t number)
{
    return (unsigned char)((number * 2654435761u + (uint32_t)at * 97u) >> 11);
}

void contract_mark(void *object, size_t bytes, uint32_t number)
{
    unsigned char *byte = object;
    for (size_t at = 0; at < bytes; at++)
        byte[at] = mark_at(at, number);
}

bool contract_is_marked(const void *object, size_t bytes, uint32_t number)
{
    const unsigned char *byte = object;
    for (size_t at = 0; at < bytes; at++)
        if (byte[at] != mark_at(at, number))
            return false;
    return true;
}

static int run_with(const char *name, const struct pool_strategy *strategy, enum pool_growth_rule rule,
                    struct CMUnitTest *tests, size_t count)
{
    char group[64];
    snprintf(group, sizeof group, "%s_%s%s", name, pool_strategy_name(strategy),
             rule == POOL_RULE_ADAPTIVE ? "_adaptive" : "");
    for (size_t i = 0; i < count; i++)
        tests[i].initial_state = (void *)(uintptr_t)strategy;
    contract_rule = rule;
    return _cmocka_run_group_tests(group, tests, count, NULL, NULL);
}

int contract_run(const char *name, struct CMUnitTest *tests, size_t count)
{
    int failed = 0;
    for (const struct pool_strategy *const *strategy = pool_strategies(); *strategy; strategy++) {
        failed += run_with(name, *strategy, POOL_RULE_FACTOR, tests, count);
        if (pool_strategy_caps(*strategy) & POOL_CAP_ADAPTS)
            failed += run_with(name, *strategy, POOL_RULE_ADAPTIVE, tests, count);
    }
    contract_rule = POOL_RULE_FACTOR;
    return failed;
}
