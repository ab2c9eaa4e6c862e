// SPDX-License-Identifier: Apache-2.0
// A hot pool opens nothing for ever: warm connections within the bounds, and under memory pressure. Hosts that
// hang leave openers to others, from the time-out of an open on.
#include "base/clock.h"
#include "pools/hot/state.h"
#include "tests/hot_caller.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 20 };

static void test_warm_hosts_together_are_within_the_bounds(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct err err = {0};
    caller_open(&config);
    assert_int_equal(hot_warm(caller.pool, "a", 10, HOT_FOREVER, NULL), 0);
    assert_int_equal(hot_warm(caller.pool, "b", 10, HOT_FOREVER, NULL), 0);
    assert_int_equal(hot_warm(caller.pool, "c", 1, 0, &err), -ERANGE);
    assert_non_null(strstr(err.text, "1 connections, and 20 kept to other hosts, are past 20 idle"));
    for (int i = 0; i < ROUNDS; i++)
        hot_sweep(caller.pool);
    assert_int_equal(hot_world_read(&caller.world, &caller.world.calls), 20);
    assert_int_equal(hot_warm(caller.pool, "a", 9, HOT_FOREVER, NULL), 0);
    assert_int_equal(hot_warm(caller.pool, "c", 1, HOT_FOREVER, NULL), 0);
    assert_int_equal(hot_warm(caller.pool, "a", 10, HOT_FOREVER, NULL), -ERANGE);
    hot_sweep(caller.pool);
    assert_int_equal(caller_stats().idle, 20);
    assert_int_equal(caller_stats().created, 21);
}

// One combination of bounds, counts to keep and a bound of memory (in connections; 0: none).
struct combination {
    int total_max, idle_max, host_max, keep[2], later, memory_max;
};

static int64_t settle(struct hot_state *pool, const struct combination *at)
{
    struct hot_connection *connection;
    for (int i = 0; i < ROUNDS; i++) {
        hot_state_expire(pool, i);
        while ((connection = hot_state_next_open(pool, i)))
            (void)hot_state_opened(pool, connection, 0, i);
        while ((connection = hot_state_next_close(pool)))
            hot_state_closed(pool, connection, i);
        if (at->memory_max > 0 && hot_owned(pool->count) * 10 > at->memory_max * 8)
            (void)hot_state_relieve(pool);
        assert_true(hot_state_is_valid(pool));
    }
    return pool->stats.created;
}

static void try_combination(const struct combination *at)
{
    struct hot_config config = HOT_CONFIG_DEFAULTS;
    struct hot_state pool;
    struct hot_connection *connection;
    config.total_max = at->total_max;
    config.idle_max = at->idle_max;
    config.host_max = at->host_max;
    assert_int_equal(hot_state_init(&pool, &config), 0);
    struct hot_host *a = hot_host_hold(&pool, "a"), *b = hot_host_hold(&pool, "b");
    (void)!hot_state_keep(&pool, a, at->keep[0], 0);
    (void)!hot_state_keep(&pool, b, at->keep[1], 0);
    (void)settle(&pool, at);
    (void)!hot_state_keep(&pool, a, at->later, 0); // more or fewer than before
    int64_t created = settle(&pool, at);
    if (settle(&pool, at) != created)
        fail_msg("goes on opening: %d in all, %d idle, %d a host, keeps %d, then %d, and %d, memory for %d",
                 at->total_max, at->idle_max, at->host_max, at->keep[0], at->later, at->keep[1],
                 at->memory_max);
    hot_state_drain(&pool);
    while ((connection = hot_state_next_close(&pool)))
        hot_state_closed(&pool, connection, 0);
    assert_int_equal(hot_owned(pool.count), 0);
    hot_state_free(&pool);
}

static void test_no_bounds_and_counts_make_a_pool_open_and_close_for_ever(void **state)
{
    (void)state;
    struct combination at;
    for (int i = 0; i < 3 * 4 * 3 * 4 * 4 * 4 * 4; i++) {
        int rest = i;
        at.total_max = 1 + rest % 3;
        at.idle_max = (rest /= 3) % 4;
        at.host_max = 1 + (rest /= 4) % 3;
        at.keep[0] = (rest /= 3) % 4;
        at.keep[1] = (rest /= 4) % 4;
        at.later = (rest /= 4) % 4;
        at.memory_max = rest / 4;
        try_combination(&at);
    }
}

static void test_warm_ones_that_end_for_pressure_are_not_replaced(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    config.memory_max_bytes = 10 * config.connection_bytes;
    caller_open(&config);
    assert_int_equal(hot_warm(caller.pool, "a", 10, HOT_FOREVER, NULL), 0);
    for (int i = 0; i < ROUNDS; i++)
        hot_sweep(caller.pool);
    assert_int_equal(caller_stats().idle, 8);
    assert_int_equal(hot_world_read(&caller.world, &caller.world.calls), 10);
}

