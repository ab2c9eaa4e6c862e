// SPDX-License-Identifier: Apache-2.0
// What every strategy promises of constructed objects, of resizing and draining a pool in use, and of a pool
// of one thread. See tests/pool_contract.h.
#include "tests/pool_contract.h"

#include "pools/pool_strategy.h"
#include "tests/pool_events.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { MANY = 120, OBJECT_BYTES = 320, BUILT = 0x600D };

// What each object holds: its number, and a link that only construct makes.
struct thing {
    int built;
    int uses; // written by who has it; reset keeps it
    int resets;
    struct thing *self;
};

struct yard {
    atomic_int constructed, destructed, resets;
    atomic_int fails_after; // constructs that succeed; negative: all
    atomic_int wrong;       // destructs and resets of what is no thing
};

static int construct(void *context, void *object)
{
    struct yard *yard = context;
    struct thing *thing = object;
    int left = atomic_load(&yard->fails_after);
    if (left == 0)
        return -EIO;
    if (left > 0)
        atomic_fetch_sub(&yard->fails_after, 1);
    *thing = (struct thing){.built = BUILT, .self = thing};
    atomic_fetch_add(&yard->constructed, 1);
    return 0;
}

static bool is_thing(const struct thing *thing)
{
    return thing->built == BUILT && thing->self == thing;
}

static void destruct(void *context, void *object)
{
    struct yard *yard = context;
    atomic_fetch_add(&yard->wrong, !is_thing(object));
    atomic_fetch_add(&yard->destructed, 1);
    memset(object, 0, sizeof(struct thing));
}

static void reset(void *context, void *object)
{
    struct yard *yard = context;
    struct thing *thing = object;
    atomic_fetch_add(&yard->wrong, !is_thing(object));
    atomic_fetch_add(&yard->resets, 1);
    thing->resets++;
}

static struct pool_config config_of(const struct pool_strategy *strategy, struct yard *yard, int64_t initial,
                                    int64_t max)
{
    struct pool_config config = contract_config(strategy, OBJECT_BYTES, initial, max);
    config.construct = construct;
    config.destruct = destruct;
    config.object_context = yard;
    atomic_store(&yard->fails_after, -1);
    return config;
}

// Of a config for which a strategy that does not grow owns as many from the start.
static int64_t initial_for(const struct pool_strategy *strategy, int64_t initial, int64_t most)
{
    return strategy->caps & POOL_CAP_GROWS ? initial : most;
}

static bool constructs_once(const struct pool_strategy *strategy)
{
    return (strategy->caps & POOL_CAP_CONSTRUCTS) && strcmp(strategy->name, "malloc") != 0;
}

// All that is owned is constructed, or at least all that was ever got.
static void check_constructed(struct pool *pool, struct yard *yard)
{
    int there = atomic_load(&yard->constructed) - atomic_load(&yard->destructed);
    int64_t owned = contract_stats(pool).owned;
    if (pool_strategy_caps(pool_strategy_of(pool)) & POOL_CAP_AS_NEEDED)
        assert_in_range(there, 0, owned);
    else
        assert_int_equal(there, owned);
}

static void use_all(struct pool *pool, void **objects, int count)
{
    contract_get_many(pool, objects, count);
    for (int i = 0; i < count; i++) {
        struct thing *thing = objects[i];
        assert_true(is_thing(thing));
        thing->uses++;
    }
    contract_put_many(pool, objects, count);
}

static void test_an_object_is_constructed_once_and_destructed_before_its_memory_goes(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct yard yard = {0};
    struct pool_config config = config_of(strategy, &yard, initial_for(strategy, 20, MANY), 0);
    struct pool *pool = contract_open(strategy, &config);
    void *objects[MANY];
    use_all(pool, objects, MANY);
    int first = atomic_load(&yard.constructed);
    for (int round = 0; round < 3; round++)
        use_all(pool, objects, MANY);
    if (constructs_once(strategy)) {
        assert_int_equal(atomic_load(&yard.constructed), first);
        check_constructed(pool, &yard);
    }
    (void)pool_trim(pool);
    if (constructs_once(strategy) && !(strategy->caps & POOL_CAP_SHARES))
        check_constructed(pool, &yard);
    use_all(pool, objects, MANY);
    contract_close(pool);
    assert_int_equal(atomic_load(&yard.constructed), atomic_load(&yard.destructed));
    assert_int_equal(atomic_load(&yard.wrong), 0);
}

