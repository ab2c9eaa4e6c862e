// SPDX-License-Identifier: Apache-2.0
// A hot pool as one caller sees it: reuse, bounds, what ends a connection, warm-up, the end.
#include "base/clock.h"
#include "tests/death.h"
#include "tests/hot_world.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 32 };

static struct hot_world world;
static struct hot_pool *pool;

static int set_up(void **state)
{
    (void)state;
    hot_world_init(&world);
    pool = NULL;
    return 0;
}

static void open_pool(const struct hot_config *config)
{
    struct err err = {0};
    assert_int_equal(hot_open(&pool, config, &err), 0);
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(hot_close(pool, 0), 0);
    hot_world_destroy(&world);
    return 0;
}

static struct hot_connection *take(const char *host)
{
    struct hot_connection *connection;
    struct err err = {0};
    int code = hot_checkout(pool, host, HOT_FOREVER, &connection, &err);
    if (code < 0)
        fail_msg("%s", err.text);
    hot_world_use(&world, connection);
    return connection;
}

static void give(struct hot_connection *connection)
{
    hot_return(pool, connection, HOT_WORKS);
}

static void take_many(struct hot_connection *connections[], int count, const char *host)
{
    for (int i = 0; i < count; i++)
        connections[i] = take(host);
}

static void give_many(struct hot_connection *connections[], int count)
{
    for (int i = 0; i < count; i++)
        give(connections[i]);
}

static int try(const char *host)
{
    struct hot_connection *connection;
    int code = hot_checkout(pool, host, 0, &connection, NULL);
    if (code == 0)
        give(connection);
    return code;
}

static struct hot_stats stats_now(void)
{
    struct hot_stats stats;
    hot_stats(pool, &stats);
    return stats;
}

static void test_a_connection_is_used_again(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    open_pool(&config);
    for (int i = 0; i < 10; i++) {
        struct hot_connection *connection = take("a");
        assert_int_equal(hot_uses_of(connection), i);
        assert_string_equal(hot_host_of(connection), "a");
        give(connection);
    }
    struct hot_stats stats = stats_now();
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
    struct hot_config config = hot_world_config(&world);
    struct hot_connection *connections[3];
    open_pool(&config);
    take_many(connections, 3, "a");
    give(connections[0]);
    give(connections[2]);
    give(connections[1]);
    struct hot_connection *connection = take("a");
    assert_ptr_equal(connection, connections[1]);
    give(connection);
}

static void test_a_host_has_no_more_than_host_max(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_connection *connections[10], *other;
    open_pool(&config);
    take_many(connections, 10, "a");
    assert_int_equal(try("a"), -ETIMEDOUT);
    struct hot_user user;
    hot_user_start(&user, pool, "a", 5 * NS_PER_S);
    HOT_AWAIT(pool, waiting, 1);
    other = take("b"); // another host goes on
    hot_world_pass(&world, 5 * NS_PER_S);
    assert_int_equal(hot_user_join(&user), -ETIMEDOUT);
    assert_non_null(strstr(user.err.text, "of 10 to it 10 are in use"));
    assert_int_equal(hot_world_read(&world, &world.opened), 11);
    give_many(connections, 10);
    give(other);
    struct hot_stats stats = stats_now();
    assert_int_equal(stats.timeouts, 2);
    assert_int_equal(stats.checkouts, stats.reused + stats.fresh + stats.timeouts + stats.refused);
    assert_int_equal(stats.longest_wait_ns, 5 * NS_PER_S);
    assert_int_equal(stats.peak_waiting, 2); // this, and one for its open
}

static void test_at_total_max_an_idle_connection_makes_room(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_connection *a[2];
    struct hot_user user;
    config.total_max = 2;
    open_pool(&config);
    take_many(a, 2, "a");
    give_many(a, 2);
    hot_user_start(&user, pool, "b", HOT_FOREVER);
    HOT_AWAIT(pool, closed[HOT_END_ROOM], 1);
    assert_int_equal(hot_world_read(&world, &world.opened), 2); // not before the close is over
    assert_int_equal(hot_sweep(pool), 1);
    assert_int_equal(hot_user_join(&user), 0);
    assert_int_equal(stats_now().total, 2);
    assert_int_equal(stats_now().peak_total, 2);
    give(user.connection);
}

static void test_at_total_max_the_longest_waiter_is_made_room_for(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_connection *a;
    struct hot_user b, a2;
    config.total_max = 1;
    open_pool(&config);
    a = take("a");
    hot_user_start(&b, pool, "b", HOT_FOREVER);
    HOT_AWAIT(pool, waiting, 1);
    hot_user_start(&a2, pool, "a", HOT_FOREVER);
    HOT_AWAIT(pool, waiting, 2);
    give(a);
    assert_int_equal(stats_now().closed[HOT_END_ROOM], 1);
    assert_int_equal(hot_sweep(pool), 1);
    assert_int_equal(hot_user_join(&b), 0);
    assert_false(atomic_load(&a2.done));
    give(b.connection);
    hot_sweep(pool);
    assert_int_equal(hot_user_join(&a2), 0);
    give(a2.connection);
}

