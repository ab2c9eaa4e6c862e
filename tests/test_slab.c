// SPDX-License-Identifier: Apache-2.0
// What `slab` promises beyond the contract that tests/test_pool_contract.c holds all strategies to: where
// objects lie, growth, running out of memory, and memory given back.
#include "pools/shared/poison.h"
#include "pools/pool_strategy.h"
#include "tests/pool_contract.h"
#include "tests/pool_events.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { OBJECT_BYTES = 3072, STRIDE = 3136, MANY = 5000 };

static struct pool_config config_of(int64_t initial, int64_t max)
{
    return contract_config(pool_strategy_find("slab"), OBJECT_BYTES, initial, max);
}

static struct pool *open_slab(const struct pool_config *config)
{
    return contract_open(pool_strategy_find("slab"), config);
}

// --- where objects lie ----------------------------------------------------------------------------------

static void test_objects_are_an_odd_number_of_cache_lines_apart(void **state)
{
    (void)state;
    struct pool_config config = config_of(400, 0);
    struct pool *pool = open_slab(&config);
    static void *objects[400];
    contract_get_many(pool, objects, 400);
    for (int i = 1; i < 400; i++) {
        intptr_t apart = (intptr_t)objects[i] - (intptr_t)objects[0];
        assert_int_equal(apart % STRIDE, 0);
        assert_true(apart / STRIDE > -668 && apart / STRIDE < 668); // of one slab
        assert_int_equal((uintptr_t)objects[i] % 64, 0);
    }
    contract_put_many(pool, objects, 400);
    pool_close(pool);
}

static void test_a_small_pool_takes_little_memory(void **state)
{
    (void)state;
    struct pool_config config = config_of(10, 0);
    struct pool *pool = open_slab(&config);
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.owned, 10);
    assert_true(stats.bytes_owned < 160 * 1024);
    assert_int_equal(stats.bytes_owned - stats.overhead_bytes, 10 * OBJECT_BYTES);
    pool_close(pool);
}

static int64_t address_space_pages(void)
{
    long long pages;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lld", &pages), 1);
    fclose(file);
    return pages;
}

// So it opens where address space is limited (ulimit -v).
static void test_an_empty_pool_reserves_little_address_space(void **state)
{
    (void)state;
    struct pool_config config = config_of(0, 0);
    int64_t before = address_space_pages();
    struct pool *pool = open_slab(&config);
    assert_in_range(address_space_pages() - before, 0, (4 << 20) / 4096);
    pool_close(pool);
}

// Whoever touches an object that he has put is caught by AddressSanitizer; Valgrind is told the same.
static void test_free_objects_are_poisoned(void **state)
{
    (void)state;
    struct pool_config config = config_of(10, 0);
    struct pool *pool = open_slab(&config);
    char *object = pool_get(pool);
    assert_non_null(object);
    object[OBJECT_BYTES - 1] = 1;
    pool_put(pool, object);
#ifdef POISON_ASAN
    assert_int_equal(__asan_address_is_poisoned(object), 1);
    assert_int_equal(__asan_address_is_poisoned(object + OBJECT_BYTES - 1), 1);
#endif
    assert_ptr_equal(pool_get(pool), object);
    object[0] = object[OBJECT_BYTES - 1] = 1;
    pool_put(pool, object);
    pool_close(pool);
}

// --- growing --------------------------------------------------------------------------------------------

static void test_one_thread_sets_growth_off_at_exactly_the_trigger(void **state)
{
    (void)state;
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = config_of(1024, 0);
    config.listener = pool_events_listen;
    config.listener_context = &events;
    struct pool *pool = open_slab(&config);
    static void *objects[2000];
    contract_get_many(pool, objects, 818);
    assert_int_equal(events.count, 0);
    contract_put_many(pool, objects + 418, 400); // there and back again, with the traps set anew
    contract_get_many(pool, objects + 418, 400);
    assert_int_equal(events.count, 0);
    contract_get_many(pool, objects + 818, 1);
    assert_int_equal(events.count, 1);
    assert_int_equal(events.events[0].from, 1024);
    assert_int_equal(events.events[0].to, 1536);
    assert_int_equal(events.events[0].trigger, 819);
    contract_get_many(pool, objects + 819, 2000 - 819);
    assert_int_equal(events.events[1].to, 2304);
    assert_int_equal(events.events[1].trigger, 1228);
    assert_int_equal(events.events[2].trigger, 1843);
    assert_in_range(contract_counts(pool).misses, 1, 2000 - 1024); // the gets that made a piece
    assert_in_range(contract_counts(pool).owned, 2000, 2100);
    contract_put_many(pool, objects, 2000);
    pool_close(pool);
}

