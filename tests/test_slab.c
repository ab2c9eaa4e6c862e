// SPDX-License-Identifier: Apache-2.0
// What `slab` promises beyond the contract that tests/test_pool_contract.c holds all strategies to.
#include "pools/poison.h"
#include "pools/pool_strategy.h"
#include "tests/pool_events.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { OBJECT_BYTES = 3072, STRIDE = 3136, MANY = 5000 };

static struct pool_config config_of(int64_t initial, int64_t max)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = "slab";
    config.object_bytes = OBJECT_BYTES;
    config.initial = initial;
    config.max = max;
    return config;
}

static struct pool *open_slab(const struct pool_config *config)
{
    struct pool *pool = NULL;
    struct err err = {0};
    if (pool_open(&pool, pool_strategy_find("slab"), config, &err) < 0)
        fail_msg("%s", err.text);
    return pool;
}

static struct pool_stats stats_of(struct pool *pool)
{
    struct pool_stats stats;
    pool_stats(pool, &stats);
    assert_int_equal(stats.gets, stats.hits + stats.misses + stats.overflow + stats.refused + stats.failed);
    assert_int_equal(stats.in_use, stats.hits + stats.misses + stats.overflow - stats.puts);
    assert_true(pool_strategy_of(pool)->is_valid(pool));
    return stats;
}

static void get_many(struct pool *pool, void **objects, int count)
{
    for (int i = 0; i < count; i++) {
        objects[i] = pool_get(pool);
        assert_non_null(objects[i]);
    }
}

static void put_many(struct pool *pool, void **objects, int count)
{
    for (int i = 0; i < count; i++)
        pool_put(pool, objects[i]);
}

// --- where objects lie ----------------------------------------------------------------------------------

static void test_objects_are_an_odd_number_of_cache_lines_apart(void **state)
{
    (void)state;
    struct pool_config config = config_of(400, 0);
    struct pool *pool = open_slab(&config);
    static void *objects[400];
    get_many(pool, objects, 400);
    for (int i = 1; i < 400; i++) {
        intptr_t apart = (intptr_t)objects[i] - (intptr_t)objects[0];
        assert_int_equal(apart % STRIDE, 0);
        assert_true(apart / STRIDE > -668 && apart / STRIDE < 668); // of one slab
        assert_int_equal((uintptr_t)objects[i] % 64, 0);
    }
    put_many(pool, objects, 400);
    pool_close(pool);
}

static void test_a_small_pool_takes_little_memory(void **state)
{
    (void)state;
    struct pool_config config = config_of(10, 0);
    struct pool *pool = open_slab(&config);
    struct pool_stats stats = stats_of(pool);
    assert_int_equal(stats.owned, 10);
    assert_true(stats.bytes_owned < 160 * 1024);
    assert_int_equal(stats.bytes_owned - stats.overhead_bytes, 10 * OBJECT_BYTES);
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
    get_many(pool, objects, 818);
    assert_int_equal(events.count, 0);
    put_many(pool, objects + 418, 400); // there and back again, with the traps set anew
    get_many(pool, objects + 418, 400);
    assert_int_equal(events.count, 0);
    get_many(pool, objects + 818, 1);
    assert_int_equal(events.count, 1);
    assert_int_equal(events.events[0].from, 1024);
    assert_int_equal(events.events[0].to, 1536);
    assert_int_equal(events.events[0].trigger, 819);
    get_many(pool, objects + 819, 2000 - 819);
    assert_int_equal(events.events[1].to, 2304);
    assert_int_equal(events.events[1].trigger, 1228);
    assert_int_equal(events.events[2].trigger, 1843);
    assert_int_equal(stats_of(pool).misses, 3); // the gets that grew it
    put_many(pool, objects, 2000);
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
    get_many(pool, objects, MANY);
    assert_null(pool_get(pool));
    struct pool_stats stats = stats_of(pool);
    assert_int_equal(stats.owned, MANY);
    assert_true(stats.misses > 0); // it began with nothing
    assert_int_equal(stats.expansions, pool_events_count(&events, POOL_EVENT_EXPAND));
    put_many(pool, objects, MANY);
    pool_close(pool);
}

