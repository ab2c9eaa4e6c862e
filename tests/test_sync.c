// SPDX-License-Identifier: Apache-2.0
#include "pools/pool_strategy.h"
#include "tests/pool_contract.h"
#include "tests/pool_events.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

enum { OBJECT_BYTES = 200, MANY = 100 };

static struct pool *open_sync(struct pool_events *events)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.object_bytes = OBJECT_BYTES;
    config.listener = events ? pool_events_listen : NULL;
    config.listener_context = events;
    return contract_open(pool_strategy_find("sync"), &config);
}

static void *got(struct pool *pool)
{
    void *object = pool_get(pool);
    assert_non_null(object);
    return object;
}

static void test_the_last_object_put_is_the_first_got(void **state)
{
    (void)state;
    struct pool *pool = open_sync(NULL);
    void *first = got(pool);
    pool_put(pool, first);
    assert_ptr_equal(got(pool), first);
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.misses, 1);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.owned, 1);
    pool_put(pool, first);
    pool_close(pool);
}

static void test_every_get_is_a_hit_or_a_miss_exactly(void **state)
{
    (void)state;
    struct pool *pool = open_sync(NULL);
    void *objects[MANY];
    for (int round = 1; round <= 10; round++) {
        contract_get_many(pool, objects, MANY);
        contract_put_many(pool, objects, MANY);
        struct pool_stats stats = contract_counts(pool);
        assert_int_equal(stats.misses, MANY);
        assert_int_equal(stats.hits, (round - 1) * MANY);
        assert_int_equal(stats.owned, MANY);
        assert_int_equal(stats.peak_in_use, MANY);
    }
    pool_close(pool);
}

static void test_an_object_goes_after_two_sweeps_without_use(void **state)
{
    (void)state;
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool *pool = open_sync(&events);
    void *objects[MANY];
    contract_get_many(pool, objects, MANY);
    contract_put_many(pool, objects, MANY);
    assert_int_equal(pool_sweep(pool), 0);
    assert_int_equal(contract_counts(pool).owned, MANY);
    assert_int_equal(pool_sweep(pool), MANY * OBJECT_BYTES);
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.owned, 0);
    assert_int_equal(stats.sweeps, 2);
    assert_int_equal(stats.shrinks, 1);
    assert_int_equal(pool_events_count(&events, POOL_EVENT_SHRINK), 1);
    assert_int_equal(events.events[0].from, MANY);
    assert_int_equal(events.events[0].to, 0);
    assert_int_equal(pool_sweep(pool), 0);
    pool_close(pool);
}

static void test_a_victim_that_is_used_again_stays(void **state)
{
    (void)state;
    struct pool *pool = open_sync(NULL);
    void *objects[MANY];
    contract_get_many(pool, objects, MANY);
    contract_put_many(pool, objects, MANY);
    for (int generation = 0; generation < 5; generation++) {
        assert_int_equal(pool_sweep(pool), 0);
        contract_get_many(pool, objects, MANY);
        contract_put_many(pool, objects, MANY);
    }
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.misses, MANY);
    assert_int_equal(stats.hits, 5 * MANY);
    pool_close(pool);
}

static void test_only_what_two_generations_left_unused_goes(void **state)
{
    (void)state;
    struct pool *pool = open_sync(NULL);
    void *objects[MANY];
    contract_get_many(pool, objects, MANY);
    contract_put_many(pool, objects, MANY);
    assert_int_equal(pool_sweep(pool), 0);
    contract_get_many(pool, objects, 30);
    contract_put_many(pool, objects, 30);
    assert_int_equal(pool_sweep(pool), (MANY - 30) * OBJECT_BYTES);
    assert_int_equal(contract_counts(pool).owned, 30);
    pool_close(pool);
}

static void test_objects_in_use_survive_sweeps(void **state)
{
    (void)state;
    struct pool *pool = open_sync(NULL);
    char *object = got(pool);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pool_sweep(pool), 0);
    for (int i = 0; i < OBJECT_BYTES; i++)
        object[i] = (char)i;
    assert_int_equal(contract_counts(pool).owned, 1);
    pool_put(pool, object);
    pool_close(pool);
}

static void test_trim_frees_all_that_is_free_at_once(void **state)
{
    (void)state;
    struct pool *pool = open_sync(NULL);
    void *objects[MANY];
    contract_get_many(pool, objects, MANY);
    contract_put_many(pool, objects, MANY - 1);
    assert_int_equal(pool_trim(pool), (MANY - 1) * OBJECT_BYTES);
    assert_int_equal(contract_counts(pool).owned, 1);
    pool_put(pool, objects[MANY - 1]);
    pool_close(pool);
}

