// SPDX-License-Identifier: Apache-2.0
// How many gets are overflow follows from the order of gets and puts, for every strategy with a bound: not from when the
// pool's own thread ran. That thread is held in the construct of the first object that it makes.
#include "tests/held_construct.h"
#include "tests/pool_contract.h"

#include "pools/pool_strategy.h"

#include <stdlib.h>
#include <time.h>

enum { INITIAL = 1000, MAX = 2000, OUT = 4000, THREADS = 4, SIZE = 64 };
enum { NEVER = OUT };

static struct held_construct held;

static bool is_bounded(const struct pool_strategy *strategy)
{
    return strategy->caps & POOL_CAP_BOUNDED;
}

// The thread of such a pool makes objects as soon as the trigger is reached; all that `max` allows, when so many are in
// use.
static bool grows_ahead(const struct pool_strategy *strategy)
{
    return (strategy->caps & POOL_CAP_BACKGROUND) && !(strategy->caps & POOL_CAP_AS_NEEDED);
}

// Strategies that do not grow own their bound from the start.
static struct pool *open_pool(const struct pool_strategy *strategy, enum pool_overflow overflow, bool holds)
{
    struct pool_config config =
        contract_config(strategy, SIZE, strategy->caps & POOL_CAP_GROWS ? INITIAL : MAX, MAX);
    config.growth_mode = POOL_GROW_DEFAULT;
    config.overflow = overflow;
    if (holds) {
        config.construct = held_construct;
        config.object_context = &held;
    }
    (void)pool_config_fit(strategy, &config);
    struct pool *pool = contract_open(strategy, &config);
    atomic_store(&held.holds, holds && grows_ahead(strategy));
    return pool;
}

static void await_owned(struct pool *pool, int64_t owned)
{
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    struct pool_stats stats = {0};
    for (int i = 0; i < 60 * 1000 && stats.owned < owned; i++) {
        pool_stats(pool, &stats);
        nanosleep(&pause, NULL);
    }
    assert_int_equal(stats.owned, owned);
}

// From now on the pool's thread is held no more.
static void let_it_grow(struct pool *pool, bool is_due)
{
    const struct pool_strategy *strategy = pool_strategy_of(pool);
    bool is_held = is_due && grows_ahead(strategy);
    while (is_held && sem_wait(&held.reached) != 0)
        ;
    if (!is_held)
        atomic_store(&held.holds, false);
    else
        sem_post(&held.go);
    if (is_held)
        await_owned(pool, MAX);
}

static void assert_overflow(struct pool *pool, int64_t overflow, int64_t others)
{
    struct pool_stats stats = contract_counts(pool);
    bool bounded = is_bounded(pool_strategy_of(pool));
    assert_int_equal(stats.overflow, bounded ? overflow : 0);
    assert_int_equal(stats.hits + stats.misses, bounded ? others : others + overflow);
    assert_int_equal(stats.in_use, OUT);
    assert_true(stats.owned <= MAX || !bounded);
}

// The thread goes on after so many gets.
static void check_counts(const struct pool_strategy *strategy, int64_t released_after)
{
    static void *objects[OUT];
    struct pool *pool = open_pool(strategy, POOL_OVERFLOW_HEAP, true);
    contract_get_many(pool, objects, released_after);
    if (released_after < NEVER)
        let_it_grow(pool, released_after > 0);
    contract_get_many(pool, objects + released_after, OUT - released_after);
    assert_overflow(pool, OUT - MAX, MAX);
    // Of those that are no overflow some are from the heap: their places are free for others again.
    contract_put_many(pool, objects + 500, 1000);
    contract_get_many(pool, objects + 500, 1000);
    assert_overflow(pool, OUT - MAX, MAX + 1000);
    contract_put_many(pool, objects + 2500, 1000);
    contract_get_many(pool, objects + 2500, 1000);
    assert_overflow(pool, OUT - MAX + 1000, MAX + 1000);
    if (released_after == NEVER)
        let_it_grow(pool, true);
    assert_overflow(pool, OUT - MAX + 1000, MAX + 1000);
    contract_put_many(pool, objects, OUT);
    contract_get_many(pool, objects, OUT);
    assert_overflow(pool, 2 * (OUT - MAX) + 1000, 2 * MAX + 1000);
    contract_put_many(pool, objects, OUT);
    contract_close(pool);
}