static void test_past_idle_max_the_longest_unused_goes(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_connection *connections[4];
    config.idle_max = 2;
    open_pool(&config);
    take_many(connections, 2, "a");
    take_many(connections + 2, 2, "b");
    for (int i = 0; i < 4; i++) {
        give(connections[i]);
        hot_world_pass(&world, 1);
    }
    assert_int_equal(stats_now().idle, 2);
    assert_int_equal(stats_now().closed[HOT_END_SURPLUS], 2);
    assert_int_equal(try("a"), -ETIMEDOUT);
    assert_int_equal(try("b"), 0);
}

static void test_with_no_idle_allowed_each_return_closes(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    config.idle_max = 0;
    open_pool(&config);
    give(take("a"));
    give(take("a"));
    assert_int_equal(stats_now().closed[HOT_END_SURPLUS], 2);
    assert_int_equal(stats_now().fresh, 2);
}

static void test_a_broken_connection_ends(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    open_pool(&config);
    hot_return(pool, take("a"), HOT_BROKEN);
    assert_int_equal(stats_now().closed[HOT_END_BROKEN], 1);
    assert_int_equal(stats_now().closing, 1); // counts until it is closed
    assert_int_equal(hot_sweep(pool), 1);
    assert_int_equal(stats_now().total, 0);
}

static void test_unused_ones_end_after_idle_ns(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_connection *connections[3];
    config.check_every_ns = 0;
    open_pool(&config);
    take_many(connections, 3, "a");
    give(connections[0]);
    hot_world_pass(&world, config.idle_ns - 1);
    give(connections[1]);
    hot_sweep(pool);
    assert_int_equal(stats_now().idle, 2);
    hot_world_pass(&world, 1);
    hot_sweep(pool);
    assert_int_equal(stats_now().idle, 1);
    assert_int_equal(stats_now().closed[HOT_END_IDLE], 1);
    give(connections[2]);
}

static void test_lifetimes_end_apart_and_in_use_with_the_return(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_connection *connections[10];
    config.idle_ns = config.check_every_ns = 0;
    config.lifetime_ns = 1000 * NS_PER_S;
    config.lifetime_jitter_percent = 50;
    open_pool(&config);
    take_many(connections, 10, "a");
    give_many(connections, 9);
    hot_world_pass(&world, 500 * NS_PER_S - 1);
    hot_sweep(pool);
    assert_int_equal(stats_now().closed[HOT_END_LIFETIME], 0);
    int64_t ended = 0, steps = 0;
    for (int i = 0; i < 10; i++) { // not all in the same twentieth
        hot_world_pass(&world, 50 * NS_PER_S);
        hot_sweep(pool);
        steps += stats_now().closed[HOT_END_LIFETIME] > ended;
        ended = stats_now().closed[HOT_END_LIFETIME];
    }
    hot_world_pass(&world, 1);
    hot_sweep(pool);
    assert_true(steps >= 4);
    assert_int_equal(stats_now().closed[HOT_END_LIFETIME], 9);
    give(connections[9]);
    assert_int_equal(stats_now().closed[HOT_END_LIFETIME], 10);
}

static void test_one_past_its_lifetime_is_not_given(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    open_pool(&config);
    give(take("a"));
    hot_world_pass(&world, config.lifetime_ns);
    assert_int_equal(try("a"), -ETIMEDOUT);
    assert_int_equal(stats_now().closed[HOT_END_LIFETIME], 1);
}

static void test_a_checkout_checks_what_was_idle_for_long(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    open_pool(&config);
    struct hot_connection *connections[2];
    take_many(connections, 2, "a");
    hot_world_make_ill(&world, connections[1]);
    give_many(connections, 2);
    hot_world_pass(&world, config.check_after_ns - 1);
    give(take("a")); // the ill one: used just now
    assert_int_equal(hot_world_read(&world, &world.asked), 0);
    hot_world_pass(&world, config.check_after_ns);
    struct hot_connection *well = take("a");
    assert_ptr_equal(well, connections[0]);
    assert_int_equal(hot_world_read(&world, &world.asked), 2);
    assert_int_equal(stats_now().closed[HOT_END_UNHEALTHY], 1);
    give(well);
}

