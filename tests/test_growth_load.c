// SPDX-License-Identifier: Apache-2.0
// Growth by the load: the rule by itself, and pools whose clock is the test's. An object takes as long to make
// as its construct moves the clock, and objects arrive as far apart as the test moves it between gets.
#include "pools/shared/growth_load.h"

#include "base/clock.h"
#include "pools/shared/growth.h"
#include "tests/pool_contract.h"
#include "tests/pool_events.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { BYTES = 3072, INITIAL = 1024, MANY = 20000 };

static _Atomic int64_t now_ns = NS_PER_S;

int64_t __wrap_clock_now_ns(void);

int64_t __wrap_clock_now_ns(void)
{
    return atomic_load(&now_ns);
}

static struct growth_load load_of(double arrivals_per_s, double make_ns)
{
    struct growth_load load = GROWTH_LOAD_NONE;
    load.arrivals_per_s = arrivals_per_s;
    load.make_ns = make_ns;
    return load;
}

static void test_arrivals_are_counted_from_the_mark(void **state)
{
    (void)state;
    struct growth_load load = GROWTH_LOAD_NONE;
    growth_load_arrive(&load, NS_PER_S, 100); // no mark yet
    assert_true(load.arrivals_per_s == 0);
    growth_load_mark(&load, NS_PER_S, 100);
    growth_load_arrive(&load, NS_PER_S + 10 * NS_PER_MS, 1100);
    assert_true(load.arrivals_per_s == 100000);
    growth_load_mark(&load, 2 * NS_PER_S, 1100);
    growth_load_arrive(&load, 2 * NS_PER_S + NS_PER_MS, 1400); // faster: at once
    assert_true(load.arrivals_per_s == 300000);
    growth_load_mark(&load, 3 * NS_PER_S, 1400);
    growth_load_arrive(&load, 3 * NS_PER_S + 10 * NS_PER_MS, 2400); // slower: by half
    assert_true(load.arrivals_per_s == 200000);
    growth_load_arrive(&load, 4 * NS_PER_S, 1300); // fewer than at the mark
    assert_true(load.arrivals_per_s == 200000);
    growth_load_mark(&load, 5 * NS_PER_S, 1000);
    growth_load_arrive(&load, 5 * NS_PER_S + 1, 1001); // right after one another: 1 in 20 us
    assert_true(load.arrivals_per_s == 125000);
}

static void test_the_time_to_make_an_object_is_smoothed(void **state)
{
    (void)state;
    struct growth_load load = GROWTH_LOAD_NONE;
    growth_load_made(&load, 0, 5000);
    assert_true(load.make_ns == 0);
    growth_load_made(&load, 100, 200000);
    assert_true(load.make_ns == 2000);
    growth_load_made(&load, 100, 600000);
    assert_true(load.make_ns == 3000);
}

static void test_the_step_is_what_arrives_while_it_is_made_and_for_a_while_after(void **state)
{
    (void)state;
    struct growth_load load = load_of(10000, 0);
    assert_int_equal(growth_load_next(&load, 4096, 1.5, 0, BYTES), 4096 + 500); // 50 ms
    load = load_of(10000, 50000); // half of the time objects are made: twice as many
    assert_int_equal(growth_load_next(&load, 4096, 1.5, 0, BYTES), 4096 + 1000);
    load = load_of(10000, 100000); // they arrive as fast as they can be made
    assert_int_equal(growth_load_next(&load, 4096, 1.5, 0, BYTES), 4096 + 2048);
    load = load_of(0, 100); // nothing known
    assert_int_equal(growth_load_next(&load, 4096, 1.5, 0, BYTES), 4096 + 2048);
}

static void test_the_step_keeps_to_its_bounds(void **state)
{
    (void)state;
    struct growth_load slow = load_of(1, 1000), fast = load_of(1e7, 1000);
    assert_int_equal(growth_load_next(&slow, 160000, 1.5, 0, BYTES), 170000); // a sixteenth
    assert_int_equal(growth_load_next(&slow, 1024, 1.5, 0, BYTES), 1024 + growth_piece(0, BYTES));
    assert_int_equal(growth_load_next(&slow, 4, 1.5, 0, BYTES), 6); // a piece is more than the most
    assert_int_equal(growth_load_next(&slow, 0, 1.5, 0, BYTES), 1);
    assert_int_equal(growth_load_next(&fast, 1024, 2, 0, BYTES), 2048);
    assert_int_equal(growth_load_next(&fast, 1024, 2, 1500, BYTES), 1500);
    assert_int_equal(growth_load_next(&fast, 1500, 2, 1500, BYTES), 1500);
    assert_int_equal(growth_load_next(&slow, 1490, 1.5, 1500, BYTES), 1500);
}

static void test_the_trigger_leaves_what_arrives_until_a_piece_is_there(void **state)
{
    (void)state;
    struct growth_load load = load_of(0, 0);
    assert_int_equal(growth_load_trigger(&load, 10000, 80, BYTES), 8000); // nothing known: the earliest
    load = load_of(10, 0);
    assert_int_equal(growth_load_trigger(&load, 10000, 80, BYTES), 10000 - 625); // a sixteenth at least
    load = load_of(250000, 0);                                                   // 2 ms, twice
    assert_int_equal(growth_load_trigger(&load, 10000, 80, BYTES), 10000 - 1000);
    load = load_of(250000, 2000000.0 / (double)growth_piece(0, BYTES)); // a piece takes 2 ms more
    assert_int_equal(growth_load_trigger(&load, 10000, 80, BYTES), 10000 - 2000);
    load = load_of(1e9, 0);
    assert_int_equal(growth_load_trigger(&load, 10000, 80, BYTES), 8000);
}

