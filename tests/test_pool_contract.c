// SPDX-License-Identifier: Apache-2.0
// What every strategy promises to one thread. See tests/pool_contract.h.
#include "tests/pool_contract.h"

#include "pools/pool_strategy.h"
#include "tests/pool_events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MANY = 150 };

static const size_t sizes[] = {1, 16, 24, 100, 256, 3072, 4096, 70000};

static void test_objects_are_aligned_distinct_and_writable_to_the_last_byte(void **state)
{
    const struct pool_strategy *strategy = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct pool_config config = contract_config(strategy, sizes[i], 10, 0);
        struct pool *pool = contract_open(strategy, &config);
        void *objects[MANY];
        contract_get_many(pool, objects, MANY);
        for (uint32_t n = 0; n < MANY; n++) {
            assert_int_equal((uintptr_t)objects[n] % 16, 0);
            contract_mark(objects[n], sizes[i], n);
        }
        for (uint32_t n = 0; n < MANY && !contract_can(pool, POOL_CAP_SHARES); n++)
            assert_true(contract_is_marked(objects[n], sizes[i], n));
        contract_put_many(pool, objects, MANY);
        contract_close(pool);
    }
}

static void test_statistics_add_up(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 200, 0, 0);
    struct pool *pool = contract_open(strategy, &config);
    void *objects[MANY];
    struct pool_stats stats = contract_stats(pool);
    assert_int_equal(stats.gets, 0);
    assert_int_equal(stats.peak_in_use, 0);
    contract_get_many(pool, objects, MANY);
    stats = contract_stats(pool);
    assert_int_equal(stats.gets, MANY);
    assert_int_equal(stats.in_use, MANY);
    assert_int_equal(stats.peak_in_use, MANY);
    contract_put_many(pool, objects, MANY - 10);
    contract_get_many(pool, objects, 5);
    stats = contract_stats(pool);
    assert_int_equal(stats.gets, MANY + 5);
    assert_int_equal(stats.puts, MANY - 10);
    assert_int_equal(stats.in_use, 15);
    assert_int_equal(stats.peak_in_use, MANY);
    assert_int_equal(stats.refused + stats.failed, 0);
    contract_put_many(pool, objects, 5);
    contract_put_many(pool, objects + MANY - 10, 10);
    contract_close(pool);
}

static void test_putting_null_is_nothing(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 200, 0, 0);
    struct pool *pool = contract_open(strategy, &config);
    pool_put(pool, NULL);
    assert_int_equal(contract_stats(pool).puts, 0);
    contract_close(pool);
    pool_close(NULL);
}

static void test_other_sizes_are_served_as_the_flags_say(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 1000, 0, 0);
    struct pool *pool = contract_open(strategy, &config);
    void *small = pool_get_bytes(pool, 1), *whole = pool_get_bytes(pool, 1000);
    assert_non_null(small);
    assert_non_null(whole);
    contract_mark(whole, 1000, 7);
    void *large = pool_get_bytes(pool, 5000);
    if (contract_can(pool, POOL_CAP_SIZED)) {
        assert_non_null(large);
        contract_mark(large, 5000, 8);
        assert_true(contract_is_marked(whole, 1000, 7));
        assert_null(pool_get_bytes(pool, POOL_OBJECT_BYTES_MAX + 1));
    } else {
        assert_null(large);
    }
    pool_put(pool, small);
    pool_put(pool, whole);
    pool_put(pool, large);
    contract_close(pool);
}

static void test_preheat_makes_objects_ready_or_says_it_cannot(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 500, 40, 0);
    struct pool *pool = contract_open(strategy, &config);
    if (!contract_can(pool, POOL_CAP_PREHEATS)) {
        assert_int_equal(pool_preheat(pool, 1), -ENOTSUP);
        contract_close(pool);
        return;
    }
    void *objects[40];
    assert_true(contract_stats(pool).owned >= 40);
    contract_get_many(pool, objects, 20);
    assert_int_equal(contract_stats(pool).hits, 20);
    contract_put_many(pool, objects, 20);
    int64_t owned = contract_stats(pool).owned;
    assert_int_equal(pool_preheat(pool, 0), 0);
    assert_int_equal(pool_preheat(pool, 40), 0);
    assert_true(contract_stats(pool).owned >= owned + 40);
    contract_get_many(pool, objects, 40);
    assert_int_equal(contract_stats(pool).hits, 60);
    contract_put_many(pool, objects, 40);
    assert_int_equal(pool_preheat(pool, -1), -ERANGE);
    contract_close(pool);
}

static void test_preheat_keeps_to_max(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 500, 10, 30);
    struct pool *pool = contract_open(strategy, &config);
    if (contract_can(pool, POOL_CAP_PREHEATS | POOL_CAP_BOUNDED)) {
        int64_t owned = contract_stats(pool).owned;
        assert_int_equal(pool_preheat(pool, 31 - owned), -ERANGE);
        assert_int_equal(contract_stats(pool).owned, owned);
        assert_int_equal(pool_preheat(pool, 30 - owned), 0);
        assert_int_equal(contract_stats(pool).owned, 30);
    }
    contract_close(pool);
}

