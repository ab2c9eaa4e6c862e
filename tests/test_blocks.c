// SPDX-License-Identifier: Apache-2.0
// What `blocks` promises beyond the contract that tests/test_pool_contract.c holds all strategies to.
#include "pools/strategies/blocks.h"

#include "pools/strategies/block_deque.h"
#include "pools/pool_strategy.h"
#include "tests/pool_contract.h"
#include "tests/pool_events.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct pool *open_blocks(const struct pool_config *config)
{
    return contract_open(pool_strategy_find("blocks"), config);
}

static struct pool_config config_of(size_t object_bytes, int64_t initial, int64_t max)
{
    return contract_config(pool_strategy_find("blocks"), object_bytes, initial, max);
}

static void test_the_defaults_are_the_published_ones(void **state)
{
    (void)state;
    struct pool_config config = config_of(1024, 0, 0);
    blocks_defaults(&config);
    assert_int_equal(config.initial, 100);
    assert_int_equal(config.max, 1000);
    assert_true(config.growth > 1.499 && config.growth < 1.501);
    assert_true(BLOCKS_SHRINK_THRESHOLD > 0.299 && BLOCKS_SHRINK_THRESHOLD < 0.301);
    assert_int_equal(BLOCKS_CLEANUP_EVERY_NS, 60 * NS_PER_S);
    struct pool *pool = open_blocks(&config);
    assert_int_equal(contract_counts(pool).owned, 100);
    void *objects[80];
    contract_get_many(pool, objects, 80);
    assert_int_equal(contract_counts(pool).owned, 150);
    contract_put_many(pool, objects, 80);
    pool_close(pool);
}

static void test_a_block_fits_when_it_is_large_enough_and_not_wasted(void **state)
{
    (void)state;
    assert_true(blocks_fit(1000, 1000));
    assert_false(blocks_fit(999, 1000));
    assert_true(blocks_fit(2000, 1000));
    assert_false(blocks_fit(2001, 1000));
    assert_true(blocks_fit(128, 1)); // among small ones any will do
    assert_false(blocks_fit(129, 1));
}

static void test_the_block_used_last_is_served_first(void **state)
{
    (void)state;
    struct pool_config config = config_of(512, 10, 0);
    struct pool *pool = open_blocks(&config);
    void *objects[5];
    contract_get_many(pool, objects, 5);
    contract_put_many(pool, objects, 5);
    for (int i = 4; i >= 0; i--)
        assert_ptr_equal(pool_get(pool), objects[i]);
    contract_put_many(pool, objects, 5);
    pool_close(pool);
}

static void test_the_search_finds_the_size_among_others(void **state)
{
    (void)state;
    struct pool_config config = config_of(256, 0, 100);
    config.expand_at_percent = 100;
    struct pool *pool = open_blocks(&config);
    static const size_t sizes[] = {64, 256, 1024, 4096, 16384};
    void *objects[5];
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 5; i++) {
            objects[i] = pool_get_bytes(pool, sizes[i]);
            assert_non_null(objects[i]);
            memset(objects[i], i, sizes[i]);
        }
        for (int i = 0; i < 5; i++)
            assert_int_equal(((unsigned char *)objects[i])[sizes[i] - 1], i);
        contract_put_many(pool, objects, 5);
    }
    struct pool_stats stats = contract_counts(pool);
    assert_true(stats.misses <= 10); // the first round, and growth
    assert_int_equal(stats.gets, 50);
    assert_int_equal(stats.overflow, 0);
    pool_close(pool);
}

static void test_at_max_the_block_unused_longest_makes_way_for_another_size(void **state)
{
    (void)state;
    struct pool_config config = config_of(256, 4, 4);
    config.overflow = POOL_OVERFLOW_REFUSE;
    struct pool *pool = open_blocks(&config);
    void *objects[4];
    for (int i = 0; i < 4; i++) {
        objects[i] = pool_get_bytes(pool, 10000);
        assert_non_null(objects[i]);
    }
    assert_null(pool_get_bytes(pool, 256));
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.owned, 4);
    assert_int_equal(stats.misses, 4);
    assert_int_equal(stats.refused, 1);
    assert_true(stats.bytes_owned >= 40000);
    contract_put_many(pool, objects, 4);
    pool_close(pool);
}

static void test_a_thousand_get_and_return_cycles_are_hits(void **state)
{
    (void)state;
    struct pool_config config = config_of(1024, 0, 0);
    blocks_defaults(&config);
    struct pool *pool = open_blocks(&config);
    for (int i = 0; i < 1000; i++) {
        void *object = pool_get(pool);
        assert_non_null(object);
        pool_put(pool, object);
    }
    assert_int_equal(contract_counts(pool).hits, 1000);
    pool_close(pool);
}

