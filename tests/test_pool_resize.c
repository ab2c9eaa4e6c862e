// SPDX-License-Identifier: Apache-2.0
// A bound that falls and rises again while objects are out.
#include "tests/pool_contract.h"

#include "pools/pool_strategy.h"

#include <pthread.h>
#include <stdatomic.h>

enum { OBJECT_BYTES = 3072, MAX = 20 };

static bool resizes(const struct pool_strategy *strategy)
{
    unsigned wanted = POOL_CAP_RESIZES | POOL_CAP_BOUNDED | POOL_CAP_PREHEATS;
    return (strategy->caps & wanted) == wanted;
}

static struct pool *open_refusing(const struct pool_strategy *strategy)
{
    struct pool_config config = contract_config(strategy, OBJECT_BYTES, MAX / 2, MAX);
    config.overflow = POOL_OVERFLOW_REFUSE;
    struct pool *pool = contract_open(strategy, &config);
    assert_int_equal(pool_preheat(pool, MAX / 2), 0);
    return pool;
}

// With so many of 20 out, some of them put back in between, and the rest put at the end.
static void check(const struct pool_strategy *strategy, int64_t out, int64_t low, int64_t put)
{
    struct pool *pool = open_refusing(strategy);
    void *objects[MAX];
    contract_get_many(pool, objects, out);
    assert_int_equal(pool_resize(pool, low), 0);
    int64_t left = out - put;
    contract_put_many(pool, objects + left, put);
    for (; left < low; left++) {
        objects[left] = pool_get(pool);
        assert_non_null(objects[left]);
    }
    assert_null(pool_get(pool));
    assert_int_equal(pool_resize(pool, MAX), 0);
    for (; left < MAX; left++) {
        objects[left] = pool_get(pool);
        assert_non_null(objects[left]);
    }
    assert_null(pool_get(pool));
    contract_put_many(pool, objects, MAX);
    contract_get_many(pool, objects, MAX);
    assert_null(pool_get(pool));
    contract_put_many(pool, objects, MAX);
    contract_close(pool);
}

static void test_all_objects_are_of_use_again(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!resizes(strategy))
        return;
    for (int64_t out = 0; out <= MAX; out += 4)
        for (int64_t low = 4; low < MAX; low += 4)
            for (int64_t put = 0; put <= out; put += 4)
                check(strategy, out, low, put);
}

struct shared {
    struct pool *pool;
    atomic_bool stop;
};

static void *get_and_put(void *argument)
{
    struct shared *shared = argument;
    while (!atomic_load(&shared->stop)) {
        void *objects[4];
        int got = 0;
        for (int i = 0; i < 4; i++) {
            objects[got] = pool_get(shared->pool);
            got += objects[got] != NULL;
        }
        while (got)
            pool_put(shared->pool, objects[--got]);
    }
    return NULL;
}

static void test_threads_at_work_lose_none(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!resizes(strategy))
        return;
    struct shared shared = {.pool = open_refusing(strategy)};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_and_put, &shared), 0);
    int failed = 0;
    for (int round = 0; round < 300; round++)
        failed += pool_resize(shared.pool, round % 2 ? MAX : 4) != 0;
    atomic_store(&shared.stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(failed, 0);
    void *objects[MAX];
    contract_get_many(shared.pool, objects, MAX);
    assert_null(pool_get(shared.pool));
    contract_put_many(shared.pool, objects, MAX);
    assert_true(contract_stats(shared.pool).peak_in_use == MAX);
    contract_close(shared.pool);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_objects_are_of_use_again),
        cmocka_unit_test(test_threads_at_work_lose_none),
    };
    return contract_run("pool_resize", tests, sizeof tests / sizeof tests[0]);
}
