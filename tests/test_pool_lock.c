// SPDX-License-Identifier: Apache-2.0
#include "pools/shared/pool_lock.h"

#include "pools/pool_strategy.h"
#include "tests/pool_contract.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 20000 };

struct shared {
    struct pool_lock lock;
    int64_t count; // guarded by lock
    atomic_int waiting;
};

static void *count_up(void *argument)
{
    struct shared *shared = argument;
    for (int i = 0; i < ROUNDS; i++) {
        pool_lock_acquire(&shared->lock);
        shared->count++;
        pool_lock_release(&shared->lock);
    }
    return NULL;
}

static void check_exclusion(bool inherits)
{
    struct shared shared = {.count = 0};
    pool_lock_init(&shared.lock, inherits);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &shared), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(shared.count, (int64_t)THREADS * ROUNDS);
    assert_true(pool_lock_try(&shared.lock));
    assert_false(pool_lock_try(&shared.lock));
    pool_lock_release(&shared.lock);
}

static void test_one_at_a_time(void **state)
{
    (void)state;
    check_exclusion(false);
}

static void test_one_at_a_time_with_inheritance(void **state)
{
    (void)state;
    if (!pool_lock_can_inherit())
        skip();
    check_exclusion(true);
}

static void *yield_often(void *argument)
{
    struct shared *shared = argument;
    for (int i = 0; i < ROUNDS / 100; i++) {
        pool_lock_acquire(&shared->lock);
        shared->count++;
        pool_lock_yield(&shared->lock); // others may count meanwhile
        shared->count++;
        pool_lock_release_surely(&shared->lock);
    }
    return NULL;
}

static void test_a_holder_that_yields_has_the_lock_again(void **state)
{
    (void)state;
    for (int inherits = 0; inherits <= pool_lock_can_inherit(); inherits++) {
        struct shared shared = {.count = 0};
        pool_lock_init(&shared.lock, inherits);
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, i ? yield_often : count_up, &shared), 0);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(shared.count, ROUNDS + 3 * 2 * (ROUNDS / 100));
    }
}

static void *take_once(void *argument)
{
    struct shared *shared = argument;
    atomic_fetch_add(&shared->waiting, 1);
    pool_lock_acquire(&shared->lock);
    shared->count++;
    pool_lock_release(&shared->lock);
    return NULL;
}

// All sleep when the lock is let go, and one release wakes the first of them only.
static void check_sleepers(bool inherits)
{
    struct shared shared = {.count = 0};
    pool_lock_init(&shared.lock, inherits);
    pool_lock_acquire(&shared.lock);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_once, &shared), 0);
    while (atomic_load(&shared.waiting) < THREADS ||
           (!inherits && atomic_load(&shared.lock.waiting) != POOL_LOCK_SLEEPER))
        sched_yield();
    assert_int_equal(shared.count, 0);
    pool_lock_release(&shared.lock);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(shared.count, THREADS);
}

static void test_sleepers_wake_one_after_the_other(void **state)
{
    (void)state;
    check_sleepers(false);
    if (pool_lock_can_inherit())
        check_sleepers(true);
}

struct pair {
    struct pool *pool;
    atomic_bool stop;
    bool refused; // no real-time priority here
    int64_t got;
};

static void pin_to_the_first_processor(void)
{
    cpu_set_t allowed, one;
    CPU_ZERO(&one);
    assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed)) {
            CPU_SET(cpu, &one);
            break;
        }
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

static void *be_ordinary(void *argument)
{
    struct pair *pair = argument;
    pin_to_the_first_processor();
    while (!atomic_load(&pair->stop))
        pool_put(pair->pool, pool_get(pair->pool));
    return NULL;
}

// Between its calls it lets the ordinary thread run, which is then stopped anywhere, in the lock among
// others. A thread that yielded to lower priorities only in name would need seconds for each such call.
static void *be_real_time(void *argument)
{
    struct pair *pair = argument;
    const struct sched_param param = {.sched_priority = 1};
    pin_to_the_first_processor();
    pair->refused = pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) != 0;
    for (int i = 0; i < 3000 && !pair->refused; i++) {
        void *object = pool_get(pair->pool);
        pair->got += object != NULL;
        pool_put(pair->pool, object);
        usleep(1);
    }
    atomic_store(&pair->stop, true);
    return NULL;
}

static void test_a_real_time_thread_gets_on_beside_an_ordinary_one(void **state)
{
    (void)state;
    static const char *const names[] = {"fixed", "expand", "sync", "blocks", "slab"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        for (int inherits = 0; inherits < 2; inherits++) {
            struct pool_config config = contract_config(pool_strategy_find(names[i]), 64, 16, 0);
            if (i == 4) // at its bound each takes the other's row back
                config.initial = config.max = 1;
            config.lock_inherits_priority = inherits && pool_lock_can_inherit();
            struct pair pair = {.pool = contract_open(pool_strategy_find(names[i]), &config)};
            pthread_t ordinary, real_time;
            assert_int_equal(pthread_create(&ordinary, NULL, be_ordinary, &pair), 0);
            assert_int_equal(pthread_create(&real_time, NULL, be_real_time, &pair), 0);
            pthread_join(real_time, NULL);
            pthread_join(ordinary, NULL);
            assert_true(pair.refused || pair.got == 3000);
            contract_close(pair.pool);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_at_a_time),
        cmocka_unit_test(test_one_at_a_time_with_inheritance),
        cmocka_unit_test(test_a_holder_that_yields_has_the_lock_again),
        cmocka_unit_test(test_sleepers_wake_one_after_the_other),
        cmocka_unit_test(test_a_real_time_thread_gets_on_beside_an_ordinary_one),
    };
    return cmocka_run_group_tests_name("pool_lock", tests, NULL, NULL);
}