static void test_preheat_says_what_it_cannot_do_and_leaves_no_trace(void **state)
{
    (void)state;
    struct pool_config config = config_of(100, 2000);
    struct pool *pool = open_slab(&config);
    int64_t bytes = stats_of(pool).bytes_owned;
    assert_int_equal(pool_preheat(pool, 1901), -ERANGE);
    (void)pool_memory_fail_after(0, true);
    assert_int_equal(pool_preheat(pool, 1900), -ENOMEM);
    (void)pool_memory_fail_after(-1, false);
    struct pool_stats stats = stats_of(pool);
    assert_int_equal(stats.owned, 100);
    assert_true(stats.bytes_owned - bytes < 64 * 1024); // magazines may have come
    assert_int_equal(pool_preheat(pool, 1900), 0);
    assert_int_equal(stats_of(pool).owned, 2000);
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
        assert_int_equal(stats_of(pool).failed, 1);
        get_many(pool, objects + got, 700 - got);
        put_many(pool, objects, 700);
        assert_int_equal(stats_of(pool).in_use, 0);
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
            get_many(pool, objects + in_use++, 1);
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
    put_many(pool, objects, in_use);
    assert_int_equal(stats_of(pool).puts, stats_of(pool).gets);
    pool_close(pool);
}

// --- threads --------------------------------------------------------------------------------------------

struct holder {
    struct pool *pool;
    pthread_barrier_t *barrier;
    int count;
    void *objects[MANY];
    pthread_t thread;
};

// Gets, waits, puts: between the barriers it sits on what its row caches.
static void *hold(void *argument)
{
    struct holder *holder = argument;
    for (int i = 0; i < holder->count; i++)
        holder->objects[i] = pool_get(holder->pool);
    pthread_barrier_wait(holder->barrier);
    pthread_barrier_wait(holder->barrier);
    for (int i = 0; i < holder->count; i++)
        pool_put(holder->pool, holder->objects[i]);
    return NULL;
}

static void test_nobody_is_refused_while_an_idle_thread_sits_on_free_objects(void **state)
{
    (void)state;
    enum { MAX = 100, IDLERS = 4, EACH = 5 };
    struct pool_config config = config_of(MAX, MAX);
    config.overflow = POOL_OVERFLOW_REFUSE;
    struct pool *pool = open_slab(&config);
    pthread_barrier_t barrier;
    static struct holder idlers[IDLERS];
    static void *objects[MAX];
    assert_int_equal(pthread_barrier_init(&barrier, NULL, IDLERS + 1), 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < IDLERS; i++) {
            idlers[i].pool = pool;
            idlers[i].barrier = &barrier;
            idlers[i].count = EACH;
            assert_int_equal(pthread_create(&idlers[i].thread, NULL, hold, &idlers[i]), 0);
        }
        pthread_barrier_wait(&barrier);
        get_many(pool, objects, MAX - IDLERS * EACH);
        assert_null(pool_get(pool));
        assert_int_equal(stats_of(pool).in_use, MAX);
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < IDLERS; i++)
            assert_int_equal(pthread_join(idlers[i].thread, NULL), 0);
        put_many(pool, objects, MAX - IDLERS * EACH);
        assert_int_equal(stats_of(pool).in_use, 0);
        assert_int_equal(stats_of(pool).peak_in_use, MAX);
    }
    pthread_barrier_destroy(&barrier);
    pool_close(pool);
}

