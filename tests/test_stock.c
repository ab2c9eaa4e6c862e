// SPDX-License-Identifier: Apache-2.0
#include "pools/strategies/stock.h"

#include "tests/pool_events.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BYTES = 40 };

static struct stock *open_stock(void)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    struct stock *stock = aligned_alloc(alignof(struct stock), sizeof *stock);
    assert_non_null(stock);
    struct err err = {0};
    config.object_bytes = BYTES;
    assert_int_equal(stock_open(stock, &config, &err), 0);
    return stock;
}

static void close_stock(struct stock *stock)
{
    assert_true(stock_is_valid(stock));
    stock_close(stock);
    free(stock);
}

static void *pop(struct stock *stock)
{
    uint32_t number;
    void *object = stock_pop(stock, &number, false);
    if (!object && stock_pop_few(stock, &number, false))
        object = stock_object(stock, number);
    if (!object) {
        pool_lock_acquire(&stock->lock);
        assert_true(stock_pop_locked(stock, &number));
        object = number == FREE_STACK_NONE ? NULL : stock_object(stock, number);
        stock_settle_locked(stock);
        pool_lock_release(&stock->lock);
    }
    return object ? stock_hand_out(stock, object) : NULL;
}

static void pop_many(struct stock *stock, void **objects, int count)
{
    for (int i = 0; i < count; i++) {
        objects[i] = pop(stock);
        assert_non_null(objects[i]);
        memset(objects[i], i, BYTES);
    }
    assert_true(stock_is_valid(stock));
}

static void put_many(struct stock *stock, void **objects, int count)
{
    for (int i = 0; i < count; i++)
        stock_put(stock, objects[i], false);
    assert_true(stock_is_valid(stock));
}

static void test_an_empty_stock_gives_nothing(void **state)
{
    (void)state;
    struct stock *stock = open_stock();
    assert_null(pop(stock));
    close_stock(stock);
}

static void test_batches_are_used_up_and_refilled_across_their_borders(void **state)
{
    (void)state;
    struct stock *stock = open_stock();
    void *objects[60];
    const int64_t counts[] = {5, 1, 20, 34};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(stock_preheat(stock, counts[i]), 0);
    for (int round = 1; round <= 60; round++) {
        pop_many(stock, objects, round);
        put_many(stock, objects, round);
    }
    pop_many(stock, objects, 60);
    assert_null(pop(stock));
    for (int i = 59; i >= 0; i--) // and back in the other order
        stock_put(stock, objects[i], false);
    close_stock(stock);
}

static void test_a_batch_joins_while_objects_are_out(void **state)
{
    (void)state;
    struct stock *stock = open_stock();
    void *objects[30];
    assert_int_equal(stock_preheat(stock, 10), 0);
    pop_many(stock, objects, 7);
    assert_int_equal(stock_preheat(stock, 20), 0);
    pop_many(stock, objects + 7, 23);
    assert_null(pop(stock));
    put_many(stock, objects, 30);
    close_stock(stock);
}

static void test_the_last_put_is_the_first_popped(void **state)
{
    (void)state;
    struct stock *stock = open_stock();
    void *objects[8];
    assert_int_equal(stock_preheat(stock, 8), 0);
    pop_many(stock, objects, 8);
    put_many(stock, objects, 8);
    assert_ptr_equal(pop(stock), objects[7]);
    assert_ptr_equal(pop(stock), objects[6]);
    stock_put(stock, objects[6], false);
    stock_put(stock, objects[7], false);
    close_stock(stock);
}

static void test_strays_are_told_from_its_own(void **state)
{
    (void)state;
    struct stock *stock = open_stock();
    void *objects[40];
    for (int batch = 0; batch < 40; batch++) // more than the array of batches has room for at first
        assert_int_equal(stock_preheat(stock, 1), 0);
    pop_many(stock, objects, 40);
    pool_lock_acquire(&stock->lock);
    assert_true(stock_reserve_miss_locked(stock));
    pool_lock_release(&stock->lock);
    void *stray = stock_make_miss(stock);
    assert_non_null(stray);
    assert_false(stock_owns(stock, stray));
    for (int i = 0; i < 40; i++)
        assert_true(stock_owns(stock, objects[i]));
    assert_false(stock_owns(stock, stock));
    put_many(stock, objects, 20);
    stock_put(stock, stray, false);
    put_many(stock, objects + 20, 20);
    struct pool_stats stats = {0};
    stock_stats(stock, &stats);
    assert_int_equal(stats.misses, 1);
    assert_int_equal(stats.hits, 40);
    assert_int_equal(stats.puts, 41);
    assert_int_equal(stats.owned, 40);
    assert_int_equal(stats.peak_in_use, 41);
    close_stock(stock);
}

static void test_what_is_planned_counts_towards_the_bound(void **state)
{
    (void)state;
    struct stock *stock = open_stock();
    assert_int_equal(stock_resize(stock, 10), 0);
    pool_lock_acquire(&stock->lock);
    assert_true(stock_plan_locked(stock, 6));
    assert_false(stock_plan_locked(stock, 5));
    assert_true(stock_plan_locked(stock, 4));
    pool_lock_release(&stock->lock);
    assert_int_equal(stock_preheat(stock, 1), -ERANGE);
    pool_memory_fail_after(0, true);
    assert_int_equal(stock_grow(stock, 6), -ENOMEM);
    pool_memory_fail_after(-1, false);
    assert_int_equal(stock_grow(stock, 4), 0);
    assert_int_equal(stock_preheat(stock, 6), 0);
    assert_int_equal(stock_preheat(stock, 1), -ERANGE);
    close_stock(stock);
}