static void test_the_state_survives_put_and_get(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct yard yard = {0};
    struct pool_config config = config_of(strategy, &yard, initial_for(strategy, 0, 10), 0);
    config.reset = reset;
    struct pool *pool = contract_open(strategy, &config);
    int uses = 0;
    for (int i = 0; i < 10; i++) {
        struct thing *thing = pool_get(pool);
        assert_non_null(thing);
        assert_true(is_thing(thing));
        uses = ++thing->uses;
        if (constructs_once(strategy)) {
            assert_int_equal(uses, i + 1); // last in, first out: the same one
            assert_int_equal(thing->resets, i);
        }
        pool_put(pool, thing);
    }
    assert_int_equal(atomic_load(&yard.resets), 10);
    contract_close(pool);
    assert_int_equal(atomic_load(&yard.wrong), 0);
}

static void test_overflow_objects_are_constructed_too(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!(strategy->caps & POOL_CAP_BOUNDED))
        return;
    struct yard yard = {0};
    struct pool_config config = config_of(strategy, &yard, 10, 10);
    struct pool *pool = contract_open(strategy, &config);
    void *objects[30];
    for (int round = 0; round < 3; round++)
        use_all(pool, objects, 30);
    assert_int_equal(contract_stats(pool).overflow, 60);
    contract_close(pool);
    assert_int_equal(atomic_load(&yard.constructed), atomic_load(&yard.destructed));
    assert_int_equal(atomic_load(&yard.wrong), 0);
}

static void test_a_get_whose_construct_fails_is_a_failed_get(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (strategy->caps & POOL_CAP_SHARES) // it constructs at open alone
        return;
    struct yard yard = {0};
    struct pool_config config = config_of(strategy, &yard, 0, 0);
    struct pool *pool = contract_open(strategy, &config);
    void *objects[MANY];
    contract_get_many(pool, objects, 3);
    atomic_store(&yard.fails_after, 0);
    int got = 3;
    for (int i = 0; i < MANY - 3; i++) { // more than can be ready
        objects[got] = pool_get(pool);
        got += objects[got] != NULL;
    }
    struct pool_stats stats = contract_stats(pool);
    assert_int_equal(stats.in_use, got);
    assert_int_equal(stats.failed, MANY - got);
    if (strategy->caps & POOL_CAP_CONSTRUCTS)
        assert_true(stats.failed > 0);
    atomic_store(&yard.fails_after, -1);
    void *later = pool_get(pool);
    assert_non_null(later);
    pool_put(pool, later);
    contract_put_many(pool, objects, got);
    contract_close(pool);
    assert_int_equal(atomic_load(&yard.constructed), atomic_load(&yard.destructed));
    assert_int_equal(atomic_load(&yard.wrong), 0);
}

static void test_open_and_preheat_are_undone_when_construct_fails(void **state)
{
    const struct pool_strategy *strategy = *state;
    unsigned wanted = POOL_CAP_PREHEATS | POOL_CAP_CONSTRUCTS;
    if ((strategy->caps & wanted) != wanted)
        return;
    struct yard yard = {0};
    struct pool_config config = config_of(strategy, &yard, 20, 0);
    struct pool *pool;
    struct err err = {0};
    atomic_store(&yard.fails_after, 19);
    assert_int_equal(pool_open(&pool, strategy, &config, &err), -ENOMEM);
    assert_int_equal(atomic_load(&yard.constructed), atomic_load(&yard.destructed));
    atomic_store(&yard.fails_after, 29);
    pool = contract_open(strategy, &config);
    int64_t owned = contract_stats(pool).owned;
    assert_int_equal(pool_preheat(pool, 20), -ENOMEM);
    assert_int_equal(contract_stats(pool).owned, owned);
    contract_close(pool);
    assert_int_equal(atomic_load(&yard.constructed), atomic_load(&yard.destructed));
    assert_int_equal(atomic_load(&yard.wrong), 0);
}

