// SPDX-License-Identifier: Apache-2.0
// Every strategy of ours keeps every promise of pools/contract, and a strategy that does not is found.
#include "pools/contract/contract.h"

#include "pools/pool_strategy.h"
#include "tests/pool_contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROMISES_MAX = 64 };

struct test_case {
    const struct pool_strategy *strategy;
    const struct promise *promise;
};

static void test_the_promise_is_kept(void **state)
{
    const struct test_case *one = *state;
    char why[PROMISE_WHY_SIZE];
    if (promise_check(one->promise, one->strategy, why, sizeof why) == PROMISE_BROKEN)
        fail_msg("%s: %s", pool_strategy_name(one->strategy), why);
}

static int run_promises(const struct pool_strategy *strategy, const char *how)
{
    struct CMUnitTest tests[PROMISES_MAX];
    struct test_case cases[PROMISES_MAX];
    const struct promise *promise;
    char group[64];
    size_t count = 0;
    for (; (promise = promise_at(count)); count++) {
        cases[count] = (struct test_case){strategy, promise};
        tests[count] =
            (struct CMUnitTest){promise->name, test_the_promise_is_kept, NULL, NULL, &cases[count]};
    }
    snprintf(group, sizeof group, "pool_contract_%s%s", pool_strategy_name(strategy), how);
    return _cmocka_run_group_tests(group, tests, count, NULL, NULL);
}

static const struct pool_strategy *by_factor;

// The strategy's pools grow by the load, whatever the config says.
static int open_by_load(struct pool **pool, const struct pool_config *config, struct err *err)
{
    struct pool_config changed = *config;
    changed.growth_rule = POOL_RULE_ADAPTIVE;
    return by_factor->open(pool, &changed, err);
}

static int test_every_strategy(void)
{
    int failed = 0;
    for (const struct pool_strategy *const *strategy = pool_strategies(); *strategy; strategy++) {
        failed += run_promises(*strategy, "");
        if (!(pool_strategy_caps(*strategy) & POOL_CAP_ADAPTS))
            continue;
        struct pool_strategy by_load = *(by_factor = *strategy);
        by_load.open = open_by_load;
        failed += run_promises(&by_load, "_adaptive");
    }
    return failed;
}

static void test_each_strategy_has_a_name_and_a_line_about_itself(void **state)
{
    (void)state;
    for (const struct pool_strategy *const *strategy = pool_strategies(); *strategy; strategy++) {
        assert_ptr_equal(pool_strategy_find(pool_strategy_name(*strategy)), *strategy);
        assert_true(strlen(pool_strategy_summary(*strategy)) > 10);
        assert_null(strchr(pool_strategy_summary(*strategy), '\n'));
    }
}

// --- strategies that break a promise: malloc with one function changed ---------------------------------------

static struct pool_strategy changed_malloc(void)
{
    return *pool_strategy_find("malloc");
}

static const struct promise *promise_called(const char *name)
{
    const struct promise *promise;
    size_t at = 0;
    while ((promise = promise_at(at)) && strcmp(promise->name, name) != 0)
        at++;
    assert_non_null(promise);
    return promise;
}

static void assert_broken(const char *name, const struct pool_strategy *strategy, const char *words)
{
    char why[PROMISE_WHY_SIZE];
    assert_int_equal(promise_check(promise_called(name), strategy, why, sizeof why), PROMISE_BROKEN);
    if (!strstr(why, words))
        fail_msg("\"%s\" does not say \"%s\"", why, words);
}

static void count_twice(struct pool *pool, struct pool_stats *stats)
{
    pool_strategy_find("malloc")->stats(pool, stats);
    stats->gets *= 2;
}

static void test_counts_that_do_not_add_up_are_found(void **state)
{
    (void)state;
    struct pool_strategy strategy = changed_malloc();
    strategy.stats = count_twice;
    assert_broken("statistics_add_up", &strategy,
                  "gets (300) are not hits (0) + misses (150) + overflow (0) + refused (0) + failed (0)");
}

static _Alignas(16) char memory[70000];

static void *get_odd(struct pool *pool)
{
    static int next;
    (void)pool;
    return memory + 8 + next++ % 4000 * 16;
}

static void keep_nothing(struct pool *pool, void *object)
{
    (void)pool, (void)object;
}

static void test_an_address_that_is_not_aligned_is_found(void **state)
{
    (void)state;
    struct pool_strategy strategy = changed_malloc();
    strategy.get = get_odd;
    strategy.put = keep_nothing;
    assert_broken("objects_are_aligned_distinct_and_writable_to_the_last_byte", &strategy,
                  "no multiple of 16");
}

static void *get_shared(struct pool *pool)
{
    (void)pool;
    return memory;
}

static void test_one_object_for_two_owners_is_found(void **state)
{
    (void)state;
    struct pool_strategy strategy = changed_malloc();
    strategy.get = get_shared;
    strategy.put = keep_nothing;
    assert_broken("objects_are_aligned_distinct_and_writable_to_the_last_byte", &strategy, "");
    assert_broken("threads_never_share_an_object", &strategy, "");
}

static void *get_nothing(struct pool *pool)
{
    (void)pool;
    return NULL;
}

static void *get_and_die(struct pool *pool)
{
    (void)pool;
    abort();
}

static void test_a_refusal_and_a_crash_are_found_and_the_next_check_runs(void **state)
{
    (void)state;
    struct pool_strategy strategy = changed_malloc();
    strategy.get = get_nothing;
    assert_broken("two_pools_of_a_strategy_do_not_mix", &strategy,
                  "get gave NULL, and nothing forbids an object");
    strategy.get = get_and_die;
    assert_broken("two_pools_of_a_strategy_do_not_mix", &strategy, "the process ended by signal 6 (Aborted)");
    strategy = changed_malloc();
    char why[PROMISE_WHY_SIZE];
    assert_int_equal(promise_check(promise_called("statistics_add_up"), &strategy, why, sizeof why),
                     PROMISE_KEPT);
    assert_string_equal(why, "");
}

static void test_a_promise_about_what_it_cannot_do_is_not_made(void **state)
{
    (void)state;
    char why[PROMISE_WHY_SIZE];
    assert_int_equal(promise_check(promise_called("past_the_bound_a_get_is_refused"),
                                   pool_strategy_find("malloc"), why, sizeof why),
                     PROMISE_NOT_MADE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_strategy_has_a_name_and_a_line_about_itself),
        cmocka_unit_test(test_counts_that_do_not_add_up_are_found),
        cmocka_unit_test(test_an_address_that_is_not_aligned_is_found),
        cmocka_unit_test(test_one_object_for_two_owners_is_found),
        cmocka_unit_test(test_a_refusal_and_a_crash_are_found_and_the_next_check_runs),
        cmocka_unit_test(test_a_promise_about_what_it_cannot_do_is_not_made),
    };
    return test_every_strategy() + cmocka_run_group_tests(tests, NULL, NULL);
}