static void test_past_the_bound_the_policy_decides(void **state)
{
    (void)state;
    struct stock *stock = open_stock();
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.listener = pool_events_listen;
    config.listener_context = &events;
    pool_lock_acquire(&stock->lock);
    void *stray = stock_past_bound_unlock(stock, &config);
    assert_non_null(stray);
    stock_put(stock, stray, false);
    config.overflow = POOL_OVERFLOW_REFUSE;
    for (int i = 0; i < 3; i++) {
        pool_lock_acquire(&stock->lock);
        assert_null(stock_past_bound_unlock(stock, &config));
    }
    assert_int_equal(pool_events_count(&events, POOL_EVENT_REFUSE), 1); // a run of refusals is one event
    pool_lock_acquire(&stock->lock);
    stock->refusing = false;
    assert_null(stock_past_bound_unlock(stock, &config));
    assert_int_equal(pool_events_count(&events, POOL_EVENT_REFUSE), 2);
    assert_int_equal(stock->refused, 4);
    assert_int_equal(stock->overflow, 1);
    close_stock(stock);
}

static void test_more_objects_than_numbers_are_refused_in_words(void **state)
{
    (void)state;
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.object_bytes = BYTES;
    config.max = POOL_COUNT_MAX;
    static const char *const names[] = {"fixed", "expand"};
    for (int i = 0; i < 2; i++) {
        struct pool *pool;
        struct err err = {0};
        assert_int_equal(pool_open(&pool, pool_strategy_find(names[i]), &config, &err), -EINVAL);
        assert_non_null(strstr(err.text, "max is 4294967296"));
        assert_non_null(strstr(err.text, "at most 4294967040"));
    }
    struct stock *stock = open_stock();
    assert_int_equal(stock_preheat(stock, STOCK_COUNT_MAX + 1), -ERANGE);
    close_stock(stock);
}

// Long after a wrap of the tag, of which the lock's holder heard in time.
static void test_pops_are_counted_past_a_wrap_of_the_tag(void **state)
{
    (void)state;
    struct stock *stock = open_stock();
    void *objects[10];
    struct pool_stats stats = {0};
    assert_int_equal(stock_preheat(stock, 10), 0);
    pop_many(stock, objects, 10);
    put_many(stock, objects, 10);
    uint64_t head = atomic_load(&stock->free.head);
    const uint32_t jump = STOCK_POPS_A_COUNT - 15;
    for (uint64_t wraps = 0; wraps < 8; wraps++) { // 2^30 pops each, and then some that are made
        head = atomic_load(&stock->free.head);
        atomic_store(&stock->free.head, head + ((uint64_t)jump << 32));
        for (int i = 0; i < 15; i++) {
            void *object = pop(stock);
            assert_non_null(object);
            stock_put(stock, object, false);
        }
    }
    stock_stats(stock, &stats);
    assert_int_equal(stats.hits, 10 + 8 * (int64_t)STOCK_POPS_A_COUNT);
    assert_int_equal(stats.in_use, 0);
    close_stock(stock);
}

// A batch of one object takes the numbers of a whole segment, and the stack keeps what they have written.
static void test_the_numbers_of_tiny_batches_are_counted(void **state)
{
    (void)state;
    enum { BATCHES = 64 };
    const int64_t entries = BATCHES * FREE_STACK_SEGMENT * (int64_t)sizeof(uint64_t);
    struct stock *stock = open_stock();
    struct pool_stats empty = {0}, full = {0}, drained = {0};
    stock_stats(stock, &empty);
    for (int i = 0; i < BATCHES; i++)
        assert_int_equal(stock_preheat(stock, 1), 0);
    stock_stats(stock, &full);
    assert_int_equal(full.owned, BATCHES);
    assert_true(full.bytes_owned >= empty.bytes_owned + entries + BATCHES * BYTES);
    assert_int_equal(full.bytes_owned - full.overhead_bytes, BATCHES * BYTES);
    (void)stock_drain(stock);
    stock_stats(stock, &drained);
    assert_int_equal(drained.owned, 0);
    assert_true(drained.bytes_owned >= empty.bytes_owned + entries);
    assert_true(drained.bytes_owned < full.bytes_owned);
    close_stock(stock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_numbers_of_tiny_batches_are_counted),
        cmocka_unit_test(test_an_empty_stock_gives_nothing),
        cmocka_unit_test(test_batches_are_used_up_and_refilled_across_their_borders),
        cmocka_unit_test(test_a_batch_joins_while_objects_are_out),
        cmocka_unit_test(test_the_last_put_is_the_first_popped),
        cmocka_unit_test(test_strays_are_told_from_its_own),
        cmocka_unit_test(test_what_is_planned_counts_towards_the_bound),
        cmocka_unit_test(test_past_the_bound_the_policy_decides),
        cmocka_unit_test(test_more_objects_than_numbers_are_refused_in_words),
        cmocka_unit_test(test_pops_are_counted_past_a_wrap_of_the_tag),
    };
    return cmocka_run_group_tests_name("stock", tests, NULL, NULL);
}