static void test_what_an_exiting_thread_cached_is_there_for_others(void **state)
{
    (void)state;
    struct pool_config config = config_of(50, 50);
    config.overflow = POOL_OVERFLOW_REFUSE;
    struct pool *pool = open_slab(&config);
    pthread_barrier_t barrier;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, 1), 0);
    static struct holder passer;
    passer.pool = pool;
    passer.barrier = &barrier;
    passer.count = 30;
    for (int round = 0; round < 20; round++) {
        assert_int_equal(pthread_create(&passer.thread, NULL, hold, &passer), 0);
        assert_int_equal(pthread_join(passer.thread, NULL), 0);
        void *objects[50];
        get_many(pool, objects, 50);
        put_many(pool, objects, 50);
    }
    assert_int_equal(stats_of(pool).refused, 0);
    assert_int_equal(stats_of(pool).gets, 20 * 80);
    pthread_barrier_destroy(&barrier);
    pool_close(pool);
}

struct exchange {
    struct pool *pool;
    _Atomic(void *) slots[256];
    atomic_int wrong;
    int64_t rounds;
};

// Objects pass from thread to thread through slots; whoever takes one out finds what was written last.
static void *pass_on(void *argument)
{
    struct exchange *exchange = argument;
    uint64_t random = (uint64_t)(uintptr_t)&random;
    for (int64_t i = 0; i < exchange->rounds; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t *object = pool_get(exchange->pool);
        if (!object) {
            atomic_fetch_add(&exchange->wrong, 1);
            continue;
        }
        object[0] = object[OBJECT_BYTES / 8 - 1] = random;
        uint64_t *other = atomic_exchange(&exchange->slots[random >> 56], (void *)object);
        if (other && other[0] != other[OBJECT_BYTES / 8 - 1])
            atomic_fetch_add(&exchange->wrong, 1);
        if (other)
            pool_put(exchange->pool, other);
    }
    return NULL;
}

// Trim takes every row back while its owner works in it.
static void test_rows_are_taken_back_while_their_threads_work(void **state)
{
    (void)state;
    enum { WORKERS = 3 };
    struct pool_config config = config_of(64, 0);
    config.growth_mode = POOL_GROW_BACKGROUND;
    static struct exchange exchange;
    memset(&exchange, 0, sizeof exchange);
    exchange.pool = open_slab(&config);
    exchange.rounds = 20000;
    pthread_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&workers[i], NULL, pass_on, &exchange), 0);
    struct pool_stats stats = {0};
    while (stats.gets < WORKERS * exchange.rounds) {
        (void)pool_trim(exchange.pool);
        pool_stats(exchange.pool, &stats);
        sched_yield();
    }
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(workers[i], NULL), 0);
    for (int i = 0; i < 256; i++)
        pool_put(exchange.pool, exchange.slots[i]);
    assert_int_equal(atomic_load(&exchange.wrong), 0);
    stats = stats_of(exchange.pool);
    assert_int_equal(stats.gets, WORKERS * exchange.rounds);
    assert_int_equal(stats.in_use, 0);
    pool_close(exchange.pool);
}

// The bound is reached and left again all the time, so exact mode and overflow objects come and go.
static void test_overflow_comes_and_goes_beside_the_work(void **state)
{
    (void)state;
    enum { WORKERS = 3 };
    static struct exchange exchange;
    for (int overflow = 0; overflow < 2; overflow++) {
        struct pool_config config = config_of(10, 200);
        memset(&exchange, 0, sizeof exchange);
        config.overflow = overflow ? POOL_OVERFLOW_REFUSE : POOL_OVERFLOW_HEAP;
        exchange.pool = open_slab(&config);
        exchange.rounds = 5000;
        pthread_t workers[WORKERS];
        for (int i = 0; i < WORKERS; i++)
            assert_int_equal(pthread_create(&workers[i], NULL, pass_on, &exchange), 0);
        for (int round = 0; round < 200; round++)
            for (int i = 0; i < 256; i++) // now and then they are all taken away
                pool_put(exchange.pool, round % 10 ? NULL : atomic_exchange(&exchange.slots[i], NULL));
        for (int i = 0; i < WORKERS; i++)
            assert_int_equal(pthread_join(workers[i], NULL), 0);
        for (int i = 0; i < 256; i++)
            pool_put(exchange.pool, exchange.slots[i]);
        struct pool_stats stats = stats_of(exchange.pool);
        assert_int_equal(atomic_load(&exchange.wrong), stats.refused);
        assert_int_equal(stats.gets, WORKERS * exchange.rounds);
        assert_int_equal(stats.in_use, 0);
        assert_true(stats.owned <= 200);
        pool_close(exchange.pool);
    }
}