static void test_a_cleanup_leaves_a_third_in_use(void **state)
{
    (void)state;
    assert_int_equal(blocks_shrink_to(100, 30, 0), 100);
    assert_int_equal(blocks_shrink_to(100, 29, 0), 96);
    assert_int_equal(blocks_shrink_to(1000, 30, 0), 100);
    assert_int_equal(blocks_shrink_to(1000, 30, 400), 400);
    assert_int_equal(blocks_shrink_to(1000, 0, 0), 0);
    assert_int_equal(blocks_shrink_to(0, 0, 0), 0);
    assert_int_equal(blocks_shrink_to(50, 1, 100), 50);
}

static void test_cleanups_keep_their_interval_and_what_was_preheated(void **state)
{
    (void)state;
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = config_of(1024, 20, 0);
    config.listener = pool_events_listen;
    config.listener_context = &events;
    struct pool *pool = open_blocks(&config);
    void *objects[200];
    contract_get_many(pool, objects, 200);
    contract_put_many(pool, objects, 200);
    assert_int_equal(pool_sweep(pool), 0); // a minute is not over
    assert_true(contract_counts(pool).owned >= 200);
    assert_int_equal(contract_counts(pool).sweeps, 1);
    pool_close(pool);

    config.idle_ns = 1; // every sweep is a cleanup, and everything has expired
    pool = open_blocks(&config);
    contract_get_many(pool, objects, 200);
    contract_put_many(pool, objects, 200);
    while (contract_counts(pool).owned > 20)
        if (pool_sweep(pool) == 0)
            sched_yield();
    assert_int_equal(contract_counts(pool).owned, 20);
    assert_int_equal(contract_counts(pool).shrinks, pool_events_count(&events, POOL_EVENT_SHRINK));
    assert_true(pool_trim(pool) >= 20 * 1024);
    assert_int_equal(contract_counts(pool).owned, 0);
    contract_get_many(pool, objects, 200);
    contract_put_many(pool, objects, 200);
    pool_close(pool);
}

static void test_what_is_in_use_is_never_taken_for_expired(void **state)
{
    (void)state;
    struct pool_config config = config_of(1024, 0, 0);
    config.idle_ns = 1;
    struct pool *pool = open_blocks(&config);
    void *objects[50];
    contract_get_many(pool, objects, 50);
    for (int i = 0; i < 50; i++)
        memset(objects[i], i, 1024);
    while (contract_counts(pool).owned > 50)
        if (pool_sweep(pool) == 0)
            sched_yield();
    for (int i = 0; i < 50; i++)
        assert_int_equal(*(unsigned char *)objects[i], i);
    contract_put_many(pool, objects, 50);
    pool_close(pool);
}

// Whatever stands free: a block of the size asked for, or of the next that is not wasted, without a search.
static void test_every_size_finds_its_class_among_many_free_blocks(void **state)
{
    (void)state;
    struct pool_config config = config_of(3000, 0, 0);
    struct pool *pool = open_blocks(&config);
    for (size_t bytes = 1; bytes <= POOL_OBJECT_BYTES_MAX; bytes += bytes / 3 + 1) {
        unsigned size_class = block_class_of(bytes);
        assert_true(size_class > BLOCK_OWN && size_class < BLOCK_CLASSES);
        assert_true(block_class_bytes(size_class) >= bytes);
        assert_true(size_class == 1 || block_class_bytes(size_class - 1) < bytes);
        assert_true(blocks_fit(block_class_bytes(size_class), bytes));
        void *block = pool_get_bytes(pool, bytes);
        assert_non_null(block);
        memset(block, 1, bytes);
        pool_put(pool, block);
    }
    struct pool_stats before = contract_counts(pool);
    for (size_t bytes = 1; bytes <= POOL_OBJECT_BYTES_MAX; bytes += bytes / 3 + 1)
        pool_put(pool, pool_get_bytes(pool, bytes));
    assert_int_equal(contract_counts(pool).misses, before.misses); // all there already
    pool_close(pool);
}

static void test_gets_and_puts_clean_up_by_themselves(void **state)
{
    (void)state;
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = config_of(1024, 0, 0);
    config.idle_ns = 1; // a cleanup is due with each call, and what lies free has expired
    config.listener = pool_events_listen;
    config.listener_context = &events;
    struct pool *pool = open_blocks(&config);
    void *objects[300];
    contract_get_many(pool, objects, 300);
    int64_t owned = contract_counts(pool).owned;
    contract_put_many(pool, objects, 300);
    while (contract_counts(pool).owned > 10) { // the clock of last use has to tick
        pool_put(pool, pool_get(pool));
        sched_yield();
    }
    struct pool_stats stats = contract_counts(pool);
    assert_true(owned >= 300);
    assert_true(stats.shrinks > 0);
    assert_int_equal(stats.shrinks, pool_events_count(&events, POOL_EVENT_SHRINK));
    assert_int_equal(stats.sweeps, 0);
    assert_true(stats.peak_bytes_owned >= 300 * 1024);
    assert_true(stats.bytes_owned < 100 * 1024);
    pool_close(pool);
}