// --- pools ----------------------------------------------------------------------------------------------

struct world {
    int64_t make_ns; // how long an object takes to make
    struct pool_events events;
};

static int construct(void *context, void *object)
{
    struct world *world = context;
    (void)object;
    atomic_fetch_add(&now_ns, world->make_ns);
    return 0;
}

static struct pool *open_in(struct world *world, const char *strategy, enum pool_growth_rule rule)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.object_bytes = BYTES;
    config.initial = INITIAL;
    config.growth_mode = POOL_GROW_INLINE;
    config.growth_rule = rule;
    config.construct = construct;
    config.object_context = world;
    config.listener = pool_events_listen;
    config.listener_context = &world->events;
    return contract_open(pool_strategy_find(strategy), &config);
}

// Objects arrive `apart_ns` from one another. Returns the objects owned when `count` are in use.
static int64_t storm(const char *strategy, enum pool_growth_rule rule, int64_t make_ns, int64_t apart_ns,
                     int64_t count, int *expansions)
{
    struct world world = {.make_ns = make_ns, .events = POOL_EVENTS_NONE};
    struct pool *pool = open_in(&world, strategy, rule);
    void **objects = malloc((size_t)count * sizeof *objects);
    assert_non_null(objects);
    for (int64_t i = 0; i < count; i++) {
        atomic_fetch_add(&now_ns, apart_ns);
        contract_get_many(pool, objects + i, 1);
    }
    int64_t owned = contract_counts(pool).owned;
    *expansions = pool_events_count(&world.events, POOL_EVENT_EXPAND);
    for (int i = 0; i < *expansions; i++)
        assert_true(world.events.events[i].to > world.events.events[i].from);
    contract_put_many(pool, objects, count);
    free(objects);
    pool_close(pool);
    return owned;
}

// docs/benchmarks.md has these.
static void test_a_slow_load_leaves_less_idle_than_the_factor(void **state)
{
    (void)state;
    static const struct {
        int64_t apart_us, owned;
        int expansions;
    } rows[] = {{1000, 21352, 44}, {100, 21362, 30}, {10, 22776, 8}};
    int expansions;
    assert_int_equal(storm("expand", POOL_RULE_FACTOR, 1000, 100 * NS_PER_US, MANY, &expansions), 26244);
    assert_int_equal(expansions, 8);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t owned =
            storm("expand", POOL_RULE_ADAPTIVE, 1000, rows[i].apart_us * NS_PER_US, MANY, &expansions);
        assert_in_range(owned, rows[i].owned - 20, rows[i].owned + 20); // rounding may differ elsewhere
        assert_int_equal(expansions, rows[i].expansions);
    }
}

static void test_objects_that_arrive_faster_than_they_are_made_come_by_the_factor(void **state)
{
    (void)state;
    int by_factor, by_load;
    int64_t factor = storm("expand", POOL_RULE_FACTOR, 100000, NS_PER_US, MANY, &by_factor);
    int64_t load = storm("expand", POOL_RULE_ADAPTIVE, 100000, NS_PER_US, MANY, &by_load);
    assert_int_equal(load, factor);
    assert_int_equal(by_load, by_factor);
}

// The same storm, after an hour in which nothing came: it counts as fast as before.
static void test_an_idle_hour_has_no_part_in_the_rate(void **state)
{
    (void)state;
    enum { BEFORE = 600, AFTER = 900 };
    int64_t owned[2];
    for (int hour = 0; hour <= 1; hour++) {
        struct world world = {.make_ns = 1000, .events = POOL_EVENTS_NONE};
        struct pool *pool = open_in(&world, "expand", POOL_RULE_ADAPTIVE);
        void *objects[AFTER];
        contract_get_many(pool, objects, BEFORE); // below the mark
        atomic_fetch_add(&now_ns, hour * 3600 * NS_PER_S);
        for (int i = BEFORE; i < AFTER; i++) {
            atomic_fetch_add(&now_ns, 5 * NS_PER_US); // 200 000 a second
            contract_get_many(pool, objects + i, 1);
        }
        owned[hour] = contract_counts(pool).owned;
        contract_put_many(pool, objects, AFTER);
        pool_close(pool);
    }
    assert_int_equal(owned[0], 1536); // all that the bound allows
    assert_int_equal(owned[1], owned[0]);
}

static void test_slab_raises_its_target_by_the_load(void **state)
{
    (void)state;
    int by_factor, by_load;
    (void)storm("slab", POOL_RULE_FACTOR, 1000, 100 * NS_PER_US, MANY, &by_factor);
    int64_t owned = storm("slab", POOL_RULE_ADAPTIVE, 1000, 100 * NS_PER_US, MANY, &by_load);
    assert_true(owned >= MANY);
    assert_true(by_load > by_factor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrivals_are_counted_from_the_mark),
        cmocka_unit_test(test_the_time_to_make_an_object_is_smoothed),
        cmocka_unit_test(test_the_step_is_what_arrives_while_it_is_made_and_for_a_while_after),
        cmocka_unit_test(test_the_step_keeps_to_its_bounds),
        cmocka_unit_test(test_the_trigger_leaves_what_arrives_until_a_piece_is_there),
        cmocka_unit_test(test_a_slow_load_leaves_less_idle_than_the_factor),
        cmocka_unit_test(test_objects_that_arrive_faster_than_they_are_made_come_by_the_factor),
        cmocka_unit_test(test_an_idle_hour_has_no_part_in_the_rate),
        cmocka_unit_test(test_slab_raises_its_target_by_the_load),
    };
    return cmocka_run_group_tests_name("growth_load", tests, NULL, NULL);
}