static void *puts_all(void *argument)
{
    struct pool *pool = argument;
    void *objects[MANY];
    contract_get_many(pool, objects, MANY);
    contract_put_many(pool, objects, MANY);
    return NULL;
}

static void test_a_thread_steals_from_the_list_of_another(void **state)
{
    (void)state;
    struct pool *pool = open_sync(NULL);
    pthread_t thread;
    pool_put(pool, got(pool)); // this thread's slot is taken before the other's
    assert_int_equal(pthread_create(&thread, NULL, puts_all, pool), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    int64_t misses = contract_counts(pool).misses;
    // The other's private object is out of reach until a sweep; what it has on its list is not.
    void *objects[MANY];
    contract_get_many(pool, objects, MANY - 1);
    assert_int_equal(contract_counts(pool).misses, misses);
    contract_put_many(pool, objects, MANY - 1);
    pool_close(pool);
}

static void test_a_sweep_reaches_the_private_object_of_another_thread(void **state)
{
    (void)state;
    struct pool *pool = open_sync(NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, puts_all, pool), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(contract_counts(pool).owned, MANY);
    pool_sweep(pool);
    pool_sweep(pool);
    assert_int_equal(contract_counts(pool).owned, 0);
    pool_close(pool);
}

struct work {
    struct pool *pool;
    atomic_bool done;
};

static void *gets_and_puts(void *argument)
{
    struct work *work = argument;
    for (int round = 0; round < 300; round++) {
        void *objects[20];
        for (int i = 0; i < 20; i++) {
            objects[i] = pool_get(work->pool);
            *(int *)objects[i] = round;
        }
        for (int i = 0; i < 20; i++)
            pool_put(work->pool, objects[i]);
    }
    return NULL;
}

static void *sweeps_all_the_while(void *argument)
{
    struct work *work = argument;
    while (!atomic_load(&work->done))
        pool_sweep(work->pool);
    return NULL;
}

static void test_sweeps_from_two_threads_while_four_others_work(void **state)
{
    (void)state;
    struct work work = {.pool = open_sync(NULL)};
    pthread_t workers[4], sweepers[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&sweepers[i], NULL, sweeps_all_the_while, &work), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&workers[i], NULL, gets_and_puts, &work), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(workers[i], NULL), 0);
    atomic_store(&work.done, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(sweepers[i], NULL), 0);
    struct pool_stats stats = contract_counts(work.pool);
    assert_int_equal(stats.gets, 4 * 300 * 20);
    assert_int_equal(stats.puts, stats.gets);
    assert_int_equal(stats.in_use, 0);
    pool_trim(work.pool);
    assert_int_equal(contract_counts(work.pool).owned, 0);
    pool_close(work.pool);
}

// Fifty gets a second with a sweep each second, as published: hits, since one generation spares what was just
// used.
static void test_at_a_low_rate_an_object_survives_between_sweeps(void **state)
{
    (void)state;
    struct pool *pool = open_sync(NULL);
    for (int second = 0; second < 20; second++) {
        for (int i = 0; i < 50; i++)
            pool_put(pool, got(pool));
        pool_sweep(pool);
    }
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.misses, 1);
    assert_int_equal(stats.hits, 20 * 50 - 1);
    pool_close(pool);
}

static void test_without_memory_for_the_list_a_put_object_is_freed(void **state)
{
    (void)state;
    struct pool *pool = open_sync(NULL);
    void *objects[3];
    contract_get_many(pool, objects, 3);
    pool_memory_fail_after(0, true);
    contract_put_many(pool, objects, 3); // the first is kept as the private one
    pool_memory_fail_after(-1, false);
    assert_int_equal(contract_counts(pool).owned, 1);
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_object_put_is_the_first_got),
        cmocka_unit_test(test_every_get_is_a_hit_or_a_miss_exactly),
        cmocka_unit_test(test_an_object_goes_after_two_sweeps_without_use),
        cmocka_unit_test(test_a_victim_that_is_used_again_stays),
        cmocka_unit_test(test_only_what_two_generations_left_unused_goes),
        cmocka_unit_test(test_objects_in_use_survive_sweeps),
        cmocka_unit_test(test_trim_frees_all_that_is_free_at_once),
        cmocka_unit_test(test_a_thread_steals_from_the_list_of_another),
        cmocka_unit_test(test_a_sweep_reaches_the_private_object_of_another_thread),
        cmocka_unit_test(test_sweeps_from_two_threads_while_four_others_work),
        cmocka_unit_test(test_at_a_low_rate_an_object_survives_between_sweeps),
        cmocka_unit_test(test_without_memory_for_the_list_a_put_object_is_freed),
    };
    return cmocka_run_group_tests_name("sync", tests, NULL, NULL);
}