static void test_growth_in_the_background_keeps_up_or_is_waited_for(void **state)
{
    (void)state;
    struct pool_events events = POOL_EVENTS_NONE;
    struct pool_config config = config_of(0, MANY);
    config.growth_mode = POOL_GROW_BACKGROUND;
    config.overflow = POOL_OVERFLOW_REFUSE;
    config.listener = pool_events_listen;
    config.listener_context = &events;
    struct pool *pool = open_slab(&config);
    static void *objects[MANY];
    contract_get_many(pool, objects, MANY);
    assert_null(pool_get(pool));
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.owned, MANY);
    assert_true(stats.misses > 0); // it began with nothing
    assert_int_equal(stats.expansions, pool_events_count(&events, POOL_EVENT_EXPAND));
    contract_put_many(pool, objects, MANY);
    pool_close(pool);
}

static void test_preheat_says_what_it_cannot_do_and_leaves_no_trace(void **state)
{
    (void)state;
    struct pool_config config = config_of(100, 2000);
    struct pool *pool = open_slab(&config);
    int64_t bytes = contract_counts(pool).bytes_owned;
    assert_int_equal(pool_preheat(pool, 1901), -ERANGE);
    (void)pool_memory_fail_after(0, true);
    assert_int_equal(pool_preheat(pool, 1900), -ENOMEM);
    (void)pool_memory_fail_after(-1, false);
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.owned, 100);
    assert_true(stats.bytes_owned - bytes < 64 * 1024); // magazines may have come
    assert_int_equal(pool_preheat(pool, 1900), 0);
    assert_int_equal(contract_counts(pool).owned, 2000);
    pool_close(pool);
}

static void test_open_undoes_everything_whichever_request_fails(void **state)
{
    (void)state;
    struct pool_config config = config_of(2000, 0);
    int code = -ENOMEM;
    int64_t fails = 0;
    for (; code < 0; fails++) {
        struct pool *pool = NULL;
        (void)pool_memory_fail_after(fails, false);
        code = pool_open(&pool, pool_strategy_find("slab"), &config, NULL);
        (void)pool_memory_fail_after(-1, false);
        assert_true(code == 0 || code == -ENOMEM);
        pool_close(pool);
    }
    assert_true(fails > 4);
}

static void test_without_memory_a_get_fails_and_the_next_may_succeed(void **state)
{
    (void)state;
    for (int mode = 0; mode < 2; mode++) {
        struct pool_config config = config_of(600, 0);
        config.growth_mode = mode ? POOL_GROW_BACKGROUND : POOL_GROW_INLINE;
        struct pool *pool = open_slab(&config);
        static void *objects[700];
        (void)pool_memory_fail_after(0, true);
        int got = 0;
        while (got < 700 && (objects[got] = pool_get(pool)))
            got++;
        (void)pool_memory_fail_after(-1, false);
        assert_true(got >= 600 && got < 700); // the slab they lie in has room for a few more
        assert_int_equal(contract_counts(pool).failed, 1);
        contract_get_many(pool, objects + got, 700 - got);
        contract_put_many(pool, objects, 700);
        assert_int_equal(contract_counts(pool).in_use, 0);
        pool_close(pool);
    }
}

// --- statistics -----------------------------------------------------------------------------------------

static void test_the_peak_of_one_thread_is_exact(void **state)
{
    (void)state;
    struct pool_config config = config_of(100, 0);
    config.object_bytes = 64;
    struct pool *pool = open_slab(&config);
    static void *objects[MANY];
    int in_use = 0, peak = 0;
    uint32_t random = 12345;
    for (int i = 0; i < 300; i++) {
        random = random * 1664525u + 1013904223u;
        int target = (int)((random >> 8) % (unsigned)(i < 150 ? 40 : MANY));
        while (in_use < target)
            contract_get_many(pool, objects + in_use++, 1);
        while (in_use > target)
            pool_put(pool, objects[--in_use]);
        peak = target > peak ? target : peak;
        struct pool_stats stats;
        if (i % 3 == 0) // looking must not be what makes it right
            continue;
        pool_stats(pool, &stats);
        assert_int_equal(stats.peak_in_use, peak);
        assert_int_equal(stats.in_use, in_use);
    }
    contract_put_many(pool, objects, in_use);
    assert_int_equal(contract_counts(pool).puts, contract_counts(pool).gets);
    pool_close(pool);
}