// --- giving back ----------------------------------------------------------------------------------------

static void storm(struct pool *pool, void **objects, int count)
{
    get_many(pool, objects, count);
    put_many(pool, objects, count);
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
        get_many(pool, kept, 500);
        for (int i = 0; i < 500; i++)
            memset(kept[i], i, OBJECT_BYTES);
        int64_t before = stats_of(pool).bytes_owned;
        storm(pool, objects, 20000);
        if (mode == 0)
            assert_true(stats_of(pool).bytes_owned > before * 10);
        else // by itself
            assert_true(pool_events_await(&events, POOL_EVENT_SHRINK, 1));
        while (stats_of(pool).bytes_owned > before + before / 20)
            if (pool_sweep(pool) == 0)
                sched_yield();
        assert_true(stats_of(pool).owned >= 1000);
        for (int i = 0; i < 500; i++)
            assert_int_equal(*(unsigned char *)kept[i], (unsigned char)i);
        storm(pool, objects, 20000); // and it can all come back
        put_many(pool, kept, 500);
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
    get_many(pool, objects, COUNT);
    for (int i = 0; i < COUNT; i++)
        memset(objects[i], i / EVERY, OBJECT_BYTES);
    for (int i = 0; i < COUNT; i++)
        if (i % EVERY)
            pool_put(pool, objects[i]);
    assert_true(pool_trim(pool) > 0);
    struct pool_stats stats = stats_of(pool);
    assert_int_equal(stats.owned, COUNT / EVERY);
    // Two pages each, a page for each slab's header, and the pool's own.
    assert_true(stats.bytes_owned < (COUNT / EVERY * 2 + COUNT / 668 + 1) * 4096 + 256 * 1024);
    for (int i = 0; i < COUNT; i += EVERY) {
        const unsigned char *bytes = objects[i];
        assert_true(bytes[0] == (unsigned char)(i / EVERY) && bytes[OBJECT_BYTES - 1] == bytes[0]);
    }
    static void *more[COUNT];
    get_many(pool, more, COUNT); // the holes are filled again
    put_many(pool, more, COUNT);
    for (int i = 0; i < COUNT; i += EVERY)
        pool_put(pool, objects[i]);
    pool_trim(pool);
    assert_int_equal(stats_of(pool).owned, 0);
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_are_an_odd_number_of_cache_lines_apart),
        cmocka_unit_test(test_a_small_pool_takes_little_memory),
        cmocka_unit_test(test_free_objects_are_poisoned),
        cmocka_unit_test(test_one_thread_sets_growth_off_at_exactly_the_trigger),
        cmocka_unit_test(test_growth_in_the_background_keeps_up_or_is_waited_for),
        cmocka_unit_test(test_preheat_says_what_it_cannot_do_and_leaves_no_trace),
        cmocka_unit_test(test_open_undoes_everything_whichever_request_fails),
        cmocka_unit_test(test_without_memory_a_get_fails_and_the_next_may_succeed),
        cmocka_unit_test(test_the_peak_of_one_thread_is_exact),
        cmocka_unit_test(test_nobody_is_refused_while_an_idle_thread_sits_on_free_objects),
        cmocka_unit_test(test_what_an_exiting_thread_cached_is_there_for_others),
        cmocka_unit_test(test_rows_are_taken_back_while_their_threads_work),
        cmocka_unit_test(test_overflow_comes_and_goes_beside_the_work),
        cmocka_unit_test(test_a_storm_leaves_no_memory_behind),
        cmocka_unit_test(test_sparse_survivors_hold_their_own_pages_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
