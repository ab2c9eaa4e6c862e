// SPDX-License-Identifier: Apache-2.0
// The mode of growth that a pool has when its config does not choose one.
#include "tests/pool_contract.h"

#include "pools/pool_strategy.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static atomic_bool no_threads;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument)
{
    return atomic_load(&no_threads) ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);
}

static enum pool_growth opened_mode(const struct pool_strategy *strategy, enum pool_threads threads)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.object_bytes = 64;
    config.threads = threads;
    struct pool *pool = contract_open(strategy, &config);
    enum pool_growth mode = pool_config_of(pool)->growth_mode;
    void *objects[100];
    contract_get_many(pool, objects, 100);
    contract_put_many(pool, objects, 100);
    contract_close(pool);
    return mode;
}

static void test_it_is_background_where_the_strategy_can(void **state)
{
    const struct pool_strategy *strategy = *state;
    bool can = strategy->caps & POOL_CAP_BACKGROUND;
    assert_int_equal(opened_mode(strategy, POOL_THREADS_MANY), can ? POOL_GROW_BACKGROUND : POOL_GROW_INLINE);
}

static void test_a_pool_of_one_thread_grows_inline(void **state)
{
    assert_int_equal(opened_mode(*state, POOL_THREADS_ONE), POOL_GROW_INLINE);
}

static void test_a_pool_opens_where_no_thread_can_be_had(void **state)
{
    atomic_store(&no_threads, true);
    enum pool_growth mode = opened_mode(*state, POOL_THREADS_MANY);
    atomic_store(&no_threads, false);
    assert_int_equal(mode, POOL_GROW_INLINE);
}

// Who asks for the pool's own thread is told that there is none.
static void test_a_pool_that_has_to_have_a_thread_says_that_there_is_none(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!(strategy->caps & POOL_CAP_BACKGROUND))
        return;
    struct pool_config config = contract_config(strategy, 64, 4, 0);
    config.growth_mode = POOL_GROW_BACKGROUND;
    struct pool *pool = NULL;
    struct err err = {0};
    atomic_store(&no_threads, true);
    int code = pool_open(&pool, strategy, &config, &err);
    atomic_store(&no_threads, false);
    assert_int_equal(code, -EAGAIN);
    assert_null(pool);
    assert_non_null(strstr(err.text, "its thread cannot be started"));
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_background_where_the_strategy_can),
        cmocka_unit_test(test_a_pool_of_one_thread_grows_inline),
        cmocka_unit_test(test_a_pool_opens_where_no_thread_can_be_had),
        cmocka_unit_test(test_a_pool_that_has_to_have_a_thread_says_that_there_is_none),
    };
    return contract_run("pool_growth", tests, sizeof tests / sizeof tests[0]);
}
