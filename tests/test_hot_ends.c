// SPDX-License-Identifier: Apache-2.0
// What ends a connection of a hot pool, as one caller sees it: disuse, age, checks, pressure of memory.
#include "base/clock.h"
#include "tests/hot_caller.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_unused_ones_end_after_idle_ns(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_connection *connections[3];
    config.check_every_ns = 0;
    caller_open(&config);
    caller_take_many(connections, 3, "a");
    caller_give(connections[0]);
    hot_world_pass(&caller.world, config.idle_ns - 1);
    caller_give(connections[1]);
    hot_sweep(caller.pool);
    assert_int_equal(caller_stats().idle, 2);
    hot_world_pass(&caller.world, 1);
    hot_sweep(caller.pool);
    assert_int_equal(caller_stats().idle, 1);
    assert_int_equal(caller_stats().closed[HOT_END_IDLE], 1);
    caller_give(connections[2]);
}

static void test_lifetimes_end_apart_and_in_use_with_the_return(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_connection *connections[10];
    config.idle_ns = config.check_every_ns = 0;
    config.lifetime_ns = 1000 * NS_PER_S;
    config.lifetime_jitter_percent = 50;
    caller_open(&config);
    caller_take_many(connections, 10, "a");
    caller_give_many(connections, 9);
    hot_world_pass(&caller.world, 500 * NS_PER_S - 1);
    hot_sweep(caller.pool);
    assert_int_equal(caller_stats().closed[HOT_END_LIFETIME], 0);
    int64_t ended = 0, steps = 0;
    for (int i = 0; i < 10; i++) { // not all in the same twentieth
        hot_world_pass(&caller.world, 50 * NS_PER_S);
        hot_sweep(caller.pool);
        steps += caller_stats().closed[HOT_END_LIFETIME] > ended;
        ended = caller_stats().closed[HOT_END_LIFETIME];
    }
    hot_world_pass(&caller.world, 1);
    hot_sweep(caller.pool);
    assert_true(steps >= 4);
    assert_int_equal(caller_stats().closed[HOT_END_LIFETIME], 9);
    caller_give(connections[9]);
    assert_int_equal(caller_stats().closed[HOT_END_LIFETIME], 10);
}

static void test_one_past_its_lifetime_is_not_given(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    caller_open(&config);
    caller_give(caller_take("a"));
    hot_world_pass(&caller.world, config.lifetime_ns);
    assert_int_equal(caller_try("a"), -ETIMEDOUT);
    assert_int_equal(caller_stats().closed[HOT_END_LIFETIME], 1);
}

static void test_a_checkout_checks_what_was_idle_for_long(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    caller_open(&config);
    struct hot_connection *connections[2];
    caller_take_many(connections, 2, "a");
    hot_world_make_ill(&caller.world, connections[1]);
    caller_give_many(connections, 2);
    hot_world_pass(&caller.world, config.check_after_ns - 1);
    caller_give(caller_take("a")); // the ill one: used just now
    assert_int_equal(hot_world_read(&caller.world, &caller.world.asked), 0);
    hot_world_pass(&caller.world, config.check_after_ns);
    struct hot_connection *well = caller_take("a");
    assert_ptr_equal(well, connections[0]);
    assert_int_equal(hot_world_read(&caller.world, &caller.world.asked), 2);
    assert_int_equal(caller_stats().closed[HOT_END_UNHEALTHY], 1);
    caller_give(well);
}

static void test_the_sweep_checks_and_keeps_the_order(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_connection *connections[3];
    config.idle_ns = 0;
    caller_open(&config);
    caller_take_many(connections, 3, "a");
    hot_world_make_ill(&caller.world, connections[1]);
    for (int i = 0; i < 3; i++) {
        caller_give(connections[i]);
        hot_world_pass(&caller.world, 1);
    }
    hot_sweep(caller.pool);
    assert_int_equal(hot_world_read(&caller.world, &caller.world.asked), 0);
    hot_world_pass(&caller.world, config.check_every_ns);
    assert_int_equal(hot_sweep(caller.pool), 1);
    assert_int_equal(hot_world_read(&caller.world, &caller.world.asked), 3);
    hot_sweep(caller.pool);
    assert_int_equal(hot_world_read(&caller.world, &caller.world.asked), 3); // checked just now
    assert_int_equal(caller_stats().closed[HOT_END_UNHEALTHY], 1);
    struct hot_connection *newest = caller_take("a");
    assert_ptr_equal(newest, connections[2]);
    caller_give(newest);
}

static void test_pressure_drops_the_oldest_fifth_and_the_ill(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_connection *connections[20];
    config.host_max = 20;
    config.memory_max_bytes = 25 * config.connection_bytes; // 80 % of it: 20 connections
    config.check_every_ns = 0;
    caller_open(&config);
    for (int i = 0; i < 20; i++)
        connections[i] = caller_take("a");
    hot_sweep(caller.pool);
    assert_int_equal(caller_stats().closed[HOT_END_PRESSURE], 0); // at the threshold, not past it
    struct hot_connection *one_more = caller_take("b");
    hot_world_make_ill(&caller.world, connections[19]);
    for (int i = 1; i < 20; i++) // the oldest stays in use
        caller_give(connections[i]);
    hot_world_pass(&caller.world, 1);
    hot_sweep(caller.pool);
    struct hot_stats stats = caller_stats();
    assert_int_equal(stats.closed[HOT_END_PRESSURE], 4); // a fifth of 21, rounded up, less the one in use
    assert_int_equal(stats.closed[HOT_END_UNHEALTHY], 1);
    assert_int_equal(stats.total, 16);
    for (int i = 5; i < 19; i++) // all those are younger
        assert_int_equal(hot_world_number(connections[i]), i + 1);
    caller_give(connections[0]);
    assert_int_equal(caller_stats().closed[HOT_END_PRESSURE], 5);
    caller_give(one_more);
}

static int64_t memory_of_world(void *context)
{
    struct hot_world *of = context;
    return hot_world_read(of, &of->memory_bytes);
}

static void test_pressure_may_be_measured_or_said(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_connection *connections[10];
    config.resource.memory_bytes = memory_of_world;
    config.memory_max_bytes = 1000;
    caller_open(&config);
    caller_take_many(connections, 10, "a");
    caller_give_many(connections, 10);
    caller.world.memory_bytes = 800;
    hot_sweep(caller.pool);
    assert_int_equal(caller_stats().total, 10);
    caller.world.memory_bytes = 801;
    hot_sweep(caller.pool);
    assert_int_equal(caller_stats().total, 8);
    assert_int_equal(hot_relieve(caller.pool), 2);
    assert_int_equal(caller_stats().idle, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALLER_TEST(test_unused_ones_end_after_idle_ns),
        CALLER_TEST(test_lifetimes_end_apart_and_in_use_with_the_return),
        CALLER_TEST(test_one_past_its_lifetime_is_not_given),
        CALLER_TEST(test_a_checkout_checks_what_was_idle_for_long),
        CALLER_TEST(test_the_sweep_checks_and_keeps_the_order),
        CALLER_TEST(test_pressure_drops_the_oldest_fifth_and_the_ill),
        CALLER_TEST(test_pressure_may_be_measured_or_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