static void test_a_pool_of_constructed_objects_gives_no_larger_ones(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct yard yard = {0};
    struct pool_config config = config_of(strategy, &yard, 0, 0);
    struct pool *pool = contract_open(strategy, &config);
    assert_null(pool_get_bytes(pool, OBJECT_BYTES + 1));
    struct thing *thing = pool_get_bytes(pool, 1);
    assert_true(is_thing(thing));
    pool_put(pool, thing);
    contract_close(pool);
}

static void test_a_smaller_bound_holds_and_memory_goes_back(void **state)
{
    const struct pool_strategy *strategy = *state;
    if (!(strategy->caps & POOL_CAP_RESIZES)) {
        struct pool_config config = contract_config(strategy, OBJECT_BYTES, 0, 0);
        struct pool *pool = contract_open(strategy, &config);
        assert_int_equal(pool_resize(pool, 5), -ENOTSUP);
        contract_close(pool);
        return;
    }
    struct yard yard = {0};
    struct pool_config config = config_of(strategy, &yard, 10, MANY);
    config.overflow = POOL_OVERFLOW_REFUSE;
    struct pool *pool = contract_open(strategy, &config);
    if (!(strategy->caps & POOL_CAP_GROWS))
        assert_int_equal(pool_preheat(pool, MANY - 10), 0);
    void *objects[MANY];
    contract_get_many(pool, objects, MANY);
    assert_null(pool_get(pool));
    assert_int_equal(pool_resize(pool, -1), -ERANGE);
    assert_int_equal(pool_resize(pool, 50), 0);
    assert_null(pool_get(pool));
    for (int left = MANY; left > 50; left--)
        pool_put(pool, objects[left - 1]);
    assert_null(pool_get(pool)); // 50 in use
    pool_put(pool, objects[49]);
    objects[49] = pool_get(pool);
    assert_non_null(objects[49]);
    assert_null(pool_get(pool));
    contract_put_many(pool, objects, 50);
    assert_int_equal(contract_counts(pool).max, 50);
    for (int round = 0; round < 3; round++)
        use_all(pool, objects, 50);
    assert_int_equal(pool_resize(pool, 20), 0);
    use_all(pool, objects, 20);
    contract_get_many(pool, objects, 20);
    assert_null(pool_get(pool));
    assert_int_equal(pool_resize(pool, 60), 0);
    if (strategy->caps & POOL_CAP_GROWS) {
        contract_get_many(pool, objects + 20, 40);
        assert_null(pool_get(pool));
        contract_put_many(pool, objects + 20, 40);
    }
    contract_put_many(pool, objects, 20);
    assert_int_equal(contract_counts(pool).in_use, 0);
    pool_close(pool);
    assert_int_equal(atomic_load(&yard.constructed), atomic_load(&yard.destructed));
    assert_int_equal(atomic_load(&yard.wrong), 0);
}

