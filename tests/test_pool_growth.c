// SPDX-License-Identifier: Apache-2.0
// The mode of growth that a pool has when its config does not choose one; growth beside a preheat.
#include "tests/held_construct.h"
#include "tests/pool_contract.h"

#include "pools/pool_strategy.h"
#include "pools/shared/growth.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
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

// --- a preheat while an expansion is made in pieces -----------------------------------------------------

enum { BYTES = 3072, AT_FIRST = 500, MAX = 1000 };

static bool has_pieces(const struct pool_strategy *strategy)
{
    unsigned wanted = POOL_CAP_GROWS | POOL_CAP_PREHEATS | POOL_CAP_BOUNDED;
    return (strategy->caps & wanted) == wanted;
}

static int64_t owned_by(struct pool *pool)
{
    struct pool_stats stats;
    pool_stats(pool, &stats);
    return stats.owned;
}

static void test_a_preheat_makes_what_an_expansion_has_not_begun_to_make(void **state)
{
    const struct pool_strategy *strategy = *state;
    void *objects[AT_FIRST];
    if (!has_pieces(strategy))
        return;
    struct pool_config config = contract_config(strategy, BYTES, AT_FIRST, MAX);
    struct pool *pool = contract_open(strategy, &config);
    int64_t out = 0;
    while (out < AT_FIRST && owned_by(pool) == AT_FIRST)
        contract_get_many(pool, &objects[out++], 1);
    int64_t owned = owned_by(pool);
    assert_int_equal(pool_preheat(pool, MAX - owned + 1), -ERANGE);
    assert_int_equal(pool_preheat(pool, MAX - owned), 0);
    assert_int_equal(owned_by(pool), MAX);
    contract_put_many(pool, objects, out);
    contract_close(pool);
}

static void *get_one(void *pool)
{
    return pool_get(pool);
}

// The get that reaches the trigger makes a piece; meanwhile a preheat makes the rest of the step and more.
static void test_a_preheat_goes_beside_the_get_that_makes_a_piece(void **state)
{
    const struct pool_strategy *strategy = *state;
    static void *objects[AT_FIRST];
    if (!has_pieces(strategy) || strategy->caps & POOL_CAP_AS_NEEDED)
        return;
    struct held_construct held;
    void *object;
    assert_int_equal(held_construct_open(&held), 0);
    struct pool_config config = contract_config(strategy, BYTES, AT_FIRST, MAX);
    config.growth_rule = POOL_RULE_FACTOR;
    config.construct = held_construct;
    config.object_context = &held;
    struct pool *pool = contract_open(strategy, &config);
    int64_t before = growth_trigger(AT_FIRST, config.expand_at_percent) - 1;
    int64_t piece = growth_piece(AT_FIRST / 2, BYTES), rest = MAX - AT_FIRST - piece;
    contract_get_many(pool, objects, before);
    atomic_store(&held.holds, true);
    pthread_t getter;
    assert_int_equal(pthread_create(&getter, NULL, get_one, pool), 0);
    while (sem_wait(&held.reached) != 0)
        ;
    int too_many = pool_preheat(pool, rest + 1), fits = pool_preheat(pool, rest);
    sem_post(&held.go);
    pthread_join(getter, &object);
    assert_int_equal(too_many, -ERANGE);
    assert_int_equal(fits, 0);
    struct pool_stats stats = contract_stats(pool);
    assert_int_equal(stats.owned, MAX);
    assert_int_equal(stats.expansions, 1);
    pool_put(pool, object);
    contract_put_many(pool, objects, before);
    contract_close(pool);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_background_where_the_strategy_can),
        cmocka_unit_test(test_a_pool_of_one_thread_grows_inline),
        cmocka_unit_test(test_a_pool_opens_where_no_thread_can_be_had),
        cmocka_unit_test(test_a_pool_that_has_to_have_a_thread_says_that_there_is_none),
        cmocka_unit_test(test_a_preheat_makes_what_an_expansion_has_not_begun_to_make),
        cmocka_unit_test(test_a_preheat_goes_beside_the_get_that_makes_a_piece),
    };
    return contract_run("pool_growth", tests, sizeof tests / sizeof tests[0]);
}
