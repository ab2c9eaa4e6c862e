// SPDX-License-Identifier: Apache-2.0
#include "pools/pool_strategy.h"
#include "tests/pool_contract.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct pool *open_fixed(size_t object_bytes, int64_t initial, int64_t max, enum pool_overflow overflow)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    struct pool *pool;
    struct err err = {0};
    config.object_bytes = object_bytes;
    config.initial = initial;
    config.max = max;
    config.overflow = overflow;
    if (pool_open(&pool, pool_strategy_find("fixed"), &config, &err) < 0)
        fail_msg("%s", err.text);
    return pool;
}

static struct pool_stats stats_of(struct pool *pool)
{
    struct pool_stats stats;
    pool_stats(pool, &stats);
    return stats;
}

static void test_it_owns_what_it_made_at_open_and_no_more(void **state)
{
    (void)state;
    struct pool *pool = open_fixed(3072, 50, 0, POOL_OVERFLOW_HEAP);
    void *objects[80];
    contract_get_many(pool, objects, 80);
    struct pool_stats stats = stats_of(pool);
    assert_int_equal(stats.owned, 50);
    assert_int_equal(stats.hits, 50);
    assert_int_equal(stats.overflow, 30);
    assert_int_equal(stats.expansions, 0);
    assert_int_equal(stats.misses, 0);
    contract_put_many(pool, objects, 80);
    assert_int_equal(stats_of(pool).owned, 50);
    pool_close(pool);
}

// Which of those in use are strays does not follow from how many are in use and owned.
static void check_strays(const char *strategy, int64_t max)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    struct pool *pool;
    struct err err = {0};
    config.object_bytes = 3072;
    config.initial = 50;
    config.max = max;
    config.growth_mode = POOL_GROW_DEFAULT;
    pool_config_fit(pool_strategy_find(strategy), &config);
    if (pool_open(&pool, pool_strategy_find(strategy), &config, &err) < 0)
        fail_msg("%s", err.text);
    void *objects[80];
    contract_get_many(pool, objects, 80); // the first 50 are its own
    struct pool_stats stats = stats_of(pool);
    assert_int_equal(pool_beside(pool, &stats).strays, 30);
    contract_put_many(pool, objects, 40);
    stats = stats_of(pool);
    assert_int_equal(stats.in_use, 40);
    assert_int_equal(stats.owned, 50);
    assert_int_equal(pool_beside(pool, &stats).strays, 30);
    contract_put_many(pool, objects + 40, 40);
    stats = stats_of(pool);
    assert_int_equal(pool_beside(pool, &stats).strays, 0);
    pool_close(pool);
}

static void test_strays_are_told_from_the_pools_own(void **state)
{
    (void)state;
    check_strays("fixed", 0);
    check_strays("expand", 50);
    check_strays("slab", 50);
}

static void test_the_rounding_of_blocks_is_what_the_allocator_gave_beyond(void **state)
{
    (void)state;
    struct pool *none = open_fixed(3072, 0, 0, POOL_OVERFLOW_HEAP),
                *some = open_fixed(3072, 50, 0, POOL_OVERFLOW_HEAP);
    struct pool_stats stats = stats_of(none);
    assert_int_equal(pool_beside(none, &stats).rounding_bytes, 0);
    stats = stats_of(some);
    assert_in_range(pool_beside(some, &stats).rounding_bytes, 1,
                    16384); // a page or two, of whatever allocator
    pool_close(none);
    pool_close(some);
}

static void test_1024_objects_of_3072_bytes_take_3_to_3_4_kb_each(void **state)
{
    (void)state;
    struct pool *pool = open_fixed(3072, 1024, 1024, POOL_OVERFLOW_REFUSE);
    struct pool_stats stats = stats_of(pool);
    assert_in_range(stats.bytes_owned, 2800000, 3600000);
    assert_in_range(stats.overhead_bytes, 0, 1024 * 20);
    pool_close(pool);
}

static void test_without_initial_objects_all_is_overflow_or_refused(void **state)
{
    (void)state;
    struct pool *heap = open_fixed(64, 0, 0, POOL_OVERFLOW_HEAP);
    void *object = pool_get(heap);
    assert_non_null(object);
    assert_int_equal(stats_of(heap).overflow, 1);
    pool_put(heap, object);
    pool_close(heap);
    struct pool *refuse = open_fixed(64, 0, 0, POOL_OVERFLOW_REFUSE);
    assert_null(pool_get(refuse));
    assert_int_equal(stats_of(refuse).refused, 1);
    pool_close(refuse);
}

static void test_preheat_adds_up_to_max(void **state)
{
    (void)state;
    struct pool *pool = open_fixed(64, 10, 25, POOL_OVERFLOW_REFUSE);
    void *objects[25];
    contract_get_many(pool, objects, 10);
    assert_null(pool_get(pool));
    assert_int_equal(pool_preheat(pool, 16), -ERANGE);
    assert_int_equal(pool_preheat(pool, 15), 0);
    contract_get_many(pool, objects + 10, 15);
    assert_null(pool_get(pool));
    assert_int_equal(stats_of(pool).owned, 25);
    contract_put_many(pool, objects, 25);
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_owns_what_it_made_at_open_and_no_more),
        cmocka_unit_test(test_strays_are_told_from_the_pools_own),
        cmocka_unit_test(test_the_rounding_of_blocks_is_what_the_allocator_gave_beyond),
        cmocka_unit_test(test_1024_objects_of_3072_bytes_take_3_to_3_4_kb_each),
        cmocka_unit_test(test_without_initial_objects_all_is_overflow_or_refused),
        cmocka_unit_test(test_preheat_adds_up_to_max),
    };
    return cmocka_run_group_tests_name("fixed", tests, NULL, NULL);
}
