// SPDX-License-Identifier: Apache-2.0
// A hot pool as one caller sees it: reuse, bounds, warm-up, the end. What ends a connection: test_hot_ends.c.
#include "base/clock.h"
#include "tests/death.h"
#include "tests/hot_caller.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_a_connection_is_used_again(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    caller_open(&config);
    for (int i = 0; i < 10; i++) {
        struct hot_connection *connection = caller_take("a");
        assert_int_equal(hot_uses_of(connection), i);
        assert_string_equal(hot_host_of(connection), "a");
        caller_give(connection);
    }
    struct hot_stats stats = caller_stats();
    assert_int_equal(stats.created, 1);
    assert_int_equal(stats.checkouts, 10);
    assert_int_equal(stats.fresh, 1);
    assert_int_equal(stats.reused, 9);
    assert_true(stats.reuse_percent > 89.9 && stats.reuse_percent < 90.1);
    assert_int_equal(stats.total, 1);
    assert_int_equal(stats.idle, 1);
}

static void test_the_one_used_last_is_used_next(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_connection *connections[3];
    caller_open(&config);
    caller_take_many(connections, 3, "a");
    caller_give(connections[0]);
    caller_give(connections[2]);
    caller_give(connections[1]);
    struct hot_connection *connection = caller_take("a");
    assert_ptr_equal(connection, connections[1]);
    caller_give(connection);
}

static void test_a_host_has_no_more_than_host_max(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_connection *connections[10], *other;
    caller_open(&config);
    caller_take_many(connections, 10, "a");
    assert_int_equal(caller_try("a"), -ETIMEDOUT);
    struct hot_user user;
    hot_user_start(&user, caller.pool, "a", 5 * NS_PER_S);
    HOT_AWAIT(caller.pool, waiting, 1);
    other = caller_take("b"); // another host goes on
    hot_world_pass(&caller.world, 5 * NS_PER_S);
    assert_int_equal(hot_user_join(&user), -ETIMEDOUT);
    assert_non_null(strstr(user.err.text, "of 10 to it 10 are in use"));
    assert_int_equal(hot_world_read(&caller.world, &caller.world.opened), 11);
    caller_give_many(connections, 10);
    caller_give(other);
    struct hot_stats stats = caller_stats();
    assert_int_equal(stats.timeouts, 2);
    assert_int_equal(stats.checkouts, stats.reused + stats.fresh + stats.timeouts + stats.refused);
    assert_int_equal(stats.longest_wait_ns, 5 * NS_PER_S);
    assert_int_equal(stats.peak_waiting, 2); // this, and one for its open
}

static void test_at_total_max_an_idle_connection_makes_room(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_connection *a[2];
    struct hot_user user;
    config.total_max = 2;
    caller_open(&config);
    caller_take_many(a, 2, "a");
    caller_give_many(a, 2);
    hot_user_start(&user, caller.pool, "b", HOT_FOREVER);
    HOT_AWAIT(caller.pool, closed[HOT_END_ROOM], 1);
    assert_int_equal(hot_world_read(&caller.world, &caller.world.opened), 2); // not before the close is over
    assert_int_equal(hot_sweep(caller.pool), 1);
    assert_int_equal(hot_user_join(&user), 0);
    assert_int_equal(caller_stats().total, 2);
    assert_int_equal(caller_stats().peak_total, 2);
    caller_give(user.connection);
}

static void test_at_total_max_the_longest_waiter_is_made_room_for(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_connection *a;
    struct hot_user b, a2;
    config.total_max = 1;
    caller_open(&config);
    a = caller_take("a");
    hot_user_start(&b, caller.pool, "b", HOT_FOREVER);
    HOT_AWAIT(caller.pool, waiting, 1);
    hot_user_start(&a2, caller.pool, "a", HOT_FOREVER);
    HOT_AWAIT(caller.pool, waiting, 2);
    caller_give(a);
    assert_int_equal(caller_stats().closed[HOT_END_ROOM], 1);
    assert_int_equal(hot_sweep(caller.pool), 1);
    assert_int_equal(hot_user_join(&b), 0);
    assert_false(atomic_load(&a2.done));
    caller_give(b.connection);
    hot_sweep(caller.pool);
    assert_int_equal(hot_user_join(&a2), 0);
    caller_give(a2.connection);
}

