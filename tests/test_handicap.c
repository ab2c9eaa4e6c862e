// SPDX-License-Identifier: Apache-2.0
// The handicaps' bookkeeping, compiled with one whatever this build has: who bears it and how often. How much
// time it takes is for scripts/poolmark sensitivity.
#undef POOLMARK_HANDICAP_GET
#undef POOLMARK_HANDICAP_BYTES
#define POOLMARK_HANDICAP_GET 5
#define POOLMARK_HANDICAP_BYTES 2
#include "pools/handicap.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void one_get_in_so_many_bears_it(void **state)
{
    (void)state;
    handicap_spin(0); // begins a round
    for (int round = 0; round < 3; round++) {
        for (int get = 1; get < HANDICAP_EVERY; get++) {
            handicap_bear(1);
            assert_int_equal(handicap_countdown, HANDICAP_EVERY - get);
        }
        handicap_bear(1);
        assert_int_equal(handicap_countdown, HANDICAP_EVERY);
    }
}

static void objects_get_larger_by_the_percentage_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(handicap_object_bytes(3072), 3072 + 62);
    assert_int_equal(handicap_object_bytes(100), 102);
    assert_int_equal(handicap_object_bytes(1), 2);
}

static void every_strategy_gets_a_chain(void **state)
{
    (void)state;
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = "handicapped";
    config.object_bytes = 64;
    for (const struct pool_strategy *const *strategy = pool_strategies(); *strategy; strategy++)
        assert_true(handicap_spin_rounds(*strategy, &config) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_get_in_so_many_bears_it),
        cmocka_unit_test(objects_get_larger_by_the_percentage_rounded_up),
        cmocka_unit_test(every_strategy_gets_a_chain),
    };
    return cmocka_run_group_tests_name("handicap", tests, NULL, NULL);
}