struct worker {
    struct pool *pool;
    pthread_t thread;
    int64_t nothing; // gets that gave none
};

static void *mix_sizes(void *argument)
{
    struct worker *worker = argument;
    unsigned random = (unsigned)(uintptr_t)worker;
    for (int round = 0; round < 300; round++) {
        unsigned char *objects[10];
        size_t sizes[10];
        for (int i = 0; i < 10; i++) {
            random = random * 1664525u + 1013904223u;
            sizes[i] = 1 + (random >> 16) % 3000;
            objects[i] = pool_get_bytes(worker->pool, sizes[i]);
            worker->nothing += !objects[i];
            if (objects[i])
                objects[i][0] = objects[i][sizes[i] - 1] = (unsigned char)i;
        }
        for (int i = 0; i < 10; i++) {
            worker->nothing += objects[i] && (objects[i][0] != i || objects[i][sizes[i] - 1] != i);
            pool_put(worker->pool, objects[i]);
        }
    }
    return NULL;
}

static void test_threads_of_many_sizes_stay_within_the_bound(void **state)
{
    (void)state;
    enum { WORKERS = 4 };
    struct pool_config config = config_of(1024, 0, 40); // all that they use at once
    config.overflow = POOL_OVERFLOW_REFUSE;
    struct pool *pool = open_blocks(&config);
    struct worker workers[WORKERS] = {0};
    for (int i = 0; i < WORKERS; i++) {
        workers[i].pool = pool;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, mix_sizes, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].nothing, 0);
    }
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.gets, WORKERS * 300 * 10);
    assert_int_equal(stats.puts, stats.gets);
    assert_true(stats.owned <= 40 && stats.peak_in_use <= 40);
    pool_close(pool);
}

// In the first destruct of a call that gives back, another thread gets.
struct interrupted {
    struct pool *pool;
    pthread_t giver;
    bool armed;
    void *object;
};

static void *get_its_object(void *argument)
{
    struct interrupted *call = argument;
    call->object = pool_get(call->pool);
    return NULL;
}

static void interrupt(void *context, void *object)
{
    struct interrupted *call = context;
    pthread_t getter;
    (void)object;
    if (!call->armed || !pthread_equal(pthread_self(), call->giver))
        return;
    call->armed = false;
    if (pthread_create(&getter, NULL, get_its_object, call) == 0)
        pthread_join(getter, NULL);
}

// The blocks that the call has not come to are there for the get: it makes none.
static void test_memory_goes_back_by_pieces(void **state)
{
    (void)state;
    enum { FREE = 3 * BLOCKS_CLEANUP_AT_ONCE };
    for (int resizes = 0; resizes < 2; resizes++) {
        struct interrupted call = {.giver = pthread_self()};
        struct pool_config config = config_of(1024, FREE, 0);
        config.destruct = interrupt;
        config.object_context = &call;
        call.pool = open_blocks(&config);
        call.armed = true;
        int64_t bytes = resizes ? pool_resize(call.pool, 1) : pool_trim(call.pool);
        assert_non_null(call.object);
        struct pool_stats stats = contract_counts(call.pool);
        assert_int_equal(stats.hits, 1);
        assert_int_equal(stats.misses, 0);
        assert_int_equal(stats.owned, 1);
        assert_int_equal(stats.shrinks, 1);
        assert_true(resizes ? bytes == 0 : bytes > (FREE - 1) * 1024);
        pool_put(call.pool, call.object);
        contract_close(call.pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_defaults_are_the_published_ones),
        cmocka_unit_test(test_a_block_fits_when_it_is_large_enough_and_not_wasted),
        cmocka_unit_test(test_the_block_used_last_is_served_first),
        cmocka_unit_test(test_the_search_finds_the_size_among_others),
        cmocka_unit_test(test_at_max_the_block_unused_longest_makes_way_for_another_size),
        cmocka_unit_test(test_a_thousand_get_and_return_cycles_are_hits),
        cmocka_unit_test(test_a_cleanup_leaves_a_third_in_use),
        cmocka_unit_test(test_cleanups_keep_their_interval_and_what_was_preheated),
        cmocka_unit_test(test_what_is_in_use_is_never_taken_for_expired),
        cmocka_unit_test(test_every_size_finds_its_class_among_many_free_blocks),
        cmocka_unit_test(test_gets_and_puts_clean_up_by_themselves),
        cmocka_unit_test(test_threads_of_many_sizes_stay_within_the_bound),
        cmocka_unit_test(test_memory_goes_back_by_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