static void test_a_pool_that_drains_gives_nothing_and_ends_empty(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_events events = POOL_EVENTS_NONE;
    struct yard yard = {0};
    struct pool_config config = config_of(strategy, &yard, 30, 0);
    config.listener = pool_events_listen;
    config.listener_context = &events;
    struct pool *pool = contract_open(strategy, &config);
    void *objects[MANY];
    contract_get_many(pool, objects, MANY);
    contract_put_many(pool, objects + 60, MANY - 60);
    assert_true(pool_drain(pool) >= 0);
    for (int i = 0; i < 5; i++)
        assert_null(pool_get(pool));
    assert_null(pool_get_bytes(pool, 1));
    struct pool_stats stats = contract_counts(pool);
    assert_true(stats.draining);
    assert_int_equal(stats.refused, 6);
    assert_int_equal(pool_events_count(&events, POOL_EVENT_REFUSE), 1);
    if (strategy->caps & POOL_CAP_PREHEATS)
        assert_int_equal(pool_preheat(pool, 1), -ECANCELED);
    if (strategy->caps & POOL_CAP_RESIZES)
        assert_int_equal(pool_resize(pool, 10), -ECANCELED);
    contract_put_many(pool, objects, 60);
    assert_true(pool_sweep(pool) >= 0);
    stats = contract_counts(pool);
    assert_int_equal(stats.in_use, 0);
    if (!(strategy->caps & POOL_CAP_SHARES))
        contract_is_drained(strategy, &stats, atomic_load(&yard.constructed), atomic_load(&yard.destructed));
    assert_int_equal(pool_drain(pool), 0);
    contract_close(pool);
    assert_int_equal(atomic_load(&yard.constructed), atomic_load(&yard.destructed));
    assert_int_equal(atomic_load(&yard.wrong), 0);
}

struct user {
    struct pool *pool;
    atomic_bool *stop;
    int64_t got;
};

static void *get_and_put(void *argument)
{
    struct user *user = argument;
    void *held[8] = {0};
    for (unsigned turn = 0; !atomic_load(user->stop); turn++) {
        void **place = &held[turn * 2654435761u % 8];
        pool_put(user->pool, *place);
        *place = pool_get(user->pool);
        user->got += *place != NULL;
    }
    for (int i = 0; i < 8; i++)
        pool_put(user->pool, held[i]);
    return NULL;
}

static void test_resizing_and_draining_beside_threads_that_use_the_pool(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct yard yard = {0};
    struct pool_config config = config_of(strategy, &yard, 8, 0);
    if (strategy->caps & POOL_CAP_SHARES)
        config.construct = NULL, config.destruct = NULL;
    else
        config.reset = reset;
    struct pool *pool = contract_open(strategy, &config);
    atomic_bool stop = false;
    struct user users[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        users[i] = (struct user){.pool = pool, .stop = &stop};
        assert_int_equal(pthread_create(&threads[i], NULL, get_and_put, &users[i]), 0);
    }
    struct pool_stats stats;
    for (int round = 0; round < 40; round++) {
        int64_t before, max = round % 4 ? 3 + round : 0;
        int code = pool_resize(pool, max);
        assert_true(code == 0 || code == -ENOTSUP);
        (void)pool_trim(pool);
        pool_stats(pool, &stats);
        before = stats.gets;
        do
            pool_stats(pool, &stats);
        while (stats.gets < before + 1000);
    }
    (void)pool_drain(pool);
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    (void)pool_sweep(pool);
    stats = contract_counts(pool);
    assert_int_equal(stats.in_use, 0);
    if (!(strategy->caps & POOL_CAP_SHARES))
        contract_is_drained(strategy, &stats, atomic_load(&yard.constructed), atomic_load(&yard.destructed));
    contract_close(pool);
    assert_int_equal(atomic_load(&yard.constructed), atomic_load(&yard.destructed));
    assert_int_equal(atomic_load(&yard.wrong), 0);
}

static void test_a_pool_of_one_thread_does_all_the_same(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct yard yard = {0};
    struct pool_config config = config_of(strategy, &yard, 10, 0);
    config.threads = POOL_THREADS_ONE;
    struct pool *pool = contract_open(strategy, &config);
    void *objects[MANY];
    for (int round = 0; round < 3; round++)
        use_all(pool, objects, MANY);
    struct pool_stats stats = contract_stats(pool);
    assert_int_equal(stats.gets, 3 * MANY);
    assert_int_equal(stats.peak_in_use, MANY);
    (void)pool_trim(pool);
    use_all(pool, objects, MANY);
    contract_close(pool);
    assert_int_equal(atomic_load(&yard.constructed), atomic_load(&yard.destructed));
    if (!(strategy->caps & POOL_CAP_BACKGROUND))
        return;
    struct err err = {0};
    config.growth_mode = POOL_GROW_BACKGROUND;
    assert_int_equal(pool_open(&pool, strategy, &config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "threads"));
}

