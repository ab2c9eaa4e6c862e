// SPDX-License-Identifier: Apache-2.0
// Free objects, and what lies behind an object, are out of bounds under AddressSanitizer; other builds notice
// nothing.
#include "pools/shared/poison.h"

#include "tests/pool_contract.h"

#include <string.h>

#ifdef POISON_ASAN
static bool out_of_bounds(const void *at)
{
    return __asan_address_is_poisoned(at);
}
#else
static bool out_of_bounds(const void *at)
{
    (void)at;
    return false;
}
#endif

#ifdef POISON_ASAN
enum { WATCHED = 1 };
#else
enum { WATCHED = 0 };
#endif

static void test_memory_is_out_of_bounds_while_poisoned(void **state)
{
    (void)state;
    _Alignas(16) char memory[64] = {0};
    assert_false(out_of_bounds(memory));
    poison(memory, sizeof memory);
    assert_int_equal(out_of_bounds(memory + 63), WATCHED);
    unpoison(memory, 33);
    assert_false(out_of_bounds(memory + 32));
    assert_int_equal(out_of_bounds(memory + 33), WATCHED);
    unpoison(memory, sizeof memory);
    memset(memory, 1, sizeof memory);
    assert_false(out_of_bounds(memory + 63));
}

// `null` keeps its object in use for everybody, so it is not among them.
static void test_an_object_is_in_bounds_while_it_is_out_and_no_longer(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (pool_strategy_caps(strategy) & POOL_CAP_SHARES)
        return;
    struct pool_config config = contract_config(strategy, 100, 4, 0);
    struct pool *pool = contract_open(strategy, &config);
    for (int round = 0; round < 3; round++) {
        char *object = pool_get(pool);
        assert_non_null(object);
        for (int at = 0; at < 100; at++)
            assert_false(out_of_bounds(object + at));
        assert_int_equal(out_of_bounds(object + 100), WATCHED);
        pool_put(pool, object);
        assert_int_equal(out_of_bounds(object), WATCHED);
        assert_int_equal(out_of_bounds(object + 99), WATCHED);
    }
    contract_close(pool);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_out_of_bounds_while_poisoned),
        cmocka_unit_test(test_an_object_is_in_bounds_while_it_is_out_and_no_longer),
    };
    return contract_run("poison", tests, sizeof tests / sizeof tests[0]);
}