// Before anything is written to them, the kernel has pages behind objects that were made with touch.
static void test_touched_objects_have_their_pages(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 8192, 32, 0);
    config.touch = true;
    struct pool *pool = contract_open(strategy, &config);
    if (contract_can(pool, POOL_CAP_PREHEATS)) {
        void *objects[16];
        contract_get_many(pool, objects, 16);
        for (int i = 0; i < 16; i++) {
            unsigned char resident[3];
            uintptr_t first = (uintptr_t)objects[i] & ~(uintptr_t)4095;
            size_t bytes = (uintptr_t)objects[i] + config.object_bytes - first;
            assert_int_equal(mincore((void *)first, bytes, resident), 0);
            for (size_t page = 0; page < (bytes + 4095) / 4096; page++)
                assert_true(resident[page] & 1);
        }
        contract_put_many(pool, objects, 16);
    }
    contract_close(pool);
}

// Strategies that do not grow own their bound from the start.
static struct pool_config bounded_config(const struct pool_strategy *strategy, int64_t max,
                                         enum pool_overflow overflow)
{
    bool grows = pool_strategy_caps(strategy) & POOL_CAP_GROWS;
    struct pool_config config = contract_config(strategy, 300, grows ? max / 4 : max, max);
    config.overflow = overflow;
    pool_config_fit(strategy, &config);
    return config;
}

static void test_past_the_bound_malloc_serves(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!(pool_strategy_caps(strategy) & POOL_CAP_BOUNDED))
        return;
    struct pool_config config = bounded_config(strategy, 20, POOL_OVERFLOW_HEAP);
    struct pool *pool = contract_open(strategy, &config);
    void *objects[50];
    for (int round = 0; round < 3; round++) {
        contract_get_many(pool, objects, 50);
        for (uint32_t i = 0; i < 50; i++)
            contract_mark(objects[i], config.object_bytes, i);
        for (uint32_t i = 0; i < 50; i++)
            assert_true(contract_is_marked(objects[i], config.object_bytes, i));
        struct pool_stats stats = contract_stats(pool);
        assert_int_equal(stats.overflow, (round + 1) * 30);
        assert_int_equal(stats.in_use, 50);
        assert_int_equal(stats.owned, 20);
        if (round == 1) // the overflow first, then last
            contract_put_many(pool, objects, 50);
        else
            for (int i = 49; i >= 0; i--)
                pool_put(pool, objects[i]);
    }
    contract_close(pool);
}

static void test_past_the_bound_a_get_is_refused(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!(pool_strategy_caps(strategy) & POOL_CAP_BOUNDED))
        return;
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = bounded_config(strategy, 20, POOL_OVERFLOW_REFUSE);
    config.listener = pool_events_listen;
    config.listener_context = &events;
    struct pool *pool = contract_open(strategy, &config);
    void *objects[20];
    for (int run = 1; run <= 3; run++) {
        contract_get_many(pool, objects, 20);
        for (int i = 0; i < 5; i++)
            assert_null(pool_get(pool));
        struct pool_stats stats = contract_stats(pool);
        assert_int_equal(stats.refused, run * 5);
        assert_int_equal(stats.in_use, 20);
        assert_int_equal(stats.peak_in_use, 20);
        assert_int_equal(stats.overflow, 0);
        assert_int_equal(pool_events_count(&events, POOL_EVENT_REFUSE), run); // once a run, not each
        contract_put_many(pool, objects, 20);
    }
    contract_close(pool);
}

static void test_every_expansion_is_an_event(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = contract_config(strategy, 3072, 4, 0);
    config.listener = pool_events_listen;
    config.listener_context = &events;
    struct pool *pool = contract_open(strategy, &config);
    void *objects[MANY];
    contract_get_many(pool, objects, MANY);
    struct pool_stats stats = contract_stats(pool);
    assert_int_equal(stats.expansions, pool_events_count(&events, POOL_EVENT_EXPAND));
    if (contract_can(pool, POOL_CAP_GROWS)) {
        assert_true(stats.expansions > 0);
        assert_true(stats.longest_expansion_ns > 0);
        assert_true(stats.owned >= MANY);
        for (int i = 0; i < events.count && events.events[i].kind == POOL_EVENT_EXPAND; i++)
            assert_true(events.events[i].to > events.events[i].from);
        assert_string_equal(events.pool_name, "contract");
    }
    contract_put_many(pool, objects, MANY);
    contract_close(pool);
}

