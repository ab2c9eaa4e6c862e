// SPDX-License-Identifier: Apache-2.0
// Dispatch: what pool_open refuses and how it says so. What strategies do is in test_pool_contract.c.
#include "pools/pool_strategy.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct pool_config good_config(void)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = "connections";
    config.object_bytes = 64;
    return config;
}

// Opening must fail with -EINVAL and a text that names the pool and the field.
static void check_refused(const char *strategy, const struct pool_config *config, const char *field)
{
    struct pool *pool = NULL;
    struct err err = {0};
    assert_int_equal(pool_open(&pool, pool_strategy_find(strategy), config, &err), -EINVAL);
    assert_null(pool);
    assert_non_null(strstr(err.text, field));
    if (config->name)
        assert_non_null(strstr(err.text, "connections"));
    assert_int_equal(pool_open(&pool, pool_strategy_find(strategy), config, NULL), -EINVAL);
}

static void test_each_field_out_of_bounds_is_named(void **state)
{
    (void)state;
    struct pool_config config = good_config();
    config.name = NULL;
    check_refused("expand", &config, "name");
    config = good_config();
    config.object_bytes = 0;
    check_refused("expand", &config, "object_bytes");
    config.object_bytes = POOL_OBJECT_BYTES_MAX + 1;
    check_refused("expand", &config, "object_bytes");
    config = good_config();
    config.initial = -1;
    check_refused("expand", &config, "initial");
    config.initial = POOL_COUNT_MAX + 1;
    check_refused("expand", &config, "initial");
    config.initial = 10;
    config.max = 9;
    check_refused("expand", &config, "initial");
    config = good_config();
    config.max = -1;
    check_refused("expand", &config, "max");
    config = good_config();
    config.idle_ns = -1;
    check_refused("expand", &config, "idle_ns");
}

static void test_each_rule_of_growth_out_of_bounds_is_named(void **state)
{
    (void)state;
    const double growths[] = {0.99, -1, 1e9, NAN, INFINITY};
    struct pool_config config = good_config();
    config.expand_at_percent = 0;
    check_refused("expand", &config, "expand_at_percent");
    config.expand_at_percent = 101;
    check_refused("expand", &config, "expand_at_percent");
    for (size_t i = 0; i < sizeof growths / sizeof growths[0]; i++) {
        config = good_config();
        config.growth = growths[i];
        check_refused("expand", &config, "growth");
    }
    config = good_config();
    config.growth_rule = (enum pool_growth_rule)7;
    check_refused("expand", &config, "growth_rule");
    config = good_config();
    config.growth_mode = (enum pool_growth)7;
    check_refused("expand", &config, "growth_mode");
    config = good_config();
    config.overflow = (enum pool_overflow)7;
    check_refused("expand", &config, "overflow");
}

static void test_what_a_strategy_cannot_do_is_refused(void **state)
{
    (void)state;
    struct pool_config config = good_config();
    config.initial = 10;
    check_refused("malloc", &config, "initial");
    config = good_config();
    config.max = 10;
    check_refused("malloc", &config, "max");
    config = good_config();
    config.overflow = POOL_OVERFLOW_REFUSE;
    check_refused("malloc", &config, "overflow");
    config = good_config();
    config.growth_mode = POOL_GROW_BACKGROUND;
    check_refused("malloc", &config, "growth_mode");
    config = good_config();
    config.growth_rule = POOL_RULE_ADAPTIVE;
    check_refused("blocks", &config, "growth_rule");
    struct err err = {0};
    struct pool *pool;
    assert_int_equal(pool_open(&pool, NULL, &config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "strategy"));
}

static void test_a_config_can_be_made_to_fit(void **state)
{
    (void)state;
    struct pool_config wanted = good_config();
    wanted.initial = 10;
    wanted.max = 100;
    wanted.growth_mode = POOL_GROW_BACKGROUND;
    wanted.overflow = POOL_OVERFLOW_REFUSE;
    wanted.growth_rule = POOL_RULE_ADAPTIVE;
    for (const struct pool_strategy *const *strategy = pool_strategies(); *strategy; strategy++) {
        struct pool_config config = wanted;
        struct pool *pool;
        struct err err = {0};
        pool_config_fit(*strategy, &config);
        assert_int_equal(pool_config_fit(*strategy, &config), 0);
        if (pool_open(&pool, *strategy, &config, &err) < 0)
            fail_msg("%s", err.text);
        pool_close(pool);
    }
    struct pool_config config = wanted;
    assert_int_equal(pool_config_fit(pool_strategy_find("expand"), &config), 0);
    assert_int_equal(pool_config_fit(pool_strategy_find("malloc"), &config), 5);
    assert_int_equal(config.initial, 0);
    assert_int_equal(config.max, 0);
}

static void *never(struct pool *pool)
{
    (void)pool;
    return NULL;
}

static void test_flags_without_their_function_are_refused(void **state)
{
    (void)state;
    struct pool_strategy wrong = *pool_strategy_find("malloc");
    struct pool_config config = good_config();
    struct pool *pool;
    struct err err = {0};
    wrong.name = "wrong";
    wrong.caps |= POOL_CAP_SWEEPS;
    assert_int_equal(pool_open(&pool, &wrong, &config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "wrong"));
    assert_non_null(strstr(err.text, "sweep"));
    wrong = *pool_strategy_find("malloc");
    wrong.get = NULL;
    assert_int_equal(pool_open(&pool, &wrong, &config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "get"));
    wrong.get = never;
    wrong.caps = 0;
    assert_int_equal(pool_open(&pool, &wrong, &config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "get_bytes"));
}

static void test_strategies_are_listed_null_first_and_found_by_name(void **state)
{
    (void)state;
    const struct pool_strategy *const *strategies = pool_strategies();
    assert_string_equal(pool_strategy_name(strategies[0]), "null");
    for (int i = 0; strategies[i]; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(pool_strategy_name(strategies[i]), pool_strategy_name(strategies[j]));
    assert_non_null(pool_strategy_find("malloc"));
    assert_non_null(pool_strategy_find("expand"));
    assert_null(pool_strategy_find("Malloc"));
    assert_null(pool_strategy_find(""));
}

static void test_more_objects_than_memory_is_out_of_memory(void **state)
{
    (void)state;
    struct pool_config config = good_config();
    struct pool *pool = NULL;
    struct err err = {0};
    pool_memory_fail_after(1, true); // the pool's name is had, the rest is not
    config.initial = 1000000;
    int code = pool_open(&pool, pool_strategy_find("fixed"), &config, &err);
    pool_memory_fail_after(-1, false);
    assert_int_equal(code, -ENOMEM);
    assert_non_null(strstr(err.text, "connections"));
    assert_non_null(strstr(err.text, "1000000 objects of 64 bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_field_out_of_bounds_is_named),
        cmocka_unit_test(test_each_rule_of_growth_out_of_bounds_is_named),
        cmocka_unit_test(test_what_a_strategy_cannot_do_is_refused),
        cmocka_unit_test(test_a_config_can_be_made_to_fit),
        cmocka_unit_test(test_flags_without_their_function_are_refused),
        cmocka_unit_test(test_strategies_are_listed_null_first_and_found_by_name),
        cmocka_unit_test(test_more_objects_than_memory_is_out_of_memory),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