static void test_bytes_allocated_and_their_peak_only_rise(void **state)
{
    const struct pool_strategy *strategy = *state;
    struct pool_config config = contract_config(strategy, 3000, 0, 0);
    struct pool *pool = contract_open(strategy, &config);
    void *objects[MANY];
    contract_get_many(pool, objects, MANY);
    struct pool_stats full = contract_stats(pool);
    if (!(strategy->caps & POOL_CAP_SHARES))
        assert_true(full.bytes_allocated >= MANY * 3000);
    assert_true(full.peak_bytes_owned >= full.bytes_owned);
    contract_put_many(pool, objects, MANY);
    (void)pool_trim(pool);
    struct pool_stats empty = contract_stats(pool);
    assert_true(empty.bytes_allocated >= full.bytes_allocated);
    assert_true(empty.peak_bytes_owned >= full.peak_bytes_owned);
    contract_get_many(pool, objects, MANY);
    if (strategy->caps & POOL_CAP_CONSTRUCTS && empty.owned == 0) // all of it came anew
        assert_true(contract_stats(pool).bytes_allocated >= empty.bytes_allocated + MANY * 3000);
    contract_put_many(pool, objects, MANY);
    contract_close(pool);
}

static int64_t bytes_of(struct pool *pool)
{
    struct pool_stats stats;
    pool_stats(pool, &stats);
    return stats.bytes_owned;
}

// The most that a pool had, by its readings or by its own statistics at the end, when most of it went back.
static int64_t peak_of_a_life(const struct pool_strategy *strategy, bool is_read)
{
    struct pool_config config = contract_config(strategy, 3000, 0, 0);
    config.growth_rule = POOL_RULE_FACTOR;
    struct pool *pool = contract_open(strategy, &config);
    void *objects[MANY];
    int64_t most = 0;
    for (int i = 0; i < 2 * MANY; i++) {
        if (i < MANY)
            contract_get_many(pool, &objects[i], 1);
        else
            pool_put(pool, objects[i - MANY]);
        if (is_read && bytes_of(pool) > most)
            most = bytes_of(pool);
    }
    (void)pool_sweep(pool);
    (void)pool_trim(pool);
    (void)!pool_resize(pool, 1);
    if (!is_read)
        most = contract_counts(pool).peak_bytes_owned;
    contract_close(pool);
    return most;
}

static void test_the_peak_of_bytes_is_known_though_nobody_read_it(void **state)
{
    assert_int_equal(peak_of_a_life(*state, false), peak_of_a_life(*state, true));
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_object_is_constructed_once_and_destructed_before_its_memory_goes),
        cmocka_unit_test(test_the_state_survives_put_and_get),
        cmocka_unit_test(test_overflow_objects_are_constructed_too),
        cmocka_unit_test(test_a_get_whose_construct_fails_is_a_failed_get),
        cmocka_unit_test(test_open_and_preheat_are_undone_when_construct_fails),
        cmocka_unit_test(test_a_pool_of_constructed_objects_gives_no_larger_ones),
        cmocka_unit_test(test_a_smaller_bound_holds_and_memory_goes_back),
        cmocka_unit_test(test_a_pool_that_drains_gives_nothing_and_ends_empty),
        cmocka_unit_test(test_resizing_and_draining_beside_threads_that_use_the_pool),
        cmocka_unit_test(test_a_pool_of_one_thread_does_all_the_same),
        cmocka_unit_test(test_bytes_allocated_and_their_peak_only_rise),
        cmocka_unit_test(test_the_peak_of_bytes_is_known_though_nobody_read_it),
    };
    return contract_run("pool_objects", tests, sizeof tests / sizeof tests[0]);
}
