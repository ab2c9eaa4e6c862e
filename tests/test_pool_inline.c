// SPDX-License-Identifier: Apache-2.0
// The fast path that callers compile in: with every strategy, mixed with calls, from C and from C++, and
// where it has to stand back.
#include "pools/shared/poison.h"
#include "pools/pool_inline.h"
#include "pools/pool_strategy.h"
#include "tests/inline_cpp.h"
#include "tests/pool_contract.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { OBJECT_BYTES = 256, MANY = 500, WORKERS = 3, ROUNDS = 30000, SLOTS = 64 };

#if defined(POOLMARK_CHECK) || defined(POOLMARK_HANDICAP_GET) || defined(POISON_ASAN) ||                     \
    defined(POISON_VALGRIND)
enum { SLAB_HAS_IT = 0 };
#else
enum { SLAB_HAS_IT = 1 };
#endif

static const struct pool_strategy *slab(void)
{
    return pool_strategy_find("slab");
}

static void test_calls_and_the_fast_path_may_be_mixed(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, OBJECT_BYTES, 600, 0);
    struct pool *pool = contract_open(strategy, &config);
    struct pool_inline inlined;
    int code = pool_inline_open(&inlined, pool);
    assert_int_equal(code, strategy == slab() && SLAB_HAS_IT ? 0 : -ENOTSUP);
    static void *objects[MANY];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            objects[i] = (i + round) % 2 ? pool_inline_get(&inlined) : pool_get(pool);
            assert_non_null(objects[i]);
            contract_mark(objects[i], OBJECT_BYTES, (uint32_t)i);
        }
        for (int i = 0; i < MANY; i++) {
            if (!(strategy->caps & POOL_CAP_SHARES))
                assert_true(contract_is_marked(objects[i], OBJECT_BYTES, (uint32_t)i));
            if (i % 3)
                pool_inline_put(&inlined, objects[i]);
            else
                pool_put(pool, objects[i]);
        }
        pool_inline_put(&inlined, NULL);
    }
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.gets, 3 * MANY);
    assert_int_equal(stats.puts, 3 * MANY);
    assert_int_equal(inline_cpp_round(pool, MANY), MANY);
    assert_int_equal(contract_counts(pool).puts, 4 * MANY);
    pool_close(pool);
}

static void test_a_program_in_cpp_opens_a_pool_with_the_defaults(void **state)
{
    (void)state;
    struct err err = {0};
    struct pool *pool = inline_cpp_open("slab", &err);
    assert_non_null(pool);
    assert_int_equal(inline_cpp_round(pool, 10), 10);
    pool_close(pool);
}

static void test_another_version_of_the_header_gets_calls(void **state)
{
    (void)state;
    struct pool_config config = contract_config(slab(), OBJECT_BYTES, 10, 0);
    struct pool *pool = contract_open(slab(), &config);
    struct pool_inline inlined;
    assert_int_equal(inline_cpp_version(), POOL_INLINE_VERSION);
    assert_int_equal(pool_inline_open_version(&inlined, pool, POOL_INLINE_VERSION + 1), -ENOTSUP);
    void *object = pool_inline_get(&inlined);
    assert_non_null(object);
    pool_inline_put(&inlined, object);
    assert_int_equal(contract_counts(pool).puts, 1);
    pool_close(pool);
}

static void count_reset(void *context, void *object)
{
    (void)object;
    (*(int *)context)++;
}

static void test_reset_runs_in_each_put(void **state)
{
    (void)state;
    int resets = 0;
    struct pool_config config = contract_config(slab(), OBJECT_BYTES, 10, 0);
    config.reset = count_reset;
    config.object_context = &resets;
    struct pool *pool = contract_open(slab(), &config);
    struct pool_inline inlined;
    assert_int_equal(pool_inline_open(&inlined, pool), -ENOTSUP);
    for (int i = 0; i < 5; i++)
        pool_inline_put(&inlined, pool_inline_get(&inlined));
    assert_int_equal(resets, 5);
    pool_close(pool);
}

static void test_a_pool_that_drains_gives_nothing(void **state)
{
    (void)state;
    struct pool_config config = contract_config(slab(), OBJECT_BYTES, 100, 0);
    struct pool *pool = contract_open(slab(), &config);
    struct pool_inline inlined;
    (void)pool_inline_open(&inlined, pool);
    void *objects[20];
    for (int i = 0; i < 20; i++)
        assert_non_null(objects[i] = pool_inline_get(&inlined));
    for (int i = 0; i < 10; i++)
        pool_inline_put(&inlined, objects[i]); // they lie in the row
    assert_true(pool_drain(pool) >= 0);
    assert_null(pool_inline_get(&inlined));
    for (int i = 10; i < 20; i++)
        pool_inline_put(&inlined, objects[i]);
    assert_null(pool_inline_get(&inlined));
    assert_int_equal(contract_counts(pool).owned, 0);
    pool_close(pool);
}

struct exchange {
    struct pool *pool;
    _Atomic(void *) slots[SLOTS];
    atomic_int wrong;
};

static void *pass_on(void *argument)
{
    struct exchange *exchange = argument;
    struct pool_inline inlined;
    (void)pool_inline_open(&inlined, exchange->pool);
    uint64_t random = (uint64_t)(uintptr_t)&random;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t *object = pool_inline_get(&inlined);
        object[0] = object[OBJECT_BYTES / 8 - 1] = random;
        uint64_t *other = atomic_exchange(&exchange->slots[random >> 58], (void *)object);
        if (other && other[0] != other[OBJECT_BYTES / 8 - 1])
            atomic_fetch_add(&exchange->wrong, 1);
        pool_inline_put(&inlined, other);
    }
    return NULL;
}

// At the bound and beyond, so that overflow objects pass through as well, and rows are taken back.
static void test_threads_pass_objects_on(void **state)
{
    (void)state;
    static struct exchange exchange;
    memset(&exchange, 0, sizeof exchange);
    struct pool_config config = contract_config(slab(), OBJECT_BYTES, 10, SLOTS - 4);
    exchange.pool = contract_open(slab(), &config);
    pthread_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&workers[i], NULL, pass_on, &exchange), 0);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(workers[i], NULL), 0);
    for (int i = 0; i < SLOTS; i++)
        pool_put(exchange.pool, exchange.slots[i]);
    assert_int_equal(atomic_load(&exchange.wrong), 0);
    struct pool_stats stats = contract_counts(exchange.pool);
    assert_int_equal(stats.gets, WORKERS * ROUNDS);
    assert_int_equal(stats.in_use, 0);
    assert_true(stats.peak_in_use <= SLOTS + WORKERS);
    pool_close(exchange.pool);
}

int main(void)
{
    struct CMUnitTest each[] = {cmocka_unit_test(test_calls_and_the_fast_path_may_be_mixed)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_program_in_cpp_opens_a_pool_with_the_defaults),
        cmocka_unit_test(test_another_version_of_the_header_gets_calls),
        cmocka_unit_test(test_reset_runs_in_each_put),
        cmocka_unit_test(test_a_pool_that_drains_gives_nothing),
        cmocka_unit_test(test_threads_pass_objects_on),
    };
    int failed = contract_run("inline", each, sizeof each / sizeof each[0]);
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