static void test_the_sweep_checks_and_keeps_the_order(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_connection *connections[3];
    config.idle_ns = 0;
    open_pool(&config);
    take_many(connections, 3, "a");
    hot_world_make_ill(&world, connections[1]);
    for (int i = 0; i < 3; i++) {
        give(connections[i]);
        hot_world_pass(&world, 1);
    }
    hot_sweep(pool);
    assert_int_equal(hot_world_read(&world, &world.asked), 0);
    hot_world_pass(&world, config.check_every_ns);
    assert_int_equal(hot_sweep(pool), 1);
    assert_int_equal(hot_world_read(&world, &world.asked), 3);
    hot_sweep(pool);
    assert_int_equal(hot_world_read(&world, &world.asked), 3); // checked just now
    assert_int_equal(stats_now().closed[HOT_END_UNHEALTHY], 1);
    struct hot_connection *newest = take("a");
    assert_ptr_equal(newest, connections[2]);
    give(newest);
}

static void test_pressure_drops_the_oldest_fifth_and_the_ill(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_connection *connections[20];
    config.host_max = 20;
    config.memory_max_bytes = 25 * config.connection_bytes; // 80 % of it: 20 connections
    config.check_every_ns = 0;
    open_pool(&config);
    for (int i = 0; i < 20; i++)
        connections[i] = take("a");
    hot_sweep(pool);
    assert_int_equal(stats_now().closed[HOT_END_PRESSURE], 0); // at the threshold, not past it
    struct hot_connection *one_more = take("b");
    hot_world_make_ill(&world, connections[19]);
    for (int i = 1; i < 20; i++) // the oldest stays in use
        give(connections[i]);
    hot_world_pass(&world, 1);
    hot_sweep(pool);
    struct hot_stats stats = stats_now();
    assert_int_equal(stats.closed[HOT_END_PRESSURE], 4); // a fifth of 21, rounded up, less the one in use
    assert_int_equal(stats.closed[HOT_END_UNHEALTHY], 1);
    assert_int_equal(stats.total, 16);
    for (int i = 5; i < 19; i++) // all those are younger
        assert_int_equal(hot_world_number(connections[i]), i + 1);
    give(connections[0]);
    assert_int_equal(stats_now().closed[HOT_END_PRESSURE], 5);
    give(one_more);
}

static int64_t memory_of_world(void *context)
{
    struct hot_world *of = context;
    return hot_world_read(of, &of->memory_bytes);
}

static void test_pressure_may_be_measured_or_said(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_connection *connections[10];
    config.resource.memory_bytes = memory_of_world;
    config.memory_max_bytes = 1000;
    open_pool(&config);
    take_many(connections, 10, "a");
    give_many(connections, 10);
    world.memory_bytes = 800;
    hot_sweep(pool);
    assert_int_equal(stats_now().total, 10);
    world.memory_bytes = 801;
    hot_sweep(pool);
    assert_int_equal(stats_now().total, 8);
    assert_int_equal(hot_relieve(pool), 2);
    assert_int_equal(stats_now().idle, 6);
}

static void test_lists_allow_and_deny_hosts(void **state)
{
    (void)state;
    static const char *const allow[] = {"10.0.0.*:1883", "localhost:*", NULL};
    static const char *const deny[] = {"10.0.0.9:*", NULL};
    struct hot_config config = hot_world_config(&world);
    struct hot_connection *connection;
    struct err err = {0};
    config.allow = allow;
    config.deny = deny;
    open_pool(&config);
    give(take("10.0.0.1:1883"));
    give(take("localhost:8883"));
    assert_int_equal(hot_checkout(pool, "10.0.0.9:1883", HOT_FOREVER, &connection, &err), -EACCES);
    assert_non_null(strstr(err.text, "10.0.0.9:1883"));
    assert_null(connection);
    assert_int_equal(try("10.0.0.1:8883"), -EACCES);
    assert_int_equal(hot_warm(pool, "example.org:1883", 1, 0, NULL), -EACCES);
    assert_int_equal(stats_now().refused, 2);
}

static void test_a_warm_host_keeps_its_connections(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    config.check_every_ns = 0;
    open_pool(&config);
    assert_int_equal(hot_warm(pool, "a", 5, HOT_FOREVER, NULL), 0);
    assert_int_equal(stats_now().idle, 5);
    assert_int_equal(hot_warm(pool, "a", 11, HOT_FOREVER, NULL), -ERANGE);
    give(take("a"));
    assert_int_equal(stats_now().fresh, 1); // a warm connection was not used before
    assert_int_equal(stats_now().created, 5);
    hot_world_pass(&world, config.idle_ns);
    hot_sweep(pool);
    assert_int_equal(stats_now().idle, 5);
    hot_return(pool, take("a"), HOT_BROKEN); // is replaced
    hot_sweep(pool);
    HOT_AWAIT(pool, idle, 5);
    hot_world_pass(&world, config.lifetime_ns); // and so are those that end by their age
    hot_sweep(pool);
    hot_sweep(pool);
    HOT_AWAIT(pool, idle, 5);
    assert_int_equal(stats_now().closed[HOT_END_LIFETIME], 5);
    assert_int_equal(hot_warm(pool, "a", 0, 0, NULL), 0);
    hot_world_pass(&world, config.idle_ns);
    hot_sweep(pool);
    assert_int_equal(stats_now().total, 0);
}

