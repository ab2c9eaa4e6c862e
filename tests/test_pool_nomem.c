// SPDX-License-Identifier: Apache-2.0
// When memory runs out: with each request failing in turn, by itself and with all after it. That nothing
// leaks is for the address sanitizer to say.
#include "tests/pool_contract.h"

#include "pools/pool_strategy.h"

#include <errno.h>

enum { OBJECTS = 60, OBJECT_BYTES = 50000, MARKED_BYTES = 400 };

static struct pool_config config_for(const struct pool_strategy *strategy)
{
    return contract_config(strategy, OBJECT_BYTES, 10, 0);
}

// True once the whole operation came by with fewer requests than `nth`.
static bool was_reached(int64_t nth)
{
    return pool_memory_fail_after(-1, false) > nth;
}

static void check_open(const struct pool_strategy *strategy, const struct pool_config *config, bool stay)
{
    for (int64_t nth = 0;; nth++) {
        struct pool *pool = NULL;
        struct err err = {0};
        pool_memory_fail_after(nth, stay);
        int code = pool_open(&pool, strategy, config, &err);
        bool reached = was_reached(nth);
        if (!reached) {
            assert_true(nth > 0);
            assert_int_equal(code, 0);
            contract_close(pool);
            return;
        }
        assert_int_equal(code, -ENOMEM);
        assert_null(pool);
        assert_string_not_equal(err.text, "");
    }
}

static void test_open_without_memory_undoes_everything(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = config_for(strategy);
    check_open(strategy, &config, false);
    check_open(strategy, &config, true);
    config.growth_mode = POOL_GROW_BACKGROUND;
    pool_config_fit(strategy, &config);
    check_open(strategy, &config, false);
}

static void test_preheat_without_memory_undoes_everything(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = config_for(strategy);
    if (!(pool_strategy_caps(strategy) & POOL_CAP_PREHEATS))
        return;
    for (int stay = 0; stay < 2; stay++) {
        struct pool *pool = contract_open(strategy, &config);
        bool reached = true;
        for (int64_t nth = 0; reached; nth++) {
            struct pool_stats before = contract_stats(pool);
            pool_memory_fail_after(nth, stay);
            int code = pool_preheat(pool, 50);
            reached = was_reached(nth);
            struct pool_stats after = contract_stats(pool);
            assert_int_equal(code, reached ? -ENOMEM : 0);
            if (reached)
                assert_int_equal(after.owned, before.owned);
            else
                assert_true(after.owned >= before.owned + 50);
        }
        contract_close(pool);
    }
}

// Gets as many as it can while the nth request and all after it fail; what it got must be whole, and a get
// that gave NULL is a failed one.
static int64_t get_while_failing(struct pool *pool, int64_t nth, void **objects)
{
    int64_t failed = 0;
    pool_memory_fail_after(nth, true);
    for (uint32_t i = 0; i < OBJECTS; i++) {
        objects[i] = pool_get(pool);
        if (objects[i])
            contract_mark(objects[i], MARKED_BYTES, i);
        else
            failed++;
    }
    return failed;
}

static void test_a_get_without_memory_gives_null_and_is_counted(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = config_for(strategy);
    bool shares = pool_strategy_caps(strategy) & POOL_CAP_SHARES;
    bool reached = true;
    for (int64_t nth = 0; reached; nth++) {
        struct pool *pool = contract_open(strategy, &config);
        void *objects[OBJECTS];
        int64_t failed = get_while_failing(pool, nth, objects);
        reached = was_reached(nth);
        assert_int_equal(contract_stats(pool).failed, failed);
        assert_true(reached || failed == 0);
        if (nth == 0 && reached) // and all after it failed: what was there before did not last for all
            assert_true(failed > 0);
        for (uint32_t i = 0; i < OBJECTS; i++)
            if (objects[i] && !shares)
                assert_true(contract_is_marked(objects[i], MARKED_BYTES, i));
        for (int i = 0; i < OBJECTS; i++)
            pool_put(pool, objects[i]);
        contract_close(pool);
    }
}

static void test_a_single_failure_is_got_over(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = config_for(strategy);
    bool reached = true;
    for (int64_t nth = 0; reached; nth++) {
        struct pool *pool = contract_open(strategy, &config);
        void *objects[OBJECTS];
        int64_t failed = 0;
        pool_memory_fail_after(nth, false);
        for (int i = 0; i < OBJECTS; i++)
            failed += (objects[i] = pool_get(pool)) == NULL;
        reached = was_reached(nth);
        assert_true(failed <= 1);
        assert_int_equal(contract_stats(pool).failed, failed);
        for (int i = 0; i < OBJECTS; i++)
            pool_put(pool, objects[i]);
        contract_close(pool);
    }
}

static void test_puts_sweeps_and_trims_do_without_memory(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = config_for(strategy);
    struct pool *pool = contract_open(strategy, &config);
    void *objects[OBJECTS];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < OBJECTS; i++) {
            objects[i] = pool_get(pool);
            assert_non_null(objects[i]);
        }
        pool_memory_fail_after(0, true);
        for (int i = 0; i < OBJECTS; i++)
            pool_put(pool, objects[i]);
        pool_sweep(pool);
        pool_trim(pool);
        pool_memory_fail_after(-1, false);
        assert_int_equal(contract_stats(pool).in_use, 0);
    }
    contract_close(pool);
}

// Not made piece by piece until the system has nothing left, and ends the process.
static void test_more_than_the_machine_has_is_refused_before_anything_is_made(void **state)
{
    enum { REQUESTS_MAX = 20 }; // so that a failure of this test takes no memory to speak of
    const struct pool_strategy *strategy = *state;
    unsigned wanted = POOL_CAP_PREHEATS | POOL_CAP_SHRINKS; // the others ask for all of it at once
    if ((pool_strategy_caps(strategy) & wanted) != wanted)
        return;
    struct pool_config config = contract_config(strategy, POOL_OBJECT_BYTES_MAX, 0, 0);
    struct pool *pool = contract_open(strategy, &config);
    pool_memory_fail_after(REQUESTS_MAX, true);
    int code = pool_preheat(pool, POOL_COUNT_MAX);
    int64_t requests = pool_memory_fail_after(-1, false);
    assert_int_equal(code, -ENOMEM);
    assert_int_equal(requests, 0);
    assert_int_equal(contract_stats(pool).owned, 0);
    contract_close(pool);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_without_memory_undoes_everything),
        cmocka_unit_test(test_preheat_without_memory_undoes_everything),
        cmocka_unit_test(test_a_get_without_memory_gives_null_and_is_counted),
        cmocka_unit_test(test_a_single_failure_is_got_over),
        cmocka_unit_test(test_puts_sweeps_and_trims_do_without_memory),
        cmocka_unit_test(test_more_than_the_machine_has_is_refused_before_anything_is_made),
    };
    return contract_run("pool_nomem", tests, sizeof tests / sizeof tests[0]);
}