static void test_hosts_that_hang_leave_openers_for_others(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_user users[2];
    char name[24];
    config.host_max = 50;
    config.open_timeout_ns = 50 * NS_PER_MS;
    caller_open(&config);
    hot_world_hang(&caller.world, "dead-*");
    hot_user_start(&users[0], caller.pool, "dead-1", HOT_FOREVER);
    hot_user_start(&users[1], caller.pool, "dead-2", HOT_FOREVER);
    HOT_AWAIT(caller.pool, waiting, 2);
    for (int i = 0; i < 2 * ROUNDS; i++) {
        hot_world_pass(&caller.world, config.open_timeout_ns);
        hot_sweep(caller.pool);
        struct hot_stats stats = caller_stats();
        assert_true(stats.overdue + stats.opening <= 4);
        snprintf(name, sizeof name, "good-%d", i);
        caller_give(caller_take(name));
    }
    hot_world_hang(&caller.world, NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hot_user_join(&users[i]), 0);
        caller_give(users[i].connection);
    }
    HOT_AWAIT(caller.pool, opening, 0);
    HOT_AWAIT(caller.pool, overdue, 0);
}

static void test_one_host_takes_no_more_openers_than_it_leaves(void **state)
{
    (void)state;
    static const int takes[] = {8, 4, 2, 1, 1, 1};
    struct hot_config config = HOT_CONFIG_DEFAULTS;
    struct hot_state pool;
    config.total_max = config.idle_max = config.host_max = 100;
    assert_int_equal(hot_state_init(&pool, &config), 0);
    for (int i = 0; i < 6; i++) {
        char name[] = {(char)('a' + i), '\0'};
        struct hot_host *host = hot_host_hold(&pool, name);
        assert_true(hot_state_keep(&pool, host, 10, 0));
        assert_int_equal(host->count[HOT_WANTED], takes[i]);
    }
    hot_state_drain(&pool);
    hot_state_free(&pool);
}

static void test_an_overdue_open_is_a_failure_from_its_own_deadline_on(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_user user;
    config.sweep_ns = 3600 * NS_PER_S;
    config.open_timeout_ns = 300 * NS_PER_MS;
    config.retry_ns = NS_PER_S;
    caller_open(&config);
    hot_world_hang(&caller.world, "a");
    hot_user_start(&user, caller.pool, "a", HOT_FOREVER);
    HOT_AWAIT(caller.pool, opening, 1);
    int64_t guard_ns = hot_await_guard_ns();
    while (hot_world_read(&caller.world, &caller.world.hanging) != 1 && hot_await_goes_on(guard_ns)) {
    }
    hot_world_pass(&caller.world, config.open_timeout_ns);
    HOT_AWAIT(caller.pool, overdue, 1);
    assert_int_equal(caller_stats().open_failures, 1);
    assert_int_equal(caller_stats().opening, 0); // the host pauses
    hot_world_pass(&caller.world, config.retry_ns);
    HOT_AWAIT(caller.pool, opening, 1);
    hot_world_hang(&caller.world, NULL);
    assert_int_equal(hot_user_join(&user), 0);
    caller_give(user.connection);
    HOT_AWAIT(caller.pool, opening, 0);
    HOT_AWAIT(caller.pool, overdue, 0);
}

static void test_what_nobody_waits_for_any_more_does_not_count(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_user dead, user;
    config.openers = 1;
    caller_open(&config);
    hot_world_hang(&caller.world, "dead");
    hot_user_start(&dead, caller.pool, "dead", HOT_FOREVER);
    HOT_AWAIT(caller.pool, waiting, 1);
    int64_t guard_ns = hot_await_guard_ns();
    while (hot_world_read(&caller.world, &caller.world.hanging) != 1 && hot_await_goes_on(guard_ns)) {
    }
    hot_user_start(&user, caller.pool, "a", NS_PER_S);
    HOT_AWAIT(caller.pool, opening, 2);
    hot_world_pass(&caller.world, NS_PER_S);
    assert_int_equal(hot_user_join(&user), -ETIMEDOUT);
    assert_int_equal(caller_stats().opening, 1);
    assert_int_equal(caller_stats().total, 1);
    hot_world_hang(&caller.world, NULL);
    assert_int_equal(hot_user_join(&dead), 0);
    caller_give(dead.connection);
}

static void test_nothing_is_warmed_while_draining(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    caller_open(&config);
    struct hot_connection *connection = caller_take("a");
    assert_int_equal(hot_drain(caller.pool, 0), -ETIMEDOUT);
    assert_int_equal(hot_warm(caller.pool, "a", 1, HOT_FOREVER, NULL), -ECANCELED);
    caller_give(connection);
}

static void test_pressure_that_could_not_be_seen_is_refused(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct err err = {0};
    config.connection_bytes = 0;
    config.memory_max_bytes = 1;
    assert_int_equal(hot_open(&caller.pool, &config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "connection_bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALLER_TEST(test_warm_hosts_together_are_within_the_bounds),
        cmocka_unit_test(test_no_bounds_and_counts_make_a_pool_open_and_close_for_ever),
        CALLER_TEST(test_warm_ones_that_end_for_pressure_are_not_replaced),
        CALLER_TEST(test_hosts_that_hang_leave_openers_for_others),
        cmocka_unit_test(test_one_host_takes_no_more_openers_than_it_leaves),
        CALLER_TEST(test_an_overdue_open_is_a_failure_from_its_own_deadline_on),
        CALLER_TEST(test_what_nobody_waits_for_any_more_does_not_count),
        CALLER_TEST(test_nothing_is_warmed_while_draining),
        CALLER_TEST(test_pressure_that_could_not_be_seen_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
