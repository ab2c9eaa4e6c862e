// SPDX-License-Identifier: Apache-2.0
// What `slab` promises to several threads: what one caches or leaves behind is there for the others, and rows
// are taken back while their threads work.
#include "pools/pool_strategy.h"
#include "pools/slab/pool.h"
#include "tests/pool_contract.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { OBJECT_BYTES = 3072, HELD_MAX = 30 };

static struct pool_config config_of(int64_t initial, int64_t max)
{
    return contract_config(pool_strategy_find("slab"), OBJECT_BYTES, initial, max);
}

static struct pool *open_slab(const struct pool_config *config)
{
    return contract_open(pool_strategy_find("slab"), config);
}

struct holder {
    struct pool *pool;
    pthread_barrier_t *barrier;
    int count;
    void *objects[HELD_MAX];
    pthread_t thread;
};

// Gets, waits, puts: between the barriers it sits on what its row caches.
static void *hold(void *argument)
{
    struct holder *holder = argument;
    for (int i = 0; i < holder->count; i++)
        holder->objects[i] = pool_get(holder->pool);
    pthread_barrier_wait(holder->barrier);
    pthread_barrier_wait(holder->barrier);
    for (int i = 0; i < holder->count; i++)
        pool_put(holder->pool, holder->objects[i]);
    return NULL;
}

static void test_nobody_is_refused_while_an_idle_thread_sits_on_free_objects(void **state)
{
    (void)state;
    enum { MAX = 100, IDLERS = 4, EACH = 5 };
    struct pool_config config = config_of(MAX, MAX);
    config.overflow = POOL_OVERFLOW_REFUSE;
    struct pool *pool = open_slab(&config);
    pthread_barrier_t barrier;
    static struct holder idlers[IDLERS];
    static void *objects[MAX];
    assert_int_equal(pthread_barrier_init(&barrier, NULL, IDLERS + 1), 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < IDLERS; i++) {
            idlers[i].pool = pool;
            idlers[i].barrier = &barrier;
            idlers[i].count = EACH;
            assert_int_equal(pthread_create(&idlers[i].thread, NULL, hold, &idlers[i]), 0);
        }
        pthread_barrier_wait(&barrier);
        contract_get_many(pool, objects, MAX - IDLERS * EACH);
        assert_null(pool_get(pool));
        assert_int_equal(contract_counts(pool).in_use, MAX);
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < IDLERS; i++)
            assert_int_equal(pthread_join(idlers[i].thread, NULL), 0);
        contract_put_many(pool, objects, MAX - IDLERS * EACH);
        assert_int_equal(contract_counts(pool).in_use, 0);
        assert_int_equal(contract_counts(pool).peak_in_use, MAX);
    }
    pthread_barrier_destroy(&barrier);
    pool_close(pool);
}

static void test_what_an_exiting_thread_cached_is_there_for_others(void **state)
{
    (void)state;
    struct pool_config config = config_of(50, 50);
    config.overflow = POOL_OVERFLOW_REFUSE;
    struct pool *pool = open_slab(&config);
    pthread_barrier_t barrier;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, 1), 0);
    static struct holder passer;
    passer.pool = pool;
    passer.barrier = &barrier;
    passer.count = 30;
    for (int round = 0; round < 20; round++) {
        assert_int_equal(pthread_create(&passer.thread, NULL, hold, &passer), 0);
        assert_int_equal(pthread_join(passer.thread, NULL), 0);
        void *objects[50];
        contract_get_many(pool, objects, 50);
        contract_put_many(pool, objects, 50);
    }
    assert_int_equal(contract_counts(pool).refused, 0);
    assert_int_equal(contract_counts(pool).gets, 20 * 80);
    pthread_barrier_destroy(&barrier);
    pool_close(pool);
}

struct exchange {
    struct pool *pool;
    _Atomic(void *) slots[256];
    atomic_int wrong;
    int64_t rounds;
};

