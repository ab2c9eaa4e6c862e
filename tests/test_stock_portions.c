// SPDX-License-Identifier: Apache-2.0
// `fixed` and `expand` look through their free objects by portions when they have to own less. Between two of them others
// have the lock: the pause is taken over here.
#include "tests/pool_contract.h"

#include "pools/pool_strategy.h"
#include "pools/strategies/stock_batch.h"

enum { BATCH = 1000, BATCHES = 20, ALL = BATCH * BATCHES, KEPT = 5 * BATCH };

static struct pool *pool;
static int pauses, most_sorted, least_left;
static void (*in_the_pause)(void);

void __wrap_stock_pause_locked(struct stock *stock);

void __wrap_stock_pause_locked(struct stock *stock)
{
    void (*act)(void) = in_the_pause;
    int left = (int)stock->unsorted_count;
    pauses++;
    if (least_left > 0 && least_left - left > most_sorted)
        most_sorted = least_left - left;
    least_left = left;
    pool_lock_release(&stock->lock);
    if (act)
        act();
    pool_lock_acquire(&stock->lock);
}

static void open_pool(const char *name)
{
    const struct pool_strategy *strategy = pool_strategy_find(name);
    struct pool_config config = contract_config(strategy, 64, 0, ALL);
    pool = contract_open(strategy, &config);
    for (int i = 0; i < BATCHES; i++)
        assert_int_equal(pool_preheat(pool, BATCH), 0);
    pauses = most_sorted = least_left = 0;
    in_the_pause = NULL;
}

static int64_t owned(void)
{
    return contract_stats(pool).owned;
}

static void *objects[ALL];
static int out;

static void get_one(void)
{
    void *object = pool_get(pool); // may come here again, in a pause
    assert_non_null(object);
    objects[out++] = object;
}

// All objects were free once, so that they are in the stack and no reserve.
static void use_all(void)
{
    out = 0;
    while (out < ALL)
        get_one();
    contract_put_many(pool, objects, out);
    assert_int_equal(contract_stats(pool).overflow, 0);
    out = 0;
}

static void test_others_get_between_portions(void **state)
{
    open_pool(*state);
    use_all();
    in_the_pause = get_one;
    assert_int_equal(pool_resize(pool, KEPT), 0);
    in_the_pause = NULL;
    assert_true(pauses >= ALL / STOCK_SORT_MOST - 1);
    assert_in_range(most_sorted, 1, STOCK_SORT_MOST);
    assert_true(out > 0);
    assert_int_equal(owned(), KEPT);
    assert_int_equal(contract_stats(pool).hits, ALL + out);
    contract_put_many(pool, objects, out);
    assert_int_equal(owned(), KEPT);
    contract_close(pool);
}

static void raise_the_bound(void)
{
    in_the_pause = NULL;
    assert_int_equal(pool_resize(pool, ALL), 0);
}

static void test_a_bound_raised_between_portions_keeps_all(void **state)
{
    open_pool(*state);
    use_all();
    in_the_pause = raise_the_bound;
    assert_int_equal(pool_resize(pool, KEPT), 0);
    assert_true(pauses > 0);
    assert_int_equal(owned(), ALL);
    use_all();
    assert_int_equal(owned(), ALL);
    contract_close(pool);
}

static void drain(void)
{
    in_the_pause = NULL;
    (void)pool_drain(pool);
}

static void test_a_drain_between_portions_ends_with_nothing(void **state)
{
    open_pool(*state);
    use_all();
    in_the_pause = drain;
    assert_int_equal(pool_resize(pool, KEPT), 0);
    assert_null(pool_get(pool));
    (void)pool_sweep(pool);
    assert_int_equal(owned(), 0);
    contract_close(pool);
}

// An object of each batch is out, so that none can go, and all others are at home.
static void test_many_that_are_taken_back_are_sorted_by_portions(void **state)
{
    open_pool(*state);
    use_all();
    while (out < ALL)
        get_one();
    for (int i = 0; i < ALL; i++)
        if (i % (BATCH / 2) != 7)
            pool_put(pool, objects[i]);
    assert_int_equal(pool_resize(pool, 1), 0);
    assert_int_equal(owned(), ALL);
    pauses = most_sorted = least_left = 0;
    assert_int_equal(pool_resize(pool, ALL), 0);
    assert_true(pauses >= BATCHES - 1);
    for (int i = 7; i < ALL; i += BATCH / 2)
        pool_put(pool, objects[i]);
    use_all();
    assert_int_equal(owned(), ALL);
    contract_close(pool);
}

static int run(char *strategy)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_others_get_between_portions),
        cmocka_unit_test(test_a_bound_raised_between_portions_keeps_all),
        cmocka_unit_test(test_a_drain_between_portions_ends_with_nothing),
        cmocka_unit_test(test_many_that_are_taken_back_are_sorted_by_portions),
    };
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tests[i].initial_state = strategy;
    return _cmocka_run_group_tests(strategy, tests, sizeof tests / sizeof tests[0], NULL, NULL);
}

int main(void)
{
    char fixed[] = "fixed", expand[] = "expand";
    return run(fixed) + run(expand);
}