static void test_past_idle_max_the_longest_unused_goes(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_connection *connections[4];
    config.idle_max = 2;
    caller_open(&config);
    caller_take_many(connections, 2, "a");
    caller_take_many(connections + 2, 2, "b");
    for (int i = 0; i < 4; i++) {
        caller_give(connections[i]);
        hot_world_pass(&caller.world, 1);
    }
    assert_int_equal(caller_stats().idle, 2);
    assert_int_equal(caller_stats().closed[HOT_END_SURPLUS], 2);
    assert_int_equal(caller_try("a"), -ETIMEDOUT);
    assert_int_equal(caller_try("b"), 0);
}

static void test_with_no_idle_allowed_each_return_closes(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    config.idle_max = 0;
    caller_open(&config);
    caller_give(caller_take("a"));
    caller_give(caller_take("a"));
    assert_int_equal(caller_stats().closed[HOT_END_SURPLUS], 2);
    assert_int_equal(caller_stats().fresh, 2);
}

static void test_a_broken_connection_ends(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    caller_open(&config);
    hot_return(caller.pool, caller_take("a"), HOT_BROKEN);
    assert_int_equal(caller_stats().closed[HOT_END_BROKEN], 1);
    assert_int_equal(caller_stats().closing, 1); // counts until it is closed
    assert_int_equal(hot_sweep(caller.pool), 1);
    assert_int_equal(caller_stats().total, 0);
}

static void test_lists_allow_and_deny_hosts(void **state)
{
    (void)state;
    static const char *const allow[] = {"10.0.0.*:1883", "localhost:*", NULL};
    static const char *const deny[] = {"10.0.0.9:*", NULL};
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_connection *connection;
    struct err err = {0};
    config.allow = allow;
    config.deny = deny;
    caller_open(&config);
    caller_give(caller_take("10.0.0.1:1883"));
    caller_give(caller_take("localhost:8883"));
    assert_int_equal(hot_checkout(caller.pool, "10.0.0.9:1883", HOT_FOREVER, &connection, &err), -EACCES);
    assert_non_null(strstr(err.text, "10.0.0.9:1883"));
    assert_null(connection);
    assert_int_equal(caller_try("10.0.0.1:8883"), -EACCES);
    assert_int_equal(hot_warm(caller.pool, "example.org:1883", 1, 0, NULL), -EACCES);
    assert_int_equal(caller_stats().refused, 2);
}

static void test_a_warm_host_keeps_its_connections(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    config.check_every_ns = 0;
    caller_open(&config);
    assert_int_equal(hot_warm(caller.pool, "a", 5, HOT_FOREVER, NULL), 0);
    assert_int_equal(caller_stats().idle, 5);
    assert_int_equal(hot_warm(caller.pool, "a", 11, HOT_FOREVER, NULL), -ERANGE);
    caller_give(caller_take("a"));
    assert_int_equal(caller_stats().fresh, 1); // a warm connection was not used before
    assert_int_equal(caller_stats().created, 5);
    hot_world_pass(&caller.world, config.idle_ns);
    hot_sweep(caller.pool);
    assert_int_equal(caller_stats().idle, 5);
    hot_return(caller.pool, caller_take("a"), HOT_BROKEN); // is replaced
    hot_sweep(caller.pool);
    HOT_AWAIT(caller.pool, idle, 5);
    hot_world_pass(&caller.world, config.lifetime_ns); // and so are those that end by their age
    hot_sweep(caller.pool);
    hot_sweep(caller.pool);
    HOT_AWAIT(caller.pool, idle, 5);
    assert_int_equal(caller_stats().closed[HOT_END_LIFETIME], 5);
    assert_int_equal(hot_warm(caller.pool, "a", 0, 0, NULL), 0);
    hot_world_pass(&caller.world, config.idle_ns);
    hot_sweep(caller.pool);
    assert_int_equal(caller_stats().total, 0);
}