// --- giving back ----------------------------------------------------------------------------------------

static void storm(struct pool *pool, void **objects, int count)
{
    contract_get_many(pool, objects, count);
    contract_put_many(pool, objects, count);
}

static void test_a_storm_leaves_no_memory_behind(void **state)
{
    (void)state;
    for (int mode = 0; mode < 2; mode++) {
        struct pool_events events = POOL_EVENTS_NONE;
        struct pool_config config = config_of(1000, 0);
        config.growth_mode = mode ? POOL_GROW_BACKGROUND : POOL_GROW_INLINE;
        config.listener = pool_events_listen;
        config.listener_context = &events;
        struct pool *pool = open_slab(&config);
        static void *objects[20000], *kept[500];
        contract_get_many(pool, kept, 500);
        for (int i = 0; i < 500; i++)
            memset(kept[i], i, OBJECT_BYTES);
        int64_t before = contract_counts(pool).bytes_owned;
        storm(pool, objects, 20000);
        if (mode == 0)
            assert_true(contract_counts(pool).bytes_owned > before * 10);
        else // by itself
            assert_true(pool_events_await(&events, POOL_EVENT_SHRINK, 1));
        while (contract_counts(pool).bytes_owned > before + before / 20)
            if (pool_sweep(pool) == 0)
                sched_yield();
        assert_true(contract_counts(pool).owned >= 1000);
        for (int i = 0; i < 500; i++)
            assert_int_equal(*(unsigned char *)kept[i], (unsigned char)i);
        storm(pool, objects, 20000); // and it can all come back
        contract_put_many(pool, kept, 500);
        pool_close(pool);
    }
}

static void test_sparse_survivors_hold_their_own_pages_only(void **state)
{
    (void)state;
    enum { COUNT = 13000, EVERY = 100 };
    struct pool_config config = config_of(0, 0);
    struct pool *pool = open_slab(&config);
    static void *objects[COUNT];
    contract_get_many(pool, objects, COUNT);
    for (int i = 0; i < COUNT; i++)
        memset(objects[i], i / EVERY, OBJECT_BYTES);
    for (int i = 0; i < COUNT; i++)
        if (i % EVERY)
            pool_put(pool, objects[i]);
    assert_true(pool_trim(pool) > 0);
    struct pool_stats stats = contract_counts(pool);
    assert_int_equal(stats.owned, COUNT / EVERY);
    // Two pages each, a page for each slab's header, and the pool's own.
    assert_true(stats.bytes_owned < (COUNT / EVERY * 2 + COUNT / 668 + 1) * 4096 + 256 * 1024);
    for (int i = 0; i < COUNT; i += EVERY) {
        const unsigned char *bytes = objects[i];
        assert_true(bytes[0] == (unsigned char)(i / EVERY) && bytes[OBJECT_BYTES - 1] == bytes[0]);
    }
    static void *more[COUNT];
    contract_get_many(pool, more, COUNT); // the holes are filled again
    contract_put_many(pool, more, COUNT);
    for (int i = 0; i < COUNT; i += EVERY)
        pool_put(pool, objects[i]);
    pool_trim(pool);
    assert_int_equal(contract_counts(pool).owned, 0);
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_are_an_odd_number_of_cache_lines_apart),
        cmocka_unit_test(test_a_small_pool_takes_little_memory),
        cmocka_unit_test(test_an_empty_pool_reserves_little_address_space),
        cmocka_unit_test(test_free_objects_are_poisoned),
        cmocka_unit_test(test_one_thread_sets_growth_off_at_exactly_the_trigger),
        cmocka_unit_test(test_growth_in_the_background_keeps_up_or_is_waited_for),
        cmocka_unit_test(test_preheat_says_what_it_cannot_do_and_leaves_no_trace),
        cmocka_unit_test(test_open_undoes_everything_whichever_request_fails),
        cmocka_unit_test(test_without_memory_a_get_fails_and_the_next_may_succeed),
        cmocka_unit_test(test_the_peak_of_one_thread_is_exact),
        cmocka_unit_test(test_a_storm_leaves_no_memory_behind),
        cmocka_unit_test(test_sparse_survivors_hold_their_own_pages_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