static void test_warm_connections_of_others_go_for_who_waits(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_user user;
    config.total_max = 2;
    open_pool(&config);
    assert_int_equal(hot_warm(pool, "a", 2, HOT_FOREVER, NULL), 0);
    hot_user_start(&user, pool, "b", HOT_FOREVER);
    HOT_AWAIT(pool, closed[HOT_END_ROOM], 1);
    hot_sweep(pool);
    assert_int_equal(hot_user_join(&user), 0);
    hot_sweep(pool);
    assert_int_equal(stats_now().closed[HOT_END_ROOM], 1); // who keeps takes nobody's place back
    give(user.connection);
}

static void test_hosts_that_nothing_is_known_of_are_forgotten(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    char name[24];
    open_pool(&config);
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "host-%d", i);
        give(take(name));
        hot_sweep(pool);
    }
    assert_int_equal(stats_now().idle, 20);
    hot_sweep(pool);
    assert_int_equal(stats_now().hosts, 20);
}

static void test_a_drain_ends_all(void **state)
{
    (void)state;
    struct hot_config config = hot_world_config(&world);
    struct hot_connection *out[2], *connection;
    open_pool(&config);
    take_many(out, 2, "a");
    give(take("b"));
    assert_int_equal(hot_drain(pool, 0), -ETIMEDOUT);
    assert_int_equal(stats_now().total, 2);
    assert_int_equal(hot_checkout(pool, "a", HOT_FOREVER, &connection, NULL), -ECANCELED);
    assert_int_equal(hot_warm(pool, "a", 5, HOT_FOREVER, NULL), -ECANCELED);
    give(out[0]);
    assert_int_equal(hot_close(pool, 0), -ETIMEDOUT); // nothing is freed yet
    give(out[1]);
    assert_int_equal(hot_drain(pool, 0), 0);
    assert_int_equal(stats_now().closed[HOT_END_DRAIN], 3);
}

static void test_a_bad_configuration_is_named(void **state)
{
    (void)state;
    struct hot_config good = hot_world_config(&world), bad = good;
    struct err err = {0};
    bad.host_max = 0;
    assert_int_equal(hot_open(&pool, &bad, &err), -EINVAL);
    assert_non_null(strstr(err.text, "host_max"));
    bad = good;
    bad.retry_max_ns = bad.retry_ns - 1;
    assert_int_equal(hot_open(&pool, &bad, &err), -EINVAL);
    assert_non_null(strstr(err.text, "retry_max_ns"));
    bad = good;
    bad.resource.close = NULL;
    assert_int_equal(hot_open(&pool, &bad, &err), -EINVAL);
    assert_non_null(strstr(err.text, "close"));
}

static void return_twice(void *context)
{
    (void)context;
    struct hot_config config = hot_world_config(&world);
    open_pool(&config);
    struct hot_connection *connection = take("a");
    give(connection);
    give(connection);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_connection_is_used_again),
        TEST(test_the_one_used_last_is_used_next),
        TEST(test_a_host_has_no_more_than_host_max),
        TEST(test_at_total_max_an_idle_connection_makes_room),
        TEST(test_at_total_max_the_longest_waiter_is_made_room_for),
        TEST(test_past_idle_max_the_longest_unused_goes),
        TEST(test_with_no_idle_allowed_each_return_closes),
        TEST(test_a_broken_connection_ends),
        TEST(test_unused_ones_end_after_idle_ns),
        TEST(test_lifetimes_end_apart_and_in_use_with_the_return),
        TEST(test_one_past_its_lifetime_is_not_given),
        TEST(test_a_checkout_checks_what_was_idle_for_long),
        TEST(test_the_sweep_checks_and_keeps_the_order),
        TEST(test_pressure_drops_the_oldest_fifth_and_the_ill),
        TEST(test_pressure_may_be_measured_or_said),
        TEST(test_lists_allow_and_deny_hosts),
        TEST(test_a_warm_host_keeps_its_connections),
        TEST(test_warm_connections_of_others_go_for_who_waits),
        TEST(test_hosts_that_nothing_is_known_of_are_forgotten),
        TEST(test_a_drain_ends_all),
        TEST(test_a_bad_configuration_is_named),
        TEST(test_a_checked_build_notices_a_second_return),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