static void test_trim_and_sweep_give_back_and_leave_a_working_pool(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 3072, 0, 0);
    struct pool *pool = contract_open(strategy, &config);
    void *objects[MANY];
    for (int round = 0; round < 3; round++) {
        contract_get_many(pool, objects, MANY);
        contract_put_many(pool, objects + 10, MANY - 10);
        struct pool_stats before = contract_stats(pool);
        assert_true(pool_sweep(pool) >= 0);
        int64_t given_back = pool_trim(pool);
        struct pool_stats after = contract_stats(pool);
        assert_true(after.owned <= before.owned);
        if (contract_can(pool, POOL_CAP_SHRINKS)) {
            assert_true(given_back > 0);
            assert_true(after.bytes_owned < before.bytes_owned);
            assert_true(after.owned >= 10);
        } else {
            assert_int_equal(given_back, 0);
            assert_int_equal(after.owned, before.owned);
        }
        for (uint32_t i = 0; i < 10; i++)
            contract_mark(objects[i], 3072, i);
        contract_put_many(pool, objects, 10);
    }
    pool_trim(pool);
    contract_close(pool);
}

static void test_a_pool_can_be_opened_and_closed_again_and_again(void **state)
{
    const struct pool_strategy *strategy = *state;
    for (int time = 0; time < 50; time++) {
        struct pool_config config = contract_config(strategy, 256, 8, 0);
        config.growth_mode = time % 2 ? POOL_GROW_BACKGROUND : POOL_GROW_INLINE;
        pool_config_fit(strategy, &config);
        struct pool *pool = contract_open(strategy, &config);
        void *objects[20];
        contract_get_many(pool, objects, time % 20);
        contract_put_many(pool, objects, time % 20);
        contract_close(pool);
    }
}

static void test_two_pools_of_a_strategy_do_not_mix(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config_a = contract_config(strategy, 64, 8, 0),
                       config_b = contract_config(strategy, 640, 8, 0);
    struct pool *a = contract_open(strategy, &config_a), *b = contract_open(strategy, &config_b);
    void *from_a[30], *from_b[30];
    for (int round = 0; round < 3; round++) {
        contract_get_many(a, from_a, 30);
        contract_get_many(b, from_b, 30);
        for (uint32_t i = 0; i < 30; i++) {
            contract_mark(from_a[i], 64, i);
            contract_mark(from_b[i], 640, i + 100);
        }
        for (uint32_t i = 0; i < 30 && !contract_can(a, POOL_CAP_SHARES); i++) {
            assert_true(contract_is_marked(from_a[i], 64, i));
            assert_true(contract_is_marked(from_b[i], 640, i + 100));
        }
        contract_put_many(b, from_b, 30);
        contract_put_many(a, from_a, 30);
    }
    assert_int_equal(contract_stats(a).gets, 90);
    contract_close(a);
    contract_close(b);
}

static void test_the_config_is_remembered_as_asked_for(void **state)
{
    const struct pool_strategy *strategy = *state;
    char name[] = "written over";
    struct pool_config config = contract_config(strategy, 77, 3, 9);
    config.name = name;
    struct pool *pool = contract_open(strategy, &config);
    memset(name, 'x', sizeof name - 1);
    assert_string_equal(pool_config_of(pool)->name, "written over");
    assert_int_equal(pool_config_of(pool)->object_bytes, 77);
    assert_int_equal(pool_config_of(pool)->initial, config.initial);
    assert_int_equal(pool_config_of(pool)->max, config.max);
    assert_ptr_equal(pool_strategy_of(pool), strategy);
    contract_close(pool);
}

static void test_it_has_a_name_and_a_line_about_itself(void **state)
{
    const struct pool_strategy *strategy = *state;
    assert_ptr_equal(pool_strategy_find(pool_strategy_name(strategy)), strategy);
    assert_true(strlen(pool_strategy_summary(strategy)) > 10);
    assert_null(strchr(pool_strategy_summary(strategy), '\n'));
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_are_aligned_distinct_and_writable_to_the_last_byte),
        cmocka_unit_test(test_statistics_add_up),
        cmocka_unit_test(test_putting_null_is_nothing),
        cmocka_unit_test(test_other_sizes_are_served_as_the_flags_say),
        cmocka_unit_test(test_preheat_makes_objects_ready_or_says_it_cannot),
        cmocka_unit_test(test_preheat_keeps_to_max),
        cmocka_unit_test(test_touched_objects_have_their_pages),
        cmocka_unit_test(test_past_the_bound_malloc_serves),
        cmocka_unit_test(test_past_the_bound_a_get_is_refused),
        cmocka_unit_test(test_every_expansion_is_an_event),
        cmocka_unit_test(test_trim_and_sweep_give_back_and_leave_a_working_pool),
        cmocka_unit_test(test_a_pool_can_be_opened_and_closed_again_and_again),
        cmocka_unit_test(test_two_pools_of_a_strategy_do_not_mix),
        cmocka_unit_test(test_the_config_is_remembered_as_asked_for),
        cmocka_unit_test(test_it_has_a_name_and_a_line_about_itself),
    };
    return contract_run("pool_contract", tests, sizeof tests / sizeof tests[0]);
}