static void test_overflow_is_what_is_beyond_max_whenever_the_thread_ran(void **state)
{
    const int64_t released_after[] = {0, 1500, 2500, NEVER};
    for (size_t i = 0; i < sizeof released_after / sizeof released_after[0]; i++)
        check_counts(*state, released_after[i]);
}

// Also where the growth gave more than the bound leaves: what came too late for a miss waits until the miss is back.
static void test_refused_is_what_is_beyond_max_whenever_the_thread_ran(void **state)
{
    const struct pool_strategy *strategy = *state;
    static void *objects[MAX];
    if (!is_bounded(strategy))
        return;
    for (int64_t released_after = 1500; released_after <= MAX; released_after += 500) {
        struct pool *pool = open_pool(strategy, POOL_OVERFLOW_REFUSE, true);
        contract_get_many(pool, objects, released_after);
        let_it_grow(pool, true);
        contract_get_many(pool, objects + released_after, MAX - released_after);
        assert_null(pool_get(pool));
        pool_put(pool, objects[INITIAL + 200]);
        contract_get_many(pool, objects + INITIAL + 200, 1);
        assert_null(pool_get(pool));
        assert_int_equal(contract_counts(pool).refused, 2);
        contract_put_many(pool, objects, MAX);
        contract_close(pool);
    }
}

// A miss for which there was no memory leaves no trace in the bound.
static void test_gets_that_failed_while_growth_was_due_are_no_overflow(void **state)
{
    const struct pool_strategy *strategy = *state;
    static void *objects[OUT];
    if (!grows_ahead(strategy))
        return;
    struct pool *pool = open_pool(strategy, POOL_OVERFLOW_HEAP, true);
    contract_get_many(pool, objects, INITIAL);
    while (sem_wait(&held.reached) != 0)
        ;
    pool_memory_fail_after(0, true);
    for (int i = 0; i < 100; i++)
        assert_null(pool_get(pool));
    pool_memory_fail_after(-1, false);
    contract_get_many(pool, objects + INITIAL, OUT - INITIAL);
    assert_int_equal(contract_counts(pool).failed, 100);
    assert_overflow(pool, OUT - MAX, MAX);
    sem_post(&held.go);
    await_owned(pool, MAX);
    contract_put_many(pool, objects, OUT);
    contract_close(pool);
}

struct share {
    struct pool *pool;
    pthread_barrier_t *all;
    void *objects[OUT / THREADS];
};

static void *get_share(void *argument)
{
    struct share *share = argument;
    pthread_barrier_wait(share->all);
    for (int i = 0; i < OUT / THREADS; i++)
        share->objects[i] = pool_get(share->pool);
    pthread_barrier_wait(share->all);
    for (int i = 0; i < OUT / THREADS; i++)
        pool_put(share->pool, share->objects[i]);
    return NULL;
}

// By threads that get at the same time, while the pool grows.
static void check_threads(const struct pool_strategy *strategy, enum pool_overflow overflow)
{
    static struct share shares[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t all;
    struct pool *pool = open_pool(strategy, overflow, false);
    assert_int_equal(pthread_barrier_init(&all, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++) {
        shares[i].pool = pool;
        shares[i].all = &all;
        assert_int_equal(pthread_create(&threads[i], NULL, get_share, &shares[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all);
    struct pool_stats stats = contract_counts(pool);
    int64_t past = is_bounded(strategy) ? OUT - MAX : 0;
    assert_int_equal(overflow == POOL_OVERFLOW_HEAP ? stats.overflow : stats.refused, past);
    assert_int_equal(stats.hits + stats.misses, OUT - past);
    contract_close(pool);
}

static void test_it_is_the_same_by_threads_that_get_at_once(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (strategy->caps & POOL_CAP_SHARES)
        return;
    for (int round = 0; round < 5; round++) {
        check_threads(strategy, POOL_OVERFLOW_HEAP);
        if (is_bounded(strategy))
            check_threads(strategy, POOL_OVERFLOW_REFUSE);
    }
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overflow_is_what_is_beyond_max_whenever_the_thread_ran),
        cmocka_unit_test(test_refused_is_what_is_beyond_max_whenever_the_thread_ran),
        cmocka_unit_test(test_gets_that_failed_while_growth_was_due_are_no_overflow),
        cmocka_unit_test(test_it_is_the_same_by_threads_that_get_at_once),
    };
    if (held_construct_open(&held) != 0)
        return EXIT_FAILURE;
    return contract_run("pool_overflow", tests, sizeof tests / sizeof tests[0]);
}