// Objects pass from thread to thread through slots; whoever takes one out finds what was written last.
static void *pass_on(void *argument)
{
    struct exchange *exchange = argument;
    uint64_t random = (uint64_t)(uintptr_t)&random;
    for (int64_t i = 0; i < exchange->rounds; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t *object = pool_get(exchange->pool);
        if (!object) {
            atomic_fetch_add(&exchange->wrong, 1);
            continue;
        }
        object[0] = object[OBJECT_BYTES / 8 - 1] = random;
        uint64_t *other = atomic_exchange(&exchange->slots[random >> 56], (void *)object);
        if (other && other[0] != other[OBJECT_BYTES / 8 - 1])
            atomic_fetch_add(&exchange->wrong, 1);
        if (other)
            pool_put(exchange->pool, other);
    }
    return NULL;
}

// Trim takes every row back while its owner works in it.
static void test_rows_are_taken_back_while_their_threads_work(void **state)
{
    (void)state;
    enum { WORKERS = 3 };
    struct pool_config config = config_of(64, 0);
    config.growth_mode = POOL_GROW_BACKGROUND;
    static struct exchange exchange;
    memset(&exchange, 0, sizeof exchange);
    exchange.pool = open_slab(&config);
    exchange.rounds = 20000;
    pthread_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&workers[i], NULL, pass_on, &exchange), 0);
    struct pool_stats stats = {0};
    while (stats.gets < WORKERS * exchange.rounds) {
        (void)pool_trim(exchange.pool);
        pool_stats(exchange.pool, &stats);
        sched_yield();
    }
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(workers[i], NULL), 0);
    for (int i = 0; i < 256; i++)
        pool_put(exchange.pool, exchange.slots[i]);
    assert_int_equal(atomic_load(&exchange.wrong), 0);
    stats = contract_counts(exchange.pool);
    assert_int_equal(stats.gets, WORKERS * exchange.rounds);
    assert_int_equal(stats.in_use, 0);
    pool_close(exchange.pool);
}

// The bound is reached and left again all the time, so exact mode and overflow objects come and go.
static void test_overflow_comes_and_goes_beside_the_work(void **state)
{
    (void)state;
    enum { WORKERS = 3 };
    static struct exchange exchange;
    for (int overflow = 0; overflow < 2; overflow++) {
        struct pool_config config = config_of(10, 200);
        memset(&exchange, 0, sizeof exchange);
        config.overflow = overflow ? POOL_OVERFLOW_REFUSE : POOL_OVERFLOW_HEAP;
        exchange.pool = open_slab(&config);
        exchange.rounds = 5000;
        pthread_t workers[WORKERS];
        for (int i = 0; i < WORKERS; i++)
            assert_int_equal(pthread_create(&workers[i], NULL, pass_on, &exchange), 0);
        for (int round = 0; round < 200; round++)
            for (int i = 0; i < 256; i++) // now and then they are all taken away
                pool_put(exchange.pool, round % 10 ? NULL : atomic_exchange(&exchange.slots[i], NULL));
        for (int i = 0; i < WORKERS; i++)
            assert_int_equal(pthread_join(workers[i], NULL), 0);
        for (int i = 0; i < 256; i++)
            pool_put(exchange.pool, exchange.slots[i]);
        struct pool_stats stats = contract_counts(exchange.pool);
        assert_int_equal(atomic_load(&exchange.wrong), stats.refused);
        assert_int_equal(stats.gets, WORKERS * exchange.rounds);
        assert_int_equal(stats.in_use, 0);
        assert_true(stats.owned <= 200);
        pool_close(exchange.pool);
    }
}