static void test_warm_connections_of_others_go_for_who_waits(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_user user;
    config.total_max = 2;
    caller_open(&config);
    assert_int_equal(hot_warm(caller.pool, "a", 2, HOT_FOREVER, NULL), 0);
    hot_user_start(&user, caller.pool, "b", HOT_FOREVER);
    HOT_AWAIT(caller.pool, closed[HOT_END_ROOM], 1);
    hot_sweep(caller.pool);
    assert_int_equal(hot_user_join(&user), 0);
    hot_sweep(caller.pool);
    assert_int_equal(caller_stats().closed[HOT_END_ROOM], 1); // who keeps takes nobody's place back
    caller_give(user.connection);
}

static void test_hosts_that_nothing_is_known_of_are_forgotten(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    char name[24];
    caller_open(&config);
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "host-%d", i);
        caller_give(caller_take(name));
        hot_sweep(caller.pool);
    }
    assert_int_equal(caller_stats().idle, 20);
    hot_sweep(caller.pool);
    assert_int_equal(caller_stats().hosts, 20);
}

static void test_a_drain_ends_all(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&caller.world);
    struct hot_connection *out[2], *connection;
    caller_open(&config);
    caller_take_many(out, 2, "a");
    caller_give(caller_take("b"));
    assert_int_equal(hot_drain(caller.pool, 0), -ETIMEDOUT);
    assert_int_equal(caller_stats().total, 2);
    assert_int_equal(hot_checkout(caller.pool, "a", HOT_FOREVER, &connection, NULL), -ECANCELED);
    assert_int_equal(hot_warm(caller.pool, "a", 5, HOT_FOREVER, NULL), -ECANCELED);
    caller_give(out[0]);
    assert_int_equal(hot_close(caller.pool, 0), -ETIMEDOUT); // nothing is freed yet
    caller_give(out[1]);
    assert_int_equal(hot_drain(caller.pool, 0), 0);
    assert_int_equal(caller_stats().closed[HOT_END_DRAIN], 3);
}

static void test_a_bad_configuration_is_named(void **state)
{
    (void)state;
    struct hot_config good = hot_world_config(&caller.world), bad = good;
    struct err err = {0};
    bad.host_max = 0;
    assert_int_equal(hot_open(&caller.pool, &bad, &err), -EINVAL);
    assert_non_null(strstr(err.text, "host_max"));
    bad = good;
    bad.retry_max_ns = bad.retry_ns - 1;
    assert_int_equal(hot_open(&caller.pool, &bad, &err), -EINVAL);
    assert_non_null(strstr(err.text, "retry_max_ns"));
    bad = good;
    bad.resource.close = NULL;
    assert_int_equal(hot_open(&caller.pool, &bad, &err), -EINVAL);
    assert_non_null(strstr(err.text, "close"));
}

static void return_twice(void *context)
{
    (void)context;
    struct hot_config config = hot_world_config(&caller.world);
    caller_open(&config);
    struct hot_connection *connection = caller_take("a");
    caller_give(connection);
    caller_give(connection);
}

static void test_a_checked_build_notices_a_second_return(void **state)
{
    (void)state;
#ifdef POOLMARK_CHECK
    char said[400];
    assert_int_equal(death_of(return_twice, NULL, said, sizeof said), SIGABRT);
    assert_non_null(strstr(said, "a connection to a was returned, and is not checked out"));
#else
    (void)return_twice;
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALLER_TEST(test_a_connection_is_used_again),
        CALLER_TEST(test_the_one_used_last_is_used_next),
        CALLER_TEST(test_a_host_has_no_more_than_host_max),
        CALLER_TEST(test_at_total_max_an_idle_connection_makes_room),
        CALLER_TEST(test_at_total_max_the_longest_waiter_is_made_room_for),
        CALLER_TEST(test_past_idle_max_the_longest_unused_goes),
        CALLER_TEST(test_with_no_idle_allowed_each_return_closes),
        CALLER_TEST(test_a_broken_connection_ends),
        CALLER_TEST(test_lists_allow_and_deny_hosts),
        CALLER_TEST(test_a_warm_host_keeps_its_connections),
        CALLER_TEST(test_warm_connections_of_others_go_for_who_waits),
        CALLER_TEST(test_hosts_that_nothing_is_known_of_are_forgotten),
        CALLER_TEST(test_a_drain_ends_all),
        CALLER_TEST(test_a_bad_configuration_is_named),
        CALLER_TEST(test_a_checked_build_notices_a_second_return),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