// What a get and put cost at the bound and after it: the hot path serves them, whatever is out.
static void test_rows_stay_open_while_overflow_is_out_and_after_the_bound_was_reached(void **state)
{
    (void)state;
    enum { MAX = 100 };
    for (int refuse = 0; refuse < 2; refuse++) {
        struct pool_config config = config_of(MAX, MAX);
        config.overflow = refuse ? POOL_OVERFLOW_REFUSE : POOL_OVERFLOW_HEAP;
        struct pool *pool = open_slab(&config);
        const struct slab_row *row = &pool->rows[thread_slot()];
        void *objects[MAX], *past_max;
        contract_get_many(pool, objects, MAX);
        past_max = pool_get(pool);
        assert_int_equal(past_max == NULL, refuse);
        assert_true(slab_known_empty(pool)); // and the next get need not search
        pool_put(pool, objects[0]);
        assert_false(slab_known_empty(pool));
        assert_true(row->exposed && row->hot.top > row->hot.low && row->hot.top < row->hot.high);
        objects[0] = pool_get(pool);
        assert_non_null(objects[0]);
        assert_int_equal(contract_counts(pool).overflow, !refuse);
        contract_put_many(pool, objects, MAX);
        pool_put(pool, past_max);
        pool_close(pool);
    }
}

// More threads than there are rows: the last ones have none.
static void test_more_threads_than_rows_get_their_objects(void **state)
{
    (void)state;
    enum { THREADS = 1060 };
    struct pool_config config = config_of(10, THREADS);
    config.object_bytes = 64;
    config.overflow = POOL_OVERFLOW_REFUSE;
    struct pool *pool = open_slab(&config);
    pthread_barrier_t barrier;
    pthread_attr_t small;
    static struct holder holders[THREADS];
    assert_int_equal(pthread_attr_init(&small), 0);
    assert_int_equal(pthread_attr_setstacksize(&small, 256 << 10), 0);
    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS + 1), 0);
    for (int i = 0; i < THREADS; i++) {
        holders[i] = (struct holder){.pool = pool, .barrier = &barrier, .count = 1};
        assert_int_equal(pthread_create(&holders[i].thread, &small, hold, &holders[i]), 0);
    }
    pthread_barrier_wait(&barrier);
    assert_null(pool_get(pool)); // each of them has one
    assert_int_equal(contract_counts(pool).in_use, THREADS);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(holders[i].thread, NULL), 0);
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.in_use, 0);
    assert_int_equal(stats.refused, 1);
    pthread_attr_destroy(&small);
    pthread_barrier_destroy(&barrier);
    pool_close(pool);
}

struct steady {
    struct pool *pool;
    pthread_barrier_t *barrier;
    int slow; // calls that the hot path did not serve
};

static void *get_and_put_one(void *argument)
{
    struct steady *steady = argument;
    pthread_barrier_wait(steady->barrier);
    for (int i = 0; i < 20000; i++)
        pool_put(steady->pool, pool_get(steady->pool));
    steady->slow = steady->pool->rows[pool_thread_slot_cached].exchanges;
    return NULL;
}

// A thread of real time that uses few objects meets no lock and no system call after its first get and put.
static void test_who_uses_one_object_leaves_the_hot_path_at_the_start_alone(void **state)
{
    (void)state;
    enum { THREADS = 2, FIRST_GET_AND_PUT = 2 };
    struct pool_config config = config_of(100, 0);
    struct pool *pool = open_slab(&config);
    pthread_barrier_t barrier;
    pthread_t threads[THREADS];
    struct steady steady[THREADS];
    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++) {
        steady[i] = (struct steady){.pool = pool, .barrier = &barrier};
        assert_int_equal(pthread_create(&threads[i], NULL, get_and_put_one, &steady[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    // Where rows are locked each call comes to the slow half.
    for (int i = 0; i < THREADS && !contract_stats(pool).locked_rows; i++)
        assert_in_range(steady[i].slow, 1, FIRST_GET_AND_PUT + 2); // and two more for a peak
    pthread_barrier_destroy(&barrier);
    contract_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_uses_one_object_leaves_the_hot_path_at_the_start_alone),
        cmocka_unit_test(test_nobody_is_refused_while_an_idle_thread_sits_on_free_objects),
        cmocka_unit_test(test_what_an_exiting_thread_cached_is_there_for_others),
        cmocka_unit_test(test_rows_are_taken_back_while_their_threads_work),
        cmocka_unit_test(test_rows_stay_open_while_overflow_is_out_and_after_the_bound_was_reached),
        cmocka_unit_test(test_more_threads_than_rows_get_their_objects),
        cmocka_unit_test(test_overflow_comes_and_goes_beside_the_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
